//! What every program does that runs rows: within a shared time budget, saying how far each got.
//!
//! `SIM_SECONDS` is the budget of all rows together, `ROW=` chooses one, `SEED=` with it replays
//! one case, `SIM_SEED` (1) draws others, `THREADS` is how many cases run at once.
//!
//! `--rows` names the rows. With `FROM=N` cases are taken from that number on, until time is up
//! whatever the goal, and what came of them is told in one more line, for the ledger. That is what
//! `cargo xtask prove` asks for.
#![allow(clippy::print_stdout, reason = "what programs print")]

use crate::rows::{self, Budget, Cases, Outcome, Row};
use std::time::Duration;

/// Cases of `prove` are drawn from another seed than those of every change.
const PROVE_SEED: u64 = 2;

/// The number that a variable holds.
///
/// # Panics
/// If it holds something else.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: it must be a whole number")))
}

/// A budget of this time, as the variables say.
#[must_use]
pub fn budget(time: Duration) -> Budget {
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

/// Whether the run is one of `cargo xtask prove`, which the ledger is told of: the size of a
/// release.
#[must_use]
pub fn is_for_ledger() -> bool {
    number("FROM").is_some()
}

/// Names the rows, for `cargo xtask prove`: how much is enough at a release, and of how many cases.
pub fn list(rows: &[Row]) {
    for row in rows {
        let cases = match row.cases {
            Cases::Drawn => 0,
            Cases::Numbered(all) => all,
        };
        println!("row {} {} {} {cases}", row.name, row.unit, row.release);
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

/// Runs the rows, or the chosen one, so many cases at once at most; how many found nothing, and how
/// many something.
///
/// # Panics
/// If none of them is the chosen one.
#[must_use]
pub fn run(rows: &[Row], seconds: u64, threads_max: u64) -> (u64, u64) {
    let only = std::env::var("ROW").ok();
    let is_chosen = |row: &&Row| only.as_ref().is_none_or(|only| only == row.name);
    let rows: Vec<&Row> = rows.iter().filter(is_chosen).collect();
    assert!(!rows.is_empty(), "no row is called {only:?}");
    let mut shares: u32 = rows.iter().map(|row| row.share).sum();
    let mut left = Duration::from_secs(number("SIM_SECONDS").unwrap_or(seconds));
    let is_for_ledger = is_for_ledger();
    let (mut passed, mut failed) = (0, 0);
    for row in rows {
        // What a row leaves, the later ones have.
        let time = left * row.share / shares;
        shares -= row.share;
        let goal = if is_for_ledger { u64::MAX } else { row.goal };
        let budget = budget(time);
        let threads = budget.threads.min(threads_max);
        let outcome = rows::run(row, Budget { goal, threads, ..budget });
        left = left.saturating_sub(outcome.took);
        report(row, &outcome);
        if is_for_ledger {
            tell(row, &outcome);
        }
        if outcome.finds.is_empty() { passed += 1 } else { failed += 1 }
    }
    (passed, failed)
}
