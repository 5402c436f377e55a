//! How fast maintenance goes, and that it can be stopped.

use crate::error::Fault;
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Ends maintenance from another thread. Clones share it; once stopped it stays so.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Stops it: what it is in the middle of is left as it was.
    pub fn stop(&self) {
        let (stopped, changed) = &*self.0;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long, or until it is stopped.
    pub(crate) fn wait(&self, long: Duration) {
        let (stopped, changed) = &*self.0;
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_timeout_while(guard, long, |stopped| !*stopped));
    }
}

/// Why a pass over a segment ended early.
#[derive(Debug)]
pub(crate) enum Halt {
    Stopped,
    Fault(Fault),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Bytes a second, and a word when to stop.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    stop: &'a Stop,
    bytes_per_second_max: Option<u64>,
    /// Bytes that were not waited for yet.
    owed: u64,
}

/// The pace is kept over stretches of this long.
const STRETCHES_PER_SECOND: u64 = 20;

impl<'a> Pace<'a> {
    pub(crate) fn new(stop: &'a Stop, bytes_per_second_max: Option<u64>) -> Self {
        Self { stop, bytes_per_second_max, owed: 0 }
    }

    /// Notes bytes that were read or written; waits where that was too fast.
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), Halt> {
        if let Some(rate) = self.bytes_per_second_max {
            let rate = rate.max(1);
            self.owed += bytes;
            if self.owed >= rate / STRETCHES_PER_SECOND {
                let ns = u128::from(self.owed) * 1_000_000_000 / u128::from(rate);
                self.stop.wait(Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX)));
                self.owed = 0;
            }
        }
        if self.stop.is_stopped() { Err(Halt::Stopped) } else { Ok(()) }
    }
}
