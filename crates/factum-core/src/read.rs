//! Reads and subscriptions: what is asked, and the batches that answer.

use crate::{Position, Query, ReadError, RecordedEvent, Revision, StreamName, Timestamp};
use futures_core::Stream;
use std::{fmt, future::poll_fn, pin::Pin};

/// Which events: of one stream, or of the whole store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// The visible events of a stream, by revision.
    Stream(StreamName),
    /// Every event that the query selects, by position, hidden by stream metadata or not.
    Query(Query),
}

/// For people: `stream order-1`, or the query.
impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "stream {stream}"),
            Self::Query(query) => query.fmt(f),
        }
    }
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Direction {
    /// From old to new.
    #[default]
    Forward,
    /// From new to old.
    Backward,
}

/// As the store was, or as the world was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AsOf {
    /// With all that is stored.
    #[default]
    Now,
    /// Up to this position, inclusive.
    Position(Position),
    /// Up to what was recorded at this moment: the prefix before the first later-recorded event.
    Recorded(Timestamp),
    /// Only what had occurred by this moment: a filter.
    Occurred(Timestamp),
}

/// How new the answer must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Freshness {
    /// May lag behind an append that is still open elsewhere.
    #[default]
    Settled,
    /// Holds everything that was acknowledged before the read began.
    Current,
}

/// What to read.
///
/// ```
/// use factum_core::{Direction, Query, Read};
/// let all = Read::query(Query::All);
/// let latest = Read { direction: Direction::Backward, limit: Some(10), ..all };
/// assert_eq!(latest.from, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Which events.
    pub select: Select,
    /// Which way.
    pub direction: Direction,
    /// Inclusive: a revision for a stream, a position for a query; `None` is the end to start at.
    pub from: Option<u64>,
    /// How many events at most; 0 asks for the head and the stream's state only.
    pub limit: Option<u64>,
    /// As of when.
    pub as_of: AsOf,
    /// How new.
    pub freshness: Freshness,
    /// Wait until the store has this position. The deadline is the caller's.
    pub at_least: Option<Position>,
}

impl Read {
    /// All of a stream, forwards.
    #[must_use]
    pub fn stream(stream: StreamName) -> Self {
        Self::select(Select::Stream(stream))
    }

    /// All that a query selects, forwards.
    #[must_use]
    pub fn query(query: Query) -> Self {
        Self::select(Select::Query(query))
    }

    /// All of a selection, forwards.
    #[must_use]
    pub fn select(select: Select) -> Self {
        Self {
            select,
            direction: Direction::Forward,
            from: None,
            limit: None,
            as_of: AsOf::Now,
            freshness: Freshness::Settled,
            at_least: None,
        }
    }
}

/// What to follow, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Which events.
    pub select: Select,
    /// Exclusive: a revision for a stream, a position for a query; `None` is from the first.
    pub after: Option<u64>,
}

/// What a stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum StreamState {
    /// It never had an event.
    Absent,
    /// It has events.
    Live {
        /// Of its last event.
        last: Revision,
    },
    /// It had events, all hidden; the next append goes on after `last`.
    Deleted {
        /// Of its last event.
        last: Revision,
    },
    /// Deleted for ever.
    Tombstoned,
}

/// Some of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// In the order that was asked for. May be empty. May hold a part of an append.
    pub events: Vec<RecordedEvent>,
    /// The checkpoint: everything selected up to (backwards: down to) here has been delivered.
    pub through: Position,
    /// Nothing more was there when this was read. A read ends; a subscription goes on live.
    pub caught_up: bool,
}

/// The answer to a read.
#[derive(Debug)]
pub struct Reading<B> {
    /// The store's head in the snapshot that is read: a condition's `after`.
    pub head: Position,
    /// What the stream is in that snapshot; `None` for a query.
    pub state: Option<StreamState>,
    /// The events.
    pub batches: B,
}

impl<B: Stream<Item = Result<Batch, ReadError>> + Unpin> Reading<B> {
    /// Waits for all events and gathers them. For what is known to be short.
    pub async fn events(mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = Vec::new();
        while let Some(batch) = next_batch(&mut self.batches).await {
            events.extend(batch?.events);
        }
        Ok(events)
    }
}

/// Waits for the next batch; `None` after the last.
pub async fn next_batch<B>(batches: &mut B) -> Option<Result<Batch, ReadError>>
where
    B: Stream<Item = Result<Batch, ReadError>> + Unpin + ?Sized,
{
    poll_fn(|context| Pin::new(&mut *batches).poll_next(context)).await
}
