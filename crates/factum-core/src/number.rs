//! Numbers with a meaning: where an event stands, and when it happened.
//!
//! Apart from each other as types, so that a revision is never taken for a position.

#[cfg(feature = "jiff")]
mod text;

#[cfg(feature = "jiff")]
pub use text::InvalidTimestamp;

use std::fmt;

/// Place of an event in the store's one total order, counted from 1.
///
/// Positions ascend and are never reused. They are gapless in the embedded engine only: never do
/// arithmetic on them. 0 means "before the first event" and is never an event's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place of an event in its stream, counted from 0, gapless.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A moment: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted (1677 to 2262).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `seconds` later, at the end of time at the latest.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let nanos = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        Self(self.0.saturating_add(nanos))
    }
}
