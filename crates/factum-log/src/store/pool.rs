//! Threads that read. What they are asked is bounded by the number of readers, and by a limit.

use factum_core::{
    ReadError,
    completion::{Completion, completion},
    sync::{Condvar, Mutex, MutexGuard},
};
use std::{
    collections::VecDeque,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::PoisonError,
};

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    closed: bool,
    /// Threads that sleep until they are told that work came. Telling costs a call of the system
    /// even where nobody sleeps.
    asleep: usize,
    /// How many were refused as too many.
    overloaded: u64,
}

pub(super) struct Pool {
    state: Mutex<State>,
    came: Condvar,
    max: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(max: usize) -> Self {
        Self { state: Mutex::default(), came: Condvar::new(), max }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a thread do this.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Completion<T>, ReadError> {
        let mut state = self.lock();
        if state.closed {
            return Err(super::closed());
        }
        if state.work.len() >= self.max {
            state.overloaded += 1;
            return Err(ReadError::Overloaded);
        }
        let (filler, done) = completion();
        state.work.push_back(Box::new(move || filler.fill(work())));
        // As many as sleep are told; whoever is awake looks for more before sleeping.
        let is_one_untold = state.work.len() <= state.asleep;
        drop(state);
        if is_one_untold {
            self.came.notify_one();
        }
        Ok(done)
    }

    /// What a thread of the pool does until the pool is closed.
    pub(super) fn work(&self) {
        while let Some(work) = self.next() {
            // Who asked is told, as the filler is dropped; the others must not lose a thread by it.
            let _ = panic::catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.work.pop_front() {
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state.asleep += 1;
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
        }
    }

    /// Takes no more; what waits is forgotten.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let forgotten = std::mem::take(&mut state.work);
        drop(state);
        drop(forgotten);
        self.came.notify_all();
    }

    /// Reads that wait for a thread.
    pub(super) fn waiting(&self) -> u64 {
        self.lock().work.len() as u64
    }

    /// How many reads were refused as too many.
    pub(super) fn overloaded(&self) -> u64 {
        self.lock().overloaded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    fn wait<T>(completion: Completion<T>) -> Option<T> {
        let mut completion = std::pin::pin!(completion);
        loop {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(value) = completion.as_mut().poll(&mut context) {
                return value;
            }
            std::thread::yield_now();
        }
    }

    /// Cause: a panic in one read ended its thread, and after as many as there are threads nobody
    /// was answered. Fix: the thread outlives it.
    #[test]
    fn a_panic_in_one_read_is_its_own() {
        let pool = Arc::new(Pool::new(8));
        let of_thread = pool.clone();
        let thread = std::thread::spawn(move || of_thread.work());
        let failed: Completion<()> = pool.run(|| panic!("on purpose")).unwrap();
        assert_eq!(wait(failed), None);
        assert_eq!(wait(pool.run(|| 7).unwrap()), Some(7));
        pool.close();
        thread.join().unwrap();
    }
}
