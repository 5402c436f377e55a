//! A clock that stands still until it is told to move, back too.

use factum_core::Timestamp;
use factum_log::clock::Clock;
use std::sync::atomic::{AtomicI64, Ordering};

/// A simulated clock.
#[derive(Debug)]
pub struct SimClock(AtomicI64);

impl Default for SimClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_000_000_000_000))
    }
}

impl SimClock {
    /// Moves it by so many nanoseconds.
    pub fn step(&self, by_ns: i64) {
        self.0.fetch_add(by_ns, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}
