//! Running rows: cases on all processors, until the goal, the time, or a find.

use super::{Cases, Find, Meter, Row};
use crate::dice::Dice;
use std::{
    collections::BTreeSet,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
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
    /// The number of the first case.
    pub from: u64,
    /// Cases that may run at once.
    pub threads: u64,
    /// It stops at so many finds: they are mostly one.
    pub finds_max: usize,
}

/// What came of a row.
#[derive(Debug)]
pub struct Outcome {
    /// How many were looked at, a case that time ended included.
    pub done: u64,
    /// The cases that were gone through to their end, without a gap.
    pub cases: Range<u64>,
    /// How many were looked at in those.
    pub done_whole: u64,
    /// How long it took.
    pub took: Duration,
    /// Each with the seed of its case.
    pub finds: Vec<(u64, Find)>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Cases that were gone through, each with how many were looked at, not counted below yet.
    whole: BTreeSet<(u64, u64)>,
    /// One past the last case of those gone through without a gap.
    upto: u64,
    done_whole: u64,
    done: u64,
    finds: Vec<(u64, Find)>,
}

impl State {
    fn take_in(&mut self, nth: u64, looked_at: u64, is_whole: bool) {
        self.done += looked_at;
        if is_whole {
            self.whole.insert((nth, looked_at));
        }
        while let Some((_, looked_at)) = self.whole.first().copied().filter(|c| c.0 == self.upto) {
            self.whole.pop_first();
            self.upto += 1;
            self.done_whole += looked_at;
        }
    }
}

struct Run<'a> {
    row: &'a Row,
    budget: Budget,
    until: Instant,
    state: Mutex<State>,
}

/// Runs a row.
#[must_use]
pub fn run(row: &Row, budget: Budget) -> Outcome {
    let start = Instant::now();
    let state = State { next: budget.from, upto: budget.from, ..State::default() };
    let run = Run { row, budget, until: start + budget.time, state: Mutex::new(state) };
    let threads = if budget.only { 1 } else { budget.threads };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| run.work());
        }
    });
    let state = run.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let State { done, upto, done_whole, finds, .. } = state;
    Outcome { done, cases: budget.from..upto, done_whole, took: start.elapsed(), finds }
}

impl Run<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next case: its number, and what it is given.
    fn next(&self) -> Option<(u64, u64)> {
        let mut state = self.state();
        let nth = state.next;
        let budget = &self.budget;
        let enough = state.done >= budget.goal || state.finds.len() >= budget.finds_max;
        let is_last = budget.only && nth > budget.from;
        let is_past = matches!(self.row.cases, Cases::Numbered(all) if nth >= all);
        if enough || is_past || is_last || Instant::now() >= self.until {
            return None;
        }
        state.next += 1;
        let seed = match self.row.cases {
            _ if budget.only => budget.seed,
            Cases::Drawn => Dice::of(budget.seed, nth).roll(),
            Cases::Numbered(_) => nth,
        };
        Some((nth, seed))
    }

    fn work(&self) {
        while let Some((nth, seed)) = self.next() {
            let mut meter = Meter { done: 0, until: self.until, cut: false };
            let ended = catch_unwind(AssertUnwindSafe(|| (self.row.case)(seed, &mut meter)));
            let mut state = self.state();
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(find)) => state.finds.push((seed, find)),
                Err(panic) => state.finds.push((seed, format!("panic: {}", message(&*panic)))),
            }
            state.take_in(nth, meter.done, !meter.cut);
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: fn(u64, &mut Meter) -> Result<(), Find>) -> Row {
        let cases = Cases::Numbered(10);
        Row { name: "row", unit: "things", goal: 100, release: 0, share: 1, cases, case }
    }

    fn budget(from: u64) -> Budget {
        let time = Duration::from_secs(60);
        Budget { time, goal: u64::MAX, seed: 1, only: false, from, threads: 4, finds_max: 9 }
    }

    #[test]
    fn numbered_cases_are_each_gone_through_once() {
        let outcome = run(
            &row(|nth, meter| {
                meter.done = nth;
                Ok(())
            }),
            budget(2),
        );
        assert_eq!((outcome.cases, outcome.done_whole, outcome.done), (2..10, 44, 44));
    }

    #[test]
    fn a_case_that_time_ended_is_to_be_gone_through_again() {
        let outcome = run(
            &row(|nth, meter| {
                meter.done = 1;
                meter.cut = nth == 5;
                Ok(())
            }),
            budget(0),
        );
        assert_eq!((outcome.cases, outcome.done_whole, outcome.done), (0..5, 5, 10));
    }

    #[test]
    fn what_is_found_and_what_panics_is_told_with_its_seed() {
        let outcome = run(
            &row(|nth, _| match nth {
                3 => Err("odd".into()),
                4 => panic!("worse"),
                _ => Ok(()),
            }),
            budget(0),
        );
        let mut finds = outcome.finds;
        finds.sort();
        assert_eq!(finds, [(3, "odd".to_owned()), (4, "panic: worse".to_owned())]);
    }
}
