//! Runs the rows of the simulation within a shared time budget, and prints how far each got.
//!
//! `SIM_SECONDS` (150) is the budget of all rows together, `ROW=` chooses one, `SEED=` with it
//! replays one case, `SIM_SEED` (1) draws others. Exit code 1 if anything was found.
//!
//! `--rows` names the rows. With `FROM=N` cases are taken from that number on, until time is up
//! whatever the goal, and what came of them is told in one more line, for the ledger. That is what
//! `cargo xtask prove` asks for.
//!
//! `--planted` (with the feature `planted`) plants one bug after the other in the engine instead,
//! and prints which row catches it; exit code 1 if one is not caught. `FACTUM_BUG=` chooses one,
//! or several with commas between. `--planted-table` prints which row is to catch which.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use factum_sim::rows::{self, Budget, Cases, Outcome, ROWS, Row};
use std::{process::ExitCode, time::Duration};

/// Cases of `prove` are drawn from another seed than those of every change.
const PROVE_SEED: u64 = 2;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: it must be a whole number")))
}

/// A budget of this time, as the variables say.
fn budget(time: Duration) -> Budget {
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let (seed, from) = (number("SEED"), number("FROM"));
    let of_all = if from.is_some() { PROVE_SEED } else { 1 };
    Budget {
        time,
        goal: u64::MAX,
        seed: seed.or_else(|| number("SIM_SEED")).unwrap_or(of_all),
        only: seed.is_some(),
        from: from.unwrap_or(0),
        threads: number("THREADS").unwrap_or(cores),
        finds_max: 3,
    }
}

fn report(row: &Row, outcome: &Outcome) {
    let Outcome { done, took, finds, .. } = outcome;
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

/// What the ledger is told.
fn tell(row: &Row, outcome: &Outcome) {
    let Outcome { cases, done_whole, took, finds, .. } = outcome;
    let (from, upto, seconds) = (cases.start, cases.end, took.as_secs());
    let (name, unit, finds) = (row.name, row.unit, finds.len());
    println!(
        "ledger row={name} from={from} upto={upto} done={done_whole} unit={unit} finds={finds} \
         seconds={seconds}"
    );
}

/// Names the rows, for `cargo xtask prove`: how much is enough at a release, and of how many cases.
fn list() {
    for row in ROWS {
        let cases = match row.cases {
            Cases::Drawn => 0,
            Cases::Numbered(all) => all,
        };
        println!("row {} {} {} {cases}", row.name, row.unit, row.release);
    }
}

/// Plants each bug.
#[cfg(feature = "planted")]
fn planted() -> (u64, u64) {
    use factum_sim::planted::{Caught, catch};
    let only = std::env::var("FACTUM_BUG").ok();
    let is_chosen =
        |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|one| one == name));
    let time = Duration::from_secs(number("SIM_SECONDS").unwrap_or(10));
    let budget = Budget { finds_max: 1, ..budget(time) };
    let (mut passed, mut failed) = (0, 0);
    for bug in factum_log::planted::Bug::ALL {
        let name = format!("{bug:?}");
        if !is_chosen(&name) {
            continue;
        }
        let Caught { by, took, .. } = catch(*bug, budget);
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
            list();
            return ExitCode::SUCCESS;
        }
        _ => all_rows(),
    };
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the rows; how many found nothing, and how many something.
fn all_rows() -> (u64, u64) {
    let seconds = number("SIM_SECONDS").unwrap_or(150);
    let only = std::env::var("ROW").ok();
    let rows: Vec<&Row> =
        ROWS.iter().filter(|row| only.as_ref().is_none_or(|only| only == row.name)).collect();
    assert!(!rows.is_empty(), "no row is called {only:?}");
    let mut shares: u32 = rows.iter().map(|row| row.share).sum();
    let mut left = Duration::from_secs(seconds);
    let is_for_ledger = number("FROM").is_some();
    let (mut passed, mut failed) = (0, 0);
    for row in rows {
        // What a row leaves, the later ones have.
        let time = left * row.share / shares;
        shares -= row.share;
        let goal = if is_for_ledger { u64::MAX } else { row.goal };
        let budget = Budget { goal, ..budget(time) };
        let outcome = rows::run(row, budget);
        left = left.saturating_sub(outcome.took);
        report(row, &outcome);
        if is_for_ledger {
            tell(row, &outcome);
        }
        if outcome.finds.is_empty() { passed += 1 } else { failed += 1 }
    }
    (passed, failed)
}
