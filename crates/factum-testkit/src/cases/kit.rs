//! The words that cases are written in.

pub(super) use crate::{
    Failure, Need, Outcome, Seen, Trial, build::*, same, trial::Job, wait::poll_once, within,
};
pub(super) use factum_core::{
    Append, AppendError, AsOf, Bytes, Change, Check, ContentType, Direction, EventData, EventStore,
    EventType, Expected, Found, Freshness, Invalid, InvalidName, Item, Position, Query, Read,
    ReadError, Receipt, RecordedEvent, Revision, Select, StreamMetadata, StreamName, StreamState,
    Tag, Timestamp, Uuid, Written, next_batch, system,
};

/// The conflict of a stream's check.
pub(super) fn conflict<T>(index: usize, state: StreamState) -> Result<T, AppendError> {
    Err(AppendError::Conflict { index, found: Found::Stream(state) })
}

/// The conflict of a query's check.
pub(super) fn conflict_at<T>(index: usize, first: Position) -> Result<T, AppendError> {
    Err(AppendError::Conflict { index, found: Found::Match(first) })
}

/// A stream that has events.
pub(super) fn live(last: u64) -> StreamState {
    StreamState::Live { last: Revision(last) }
}

/// A stream that was deleted.
pub(super) fn deleted(last: u64) -> StreamState {
    StreamState::Deleted { last: Revision(last) }
}

/// What a receipt says of one stream.
pub(super) fn written(stream: &StreamName, first: u64, last: u64) -> Written {
    Written { stream: stream.clone(), first: Revision(first), last: Revision(last) }
}

/// The receipt that a retry gets.
pub(super) fn replay_of(first: &Receipt) -> Receipt {
    Receipt { replayed: true, ..first.clone() }
}

/// Panics unless the append was refused as invalid in this way.
#[track_caller]
pub(super) fn invalid(result: Result<Receipt, AppendError>, expect: fn(&Invalid) -> bool) {
    let is_expected = matches!(&result, Err(AppendError::Invalid(why)) if expect(why));
    assert!(is_expected, "not refused as it must be: {result:?}");
}

/// Panics unless the append was refused because its ids are used.
#[track_caller]
pub(super) fn reused(result: &Result<Receipt, AppendError>) {
    assert!(matches!(result, Err(AppendError::IdReused { .. })), "ids are reused: {result:?}");
}

/// All of these types and of these tags.
pub(super) fn item(types: &[EventType], tags: &[Tag]) -> Item {
    Item { types: types.to_vec(), tags: tags.to_vec(), ..Item::default() }
}

/// Everything, from a position on.
pub(super) fn all() -> Select {
    Select::Query(Query::All)
}
