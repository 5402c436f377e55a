//! The one door of this crate to the clock of the system.
//!
//! Only for what is told to people and clients: no decision of a store depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "the one door of this crate to the clock")]
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Now, as protobuf has it.
pub(crate) fn now_timestamp() -> prost_types::Timestamp {
    let now = now_ns();
    let nanos = i32::try_from(now % 1_000_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: now / 1_000_000_000, nanos }
}
