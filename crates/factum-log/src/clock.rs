//! The one door to time.

use factum_core::Timestamp;
use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A clock. It may step back: the log makes recorded times ascend.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The moment it shows.
    fn now(&self) -> Timestamp;
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
}
