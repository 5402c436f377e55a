//! The outbox: messages that are written in the transaction of what they tell of, and relayed to a
//! broker afterwards.
//!
//! A table is an [`Outbox`], of a crate for its database; rows get in there by that crate's
//! `enqueue`, in the caller's own transaction. A [`Relay`] takes them out: it publishes, waits for
//! the broker's confirmation, and marks them only then.
//!
//! What must hold: what was committed is published, at least once; what was not is never published;
//! rows with one key are published in order, also by several relays; and one that cannot be
//! published holds up its own key and nobody else's.

mod relay;
mod row;

pub use relay::{Relay, RelayHandle, RelayOptions, RelayState, RelayStatus, Turn};
pub use row::{Headers, Outcome, Row, Settled};

use crate::world::BoxFuture;
use factum_core::Timestamp;
use std::{fmt, time::Duration};

/// How many rows wait, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutboxLag {
    /// Rows that are not published, dead letters included.
    pub waiting: u64,
    /// Those of them that failed for good, and hold up their keys.
    pub dead: u64,
    /// How old the oldest is that is not dead.
    pub oldest: Duration,
}

/// A row that failed for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadRow {
    /// The row.
    pub row: Row,
    /// Why it failed the last time.
    pub error: String,
    /// When it was given up.
    pub dead_at: Timestamp,
}

/// Which rows a relay wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Whose they are to be.
    pub relay: String,
    /// How many, at most.
    pub rows_max: u32,
    /// What time it is.
    pub now: Timestamp,
    /// Until when they are to be its own.
    pub until: Timestamp,
}

/// Why an outbox does not answer.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutboxError {
    /// The database is away, or busy. Try again.
    #[error("the outbox is away: {why}")]
    Away {
        /// What it said.
        why: String,
    },
    /// Nobody's to mend by waiting: a table of another form, damage. Look at what it said.
    #[error("the outbox is broken: {why}")]
    Broken {
        /// What it said.
        why: String,
    },
}

/// A table of messages that are to be published; for the crates of databases.
///
/// What must hold:
/// - a row that is claimed is nobody else's until then, and neither are the rows of its key;
/// - a row is not claimed while one before it, with its key, waits to be tried again, is dead, or
///   is somebody else's;
/// - rows are claimed in the order of their numbers.
pub trait Outbox: Send + Sync + fmt::Debug + 'static {
    /// Takes the oldest rows that may be published.
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Row>, OutboxError>>;

    /// Writes what became of rows of a relay. What it no longer has is left alone, but for what it
    /// has published.
    fn settle<'a>(
        &'a self,
        relay: &'a str,
        settled: Vec<Settled>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), OutboxError>>;

    /// Deletes rows that were published before this, so many at most; how many were deleted.
    fn sweep(&self, before: Timestamp, rows_max: u32) -> BoxFuture<'_, Result<u64, OutboxError>>;

    /// How far behind its relays are.
    fn lag(&self, now: Timestamp) -> BoxFuture<'_, Result<OutboxLag, OutboxError>>;

    /// Resolves when rows may have come. A wake-up may be missed, so that a relay looks by itself
    /// too.
    fn woken(&self) -> BoxFuture<'_, ()>;

    /// The rows that failed for good, the oldest first, so many at most.
    fn dead(&self, rows_max: u32) -> BoxFuture<'_, Result<Vec<DeadRow>, OutboxError>>;

    /// Lets a dead row be published again; `false` where there is none.
    fn replay(&self, sequence: u64) -> BoxFuture<'_, Result<bool, OutboxError>>;

    /// Deletes a dead row: what is behind it goes on. `false` where there is none.
    fn discard(&self, sequence: u64) -> BoxFuture<'_, Result<bool, OutboxError>>;
}
