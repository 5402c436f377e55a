//! The one door to time.

use factum_core::Timestamp;
use std::{
    fmt,
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A clock. It may step back: the log makes recorded times ascend.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The moment it shows.
    fn now(&self) -> Timestamp;

    /// Nanoseconds since some moment, to measure how long something takes: for statistics only.
    /// Nothing that is stored or decided depends on it.
    fn ticks_ns(&self) -> u64 {
        u64::try_from(self.now().0).unwrap_or(0)
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the door to the system's clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    #[allow(clippy::disallowed_methods, reason = "this is the door to the system's clock")]
    fn ticks_ns(&self) -> u64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
