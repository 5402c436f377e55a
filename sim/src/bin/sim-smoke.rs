//! Runs the rows of the simulation within a shared time budget, and prints how far each got.
//!
//! `SIM_SECONDS` (150) is the budget of all rows together, `ROW=` chooses one, `SEED=` with it
//! replays one case, `SIM_SEED` (1) draws others. Exit code 1 if anything was found.
//!
//! `--planted` (with the feature `planted`) plants one bug after the other in the engine instead,
//! and prints which row catches it; exit code 1 if one is not caught. `FACTUM_BUG=` chooses one.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use factum_sim::rows::{self, Budget, Outcome, ROWS, Row};
use std::{process::ExitCode, time::Duration};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: it must be a whole number")))
}

fn report(row: &Row, outcome: &Outcome) {
    let Outcome { done, took, finds } = outcome;
    let seconds = took.as_secs_f64();
    let (name, unit, goal) = (row.name, row.unit, row.goal);
    println!(
        "{name:<16} {done:>8} of {goal:>7} {unit:<10} {seconds:>6.1} s  {} finds",
        finds.len()
    );
    for (seed, find) in finds {
        println!("  {find}\n  again: ROW={name} SEED={seed}");
    }
}

/// Plants each bug.
#[cfg(feature = "planted")]
fn planted() -> (u64, u64) {
    use factum_sim::planted::{Caught, catch};
    let only = std::env::var("FACTUM_BUG").ok();
    let seed = number("SIM_SEED").unwrap_or(1);
    let of_row = Duration::from_secs(number("SIM_SECONDS").unwrap_or(10));
    let (mut passed, mut failed) = (0, 0);
    for bug in factum_log::planted::Bug::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{bug:?}")) {
            continue;
        }
        let Caught { by, took, .. } = catch(bug, of_row, seed);
        let (name, seconds) = (format!("{bug:?}"), took.as_secs_f64());
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

#[cfg(not(feature = "planted"))]
fn planted() -> (u64, u64) {
    println!("--planted needs the feature: cargo run --release -p factum-sim --features planted");
    (0, 1)
}

fn main() -> ExitCode {
    // Finds are reported with their seed; a panic is one of them.
    std::panic::set_hook(Box::new(|_| {}));
    let is_planted = std::env::args().any(|argument| argument == "--planted");
    let (passed, failed) = if is_planted { planted() } else { all_rows() };
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the rows; how many found nothing, and how many something.
fn all_rows() -> (u64, u64) {
    let seconds = number("SIM_SECONDS").unwrap_or(150);
    let only = std::env::var("ROW").ok();
    let rows: Vec<&Row> =
        ROWS.iter().filter(|row| only.as_ref().is_none_or(|only| only == row.name)).collect();
    let mut shares: u32 = rows.iter().map(|row| row.share).sum();
    let mut left = Duration::from_secs(seconds);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let seed = number("SEED");
    let (mut passed, mut failed) = (0, 0);
    for row in rows {
        // What a row leaves, the later ones have.
        let time = left * row.share / shares;
        shares -= row.share;
        let budget = Budget {
            time,
            goal: row.goal,
            seed: seed.or_else(|| number("SIM_SEED")).unwrap_or(1),
            only: seed.is_some(),
            threads,
        };
        let outcome = rows::run(row, budget);
        left = left.saturating_sub(outcome.took);
        report(row, &outcome);
        if outcome.finds.is_empty() { passed += 1 } else { failed += 1 }
    }
    (passed, failed)
}
