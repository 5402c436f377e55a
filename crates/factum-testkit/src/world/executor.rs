//! Polls what is ready, in an order that the seed draws, and lets time pass where nothing is.

use super::state::{MAIN, Shared, State, TaskWaker, later};
use super::trace::Act;
use crate::run::panic_text;
use factum_core::Timestamp;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Drives one run of a world.
pub(super) struct Executor<'a> {
    shared: &'a Arc<Shared>,
    steps_left: u64,
}

/// What is to be done next.
enum Next {
    Poll(u64),
    /// Nothing is ready, and nobody sleeps, or not until then.
    Idle,
}

impl<'a> Executor<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        let steps_left = shared.lock().steps_max;
        Self { shared, steps_left }
    }

    pub(super) fn run<T>(mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        self.shared.lock().ready.insert(MAIN);
        loop {
            match self.next(None) {
                Next::Poll(MAIN) => {
                    if let Poll::Ready(value) = self.poll(MAIN, future.as_mut()) {
                        self.shared.lock().ready.remove(&MAIN);
                        return value;
                    }
                }
                Next::Poll(task) => self.step(task),
                Next::Idle => self.fail("everybody waits, and nothing is left that could happen"),
            }
        }
    }

    pub(super) fn run_until(mut self, until: Option<Timestamp>) {
        while let Next::Poll(task) = self.next(until) {
            self.step(task);
        }
        if let Some(until) = until {
            let mut state = self.shared.lock();
            state.now = state.now.max(until);
        }
    }

    /// Draws who goes on; where nobody can, lets time pass.
    fn next(&mut self, until: Option<Timestamp>) -> Next {
        loop {
            self.shared.ring();
            let mut state = self.shared.lock();
            let is_over = until.is_some_and(|until| state.now > until);
            let count = state.ready.len() as u64;
            if count > 0 && !is_over {
                let nth = state.random.below(count);
                let drawn = usize::try_from(nth).ok().and_then(|nth| state.ready.iter().nth(nth));
                let Some(task) = drawn.copied() else { return Next::Idle };
                state.ready.remove(&task);
                Self::count(&mut state);
                return Next::Poll(task);
            }
            match state.next_timer() {
                Some(at) if until.is_none_or(|until| at <= until) => state.now = state.now.max(at),
                _ => return Next::Idle,
            }
        }
    }

    fn count(state: &mut State) {
        state.steps += 1;
        let longest = u64::try_from(state.step_time_max.as_nanos()).unwrap_or(u64::MAX);
        if longest > 0 {
            let took = state.random.below(longest);
            state.now = later(state.now, Duration::from_nanos(took));
        }
    }

    fn step(&mut self, task: u64) {
        let taken = self.shared.lock().tasks.get_mut(&task).and_then(|task| task.future.take());
        let Some(mut future) = taken else { return };
        let done = self.poll(task, future.as_mut()).is_ready();
        let mut state = self.shared.lock();
        if done || state.is_dead(task) {
            state.record(task, if done { Act::Ended } else { Act::Dropped });
            state.tasks.remove(&task);
            state.ready.remove(&task);
        } else if let Some(task) = state.tasks.get_mut(&task) {
            task.future = Some(future);
            drop(state);
            return self.shared.bury();
        }
        drop(state);
        drop(future);
        self.shared.bury();
    }

    fn poll<F: Future + ?Sized>(&mut self, task: u64, future: Pin<&mut F>) -> Poll<F::Output> {
        let Some(left) = self.steps_left.checked_sub(1) else {
            self.fail("the steps are used up: it goes round in circles, or needs `with_steps_max`")
        };
        self.steps_left = left;
        let mut state = self.shared.lock();
        state.record(task, Act::Polled);
        state.running = Some(task);
        drop(state);
        let waker = TaskWaker::of(self.shared, task);
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(&mut context)));
        self.shared.lock().running = None;
        polled.unwrap_or_else(|panic| self.fail_of(task, &*panic))
    }

    fn fail_of(&self, task: u64, panic: &(dyn Any + Send)) -> ! {
        let name = self.shared.lock().name_of(task);
        self.fail(&format!("{name} panicked: {}", panic_text(panic)))
    }

    fn fail(&self, what: &str) -> ! {
        let seed = self.shared.seed;
        let state = self.shared.lock();
        let (at, tasks) = (state.trace.since(state.now), state.report());
        drop(state);
        panic!(
            "{what}\nat {at} of the simulation, with these tasks:{tasks}\n(again with SEED={seed})"
        );
    }
}
