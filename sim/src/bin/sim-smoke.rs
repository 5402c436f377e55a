//! Runs the rows of the simulation within a shared time budget, and prints how far each got.
//!
//! What it is told by arguments and variables: see `factum_sim::program`. Exit code 1 if anything
//! was found.
//!
//! `--planted` (with the feature `planted`) plants one bug after the other in the engine instead,
//! and prints which row catches it; exit code 1 if one is not caught. `FACTUM_BUG=` chooses one,
//! or several with commas between; `ROW=` has another row try them. `--planted-table` prints which
//! row is to catch which.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use factum_sim::{program, rows::ROWS};
use std::process::ExitCode;

/// The budget of all rows together, where nothing is said.
const SECONDS: u64 = 150;

/// Plants each bug.
#[cfg(feature = "planted")]
fn planted() -> (u64, u64) {
    use factum_sim::{
        planted::{Caught, catch, is_caught_here},
        program::{budget, number},
        rows::Budget,
    };
    use std::time::Duration;
    let only = std::env::var("FACTUM_BUG").ok();
    let is_chosen =
        |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|one| one == name));
    let time = Duration::from_secs(number("SIM_SECONDS").unwrap_or(10));
    let budget = Budget { finds_max: 1, ..budget(time) };
    let other = std::env::var("ROW").ok();
    let (mut passed, mut failed) = (0, 0);
    for bug in factum_log::planted::Bug::ALL {
        let name = format!("{bug:?}");
        if !is_chosen(&name) || (other.is_none() && !is_caught_here(*bug)) {
            continue;
        }
        let Caught { by, took, .. } = catch(*bug, other.as_deref(), budget);
        let seconds = took.as_secs_f64();
        match by {
            Some((row, done, find)) => {
                passed += 1;
                println!("{name:<22} caught by {row:<14} after {done:>6}, {seconds:>5.1} s");
                println!("  {find:.200}");
            }
            None => {
                failed += 1;
                println!("{name:<22} NOT CAUGHT, {seconds:>5.1} s");
            }
        }
    }
    (passed, failed)
}

#[cfg(feature = "planted")]
fn planted_table() {
    for (name, row, what) in factum_sim::planted::table() {
        println!("planted {name} {row} {what}");
    }
}

#[cfg(not(feature = "planted"))]
fn planted() -> (u64, u64) {
    planted_table();
    (0, 1)
}

#[cfg(not(feature = "planted"))]
fn planted_table() {
    println!("it needs the feature: cargo run --release -p factum-sim --features planted");
}

fn main() -> ExitCode {
    // Finds are reported with their seed; a panic is one of them.
    std::panic::set_hook(Box::new(|_| {}));
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let (passed, failed) = match asked.first().map(String::as_str) {
        Some("--planted") => planted(),
        Some("--planted-table") => {
            planted_table();
            return ExitCode::SUCCESS;
        }
        Some("--rows") => {
            program::list(ROWS);
            return ExitCode::SUCCESS;
        }
        _ => program::run(ROWS, SECONDS, u64::MAX),
    };
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
