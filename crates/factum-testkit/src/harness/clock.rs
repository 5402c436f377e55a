//! A clock that stands still until it is set.

use factum_core::Timestamp;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// When a clock stands that nobody has set: 2026-01-01T00:00:00Z.
const INITIAL: i64 = 1_767_225_600_000_000_000;

/// A clock for tests. Clones share one time.
///
/// ```
/// use factum_testkit::ManualClock;
/// use factum_core::Timestamp;
/// let clock = ManualClock::default();
/// clock.set(Timestamp(5));
/// assert_eq!(clock.now(), Timestamp(5));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl Default for ManualClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(INITIAL)))
    }
}

impl ManualClock {
    /// The time that was set last.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    /// Sets the time: later, earlier or the same.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}
