//! Running rows: cases on all processors, until the goal, the time, or a find.

use super::{Find, Meter, Row};
use crate::dice::Dice;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Time for the row.
    pub time: Duration,
    /// How many are enough.
    pub goal: u64,
    /// The seed of all cases; or of the only one.
    pub seed: u64,
    /// Runs one case, whose seed this is.
    pub only: bool,
    /// Cases that may run at once.
    pub threads: u64,
}

/// What came of a row.
#[derive(Debug)]
pub struct Outcome {
    /// How many were looked at.
    pub done: u64,
    /// How long it took.
    pub took: Duration,
    /// Each with the seed of its case.
    pub finds: Vec<(u64, Find)>,
}

/// A row stops at so many finds: they are mostly one.
const FINDS_MAX: usize = 3;

#[derive(Default)]
struct Progress {
    next: AtomicU64,
    done: AtomicU64,
    finds: Mutex<Vec<(u64, Find)>>,
}

/// Runs a row.
#[must_use]
pub fn run(row: &Row, budget: Budget) -> Outcome {
    let start = Instant::now();
    let progress = Progress::default();
    let threads = if budget.only { 1 } else { budget.threads };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(row, budget, start + budget.time, &progress));
        }
    });
    let finds = progress.finds.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = progress.done.into_inner();
    Outcome { done, took: start.elapsed(), finds }
}

fn work(row: &Row, budget: Budget, until: Instant, progress: &Progress) {
    loop {
        let nth = progress.next.fetch_add(1, Ordering::Relaxed);
        let found = progress.finds.lock().unwrap_or_else(PoisonError::into_inner).len();
        let enough = progress.done.load(Ordering::Relaxed) >= budget.goal || found >= FINDS_MAX;
        if enough || Instant::now() >= until || (budget.only && nth > 0) {
            return;
        }
        let seed = if budget.only { budget.seed } else { Dice::of(budget.seed, nth).roll() };
        let mut meter = Meter { done: 0, until };
        let ended = catch_unwind(AssertUnwindSafe(|| (row.case)(seed, &mut meter)));
        progress.done.fetch_add(meter.done, Ordering::Relaxed);
        let find = match ended {
            Ok(Ok(())) => continue,
            Ok(Err(find)) => find,
            Err(panic) => format!("panic: {}", message(&*panic)),
        };
        progress.finds.lock().unwrap_or_else(PoisonError::into_inner).push((seed, find));
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
