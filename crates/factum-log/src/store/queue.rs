//! What waits for the writer: bounded by count and by bytes; what does not fit is refused at once.

use crate::{Job, Options, write::Reply};
use factum_core::{
    AppendError,
    completion::{Completion, Filler, completion},
    sync::{Condvar, Mutex, MutexGuard},
};
use std::{collections::VecDeque, sync::PoisonError};

/// A job and where its answer goes.
pub(super) type Waiting = (Job, Filler<Reply>);

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
    /// The writer sleeps until it is told that a job came. Telling costs a call of the system even
    /// where nobody sleeps.
    is_asleep: bool,
    /// How many were refused as too many.
    overloaded: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    came: Condvar,
    jobs_max: usize,
    bytes_max: usize,
}

impl Queue {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            state: Mutex::default(),
            came: Condvar::new(),
            jobs_max: options.queue_jobs_max,
            bytes_max: options.queue_bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, job: Job) -> Result<Completion<Reply>, AppendError> {
        let weight = job.weight();
        let mut state = self.lock();
        if state.closed {
            let why = "the store is closed: open it again".into();
            return Err(AppendError::Unavailable { why });
        }
        // One job always fits, however large: the limits of an append are another matter.
        let is_full = state.jobs.len() >= self.jobs_max || state.bytes + weight > self.bytes_max;
        if is_full && !state.jobs.is_empty() {
            state.overloaded += 1;
            return Err(AppendError::Overloaded);
        }
        let (filler, done) = completion();
        state.jobs.push_back((job, filler));
        state.bytes += weight;
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            self.came.notify_one();
        }
        Ok(done)
    }

    /// Waits for jobs and takes all there are: the next group, grown by itself while the one
    /// before was synced. `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state.is_asleep = true;
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_asleep = false;
        state.bytes = 0;
        Some(std::mem::take(&mut state.jobs).into())
    }

    /// Takes no more; what waits is still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
    }

    /// Takes no more and forgets what waits: the writer is gone.
    pub(super) fn abandon(&self) {
        self.close();
        let jobs = std::mem::take(&mut self.lock().jobs);
        drop(jobs);
    }

    /// Jobs and bytes that wait.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let state = self.lock();
        (state.jobs.len() as u64, state.bytes as u64)
    }

    /// How many jobs were refused as too many.
    pub(super) fn overloaded(&self) -> u64 {
        self.lock().overloaded
    }
}
