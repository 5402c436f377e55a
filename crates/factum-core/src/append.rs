//! Appends: events for one or more streams, the checks they stand under, and the receipt.

use crate::{EventData, Position, Query, Revision, StreamMetadata, StreamName};
use std::sync::Arc;

/// What a stream must be like for an append to be accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Expected {
    /// It has no event, or is deleted.
    NoStream,
    /// It has events, and is neither deleted nor tombstoned.
    Exists,
    /// Its last event, deleted or not, has this revision.
    At(Revision),
}

/// A condition, judged against the state before the append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// About one stream, written by the append or not. At most one check a stream.
    Stream {
        /// Which.
        stream: StreamName,
        /// What it must be like.
        expected: Expected,
    },
    /// No event matches `query` after a position (exclusive): a dynamic consistency boundary
    /// (<https://dcb.events>). With [`Position::START`] it says "none exists".
    NoMatch {
        /// Which events.
        query: Query,
        /// The head of the read that the decision was made on.
        after: Position,
    },
}

/// Where a consumer of another system has got to, committed with the events it caused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tracking {
    /// What is followed.
    pub source: Arc<str>,
    /// The place in it. Must increase.
    pub position: u64,
}

/// Events plus conditions: all or nothing, one receipt. No check means "any".
///
/// ```
/// use factum_core::{Append, Check, EventData, EventType, Expected, StreamName, Uuid};
/// let order = StreamName::new("order-1")?;
/// let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
/// let append = Append::to(order.clone(), [placed]).expecting(order, Expected::NoStream);
/// assert_eq!(append.checks.len(), 1);
/// # Ok::<(), factum_core::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Append {
    /// The events in order; a stream may recur.
    pub events: Vec<(StreamName, EventData)>,
    /// All must hold.
    pub checks: Vec<Check>,
    /// Committed together with the events; may stand alone.
    pub tracking: Option<Tracking>,
}

impl Append {
    /// Events for one stream, without a condition.
    pub fn to(stream: StreamName, events: impl IntoIterator<Item = EventData>) -> Self {
        let events = events.into_iter().map(|event| (stream.clone(), event)).collect();
        Self { events, ..Self::default() }
    }

    /// The same append under one more check of a stream.
    #[must_use]
    pub fn expecting(self, stream: StreamName, expected: Expected) -> Self {
        self.checking(Check::Stream { stream, expected })
    }

    /// The same append under one more check.
    #[must_use]
    pub fn checking(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// The same append with a tracked position.
    #[must_use]
    pub fn tracking(mut self, source: &str, position: u64) -> Self {
        self.tracking = Some(Tracking { source: source.into(), position });
        self
    }
}

/// What was appended: hand its position to a read to see at least that much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The position of the last event. Where nothing was written: the head at that moment.
    pub position: Position,
    /// The revisions, one entry a stream, in the order of first mention.
    pub streams: Vec<Written>,
    /// This had been appended before; nothing was written now.
    pub replayed: bool,
}

/// Which revisions of a stream an append wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The stream.
    pub stream: StreamName,
    /// Revision of its first event in the append.
    pub first: Revision,
    /// Revision of its last event in the append.
    pub last: Revision,
}

/// A change to a stream as a whole. Each is stored as an event of the system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Hides all events of now; the stream goes on at the next revision when it is appended to, or
    /// given new metadata. A stream that never was cannot be deleted.
    Delete,
    /// Hides all events and refuses every further one, for ever.
    Tombstone,
    /// Replaces the metadata. The expectation is about the metadata stream, `$$NAME`.
    SetMetadata(StreamMetadata),
}
