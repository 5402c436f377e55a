//! Reads and subscriptions of the in-memory store: a cursor, and nothing else held.

use super::{MemoryStore, state::State};
use crate::{
    AsOf, Batch, Direction, Position, Read, ReadError, RecordedEvent, Revision, Select, Subscribe,
    Timestamp, judge::StreamHead, page::PAGE_BYTES_MAX,
};
use futures_core::Stream;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Events in the first batch: few, so that tests with few events see several batches.
const BATCH_EVENTS_FIRST: u64 = 16;
/// Each further batch may hold twice as many, up to this.
const BATCH_EVENTS_MAX: u64 = 1_024;

/// What is left to deliver.
#[derive(Debug)]
pub(super) struct Selection {
    select: Select,
    direction: Direction,
    occurred_by: Option<Timestamp>,
    /// Nothing past this position; `None` follows the head for ever.
    until: Option<Position>,
    left: u64,
    /// Events in the next batch, at most.
    size: u64,
    /// What a read of a stream sees is what was visible when it began; a subscription has none.
    seen: Option<StreamHead>,
    /// The next place to look at: a revision of a stream, a position of a query. Forwards from
    /// here on, backwards from the place before.
    at: u64,
}

impl Selection {
    pub(super) fn of_read(read: Read, state: &State) -> Self {
        let first = u64::from(matches!(read.select, Select::Query(_)));
        let at = match (read.direction, read.from) {
            (Direction::Forward, from) => from.unwrap_or(first),
            (Direction::Backward, from) => from.map_or(u64::MAX, |from| from.saturating_add(1)),
        };
        let head = state.head();
        let until = match read.as_of {
            AsOf::Position(position) => position.min(head),
            AsOf::Recorded(moment) => {
                // Recorded times never go back.
                let until = state.log.partition_point(|event| event.recorded_at() <= moment);
                Position(until as u64)
            }
            AsOf::Now | AsOf::Occurred(_) => head,
        };
        let seen = match &read.select {
            Select::Stream(stream) => Some(state.stream_head(stream)),
            Select::Query(_) => None,
        };
        Self {
            seen,
            select: read.select,
            direction: read.direction,
            occurred_by: match read.as_of {
                AsOf::Occurred(moment) => Some(moment),
                _ => None,
            },
            until: Some(until),
            left: read.limit.unwrap_or(u64::MAX),
            size: BATCH_EVENTS_FIRST,
            at,
        }
    }

    pub(super) fn of_subscription(subscribe: Subscribe) -> Self {
        let first = u64::from(matches!(subscribe.select, Select::Query(_)));
        Self {
            at: subscribe.after.map_or(first, |after| after.saturating_add(1)),
            seen: None,
            select: subscribe.select,
            direction: Direction::Forward,
            occurred_by: None,
            until: None,
            left: u64::MAX,
            size: BATCH_EVENTS_FIRST,
        }
    }

    /// The places that there are, first and one past the last.
    fn places(&self, state: &State) -> (u64, u64) {
        match &self.select {
            Select::Stream(stream) => {
                (0, state.streams.get(stream).map_or(0, |positions| positions.len() as u64))
            }
            Select::Query(_) => (1, state.head().0 + 1),
        }
    }

    /// Where to go on, and the event there.
    fn next<'s>(&self, state: &'s State, hidden: &Hidden) -> Option<(u64, &'s RecordedEvent)> {
        let (first, end) = self.places(state);
        let mut place = match self.direction {
            Direction::Forward => self.at.max(first),
            Direction::Backward => self.at.min(end).checked_sub(1)?,
        };
        while (first..end).contains(&place) {
            let event = self.from(state, place)?;
            let found = match self.select {
                Select::Stream(_) => event.revision().0,
                Select::Query(_) => event.position().0,
            };
            if self.until.is_some_and(|until| event.position() > until)
                && self.direction == Direction::Forward
            {
                return None;
            }
            if self.selects(event, hidden) {
                return Some((found, event));
            }
            place = match self.direction {
                Direction::Forward => found + 1,
                Direction::Backward => found.checked_sub(1)?,
            };
        }
        None
    }

    /// The first event of the selection from a place on, hidden or not.
    fn from<'s>(&self, state: &'s State, place: u64) -> Option<&'s RecordedEvent> {
        match &self.select {
            Select::Stream(stream) => state.in_stream(stream, place),
            Select::Query(query) => state.next_match(query, Position(place), self.direction),
        }
    }

    fn selects(&self, event: &RecordedEvent, hidden: &Hidden) -> bool {
        self.until.is_none_or(|until| event.position() <= until)
            && self.occurred_by.is_none_or(|moment| event.occurred_at() <= moment)
            && !hidden.hides(event)
    }

    fn batch(&mut self, state: &State) -> Batch {
        let hidden = Hidden::of(&self.select, &self.seen, state);
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut bytes = 0;
        while (events.len() as u64) < self.left.min(self.size)
            && let Some((place, event)) = self.next(state, &hidden)
            && (events.is_empty() || bytes + event.payload_bytes() <= PAGE_BYTES_MAX)
        {
            bytes += event.payload_bytes();
            events.push(event.clone());
            self.at = match self.direction {
                Direction::Forward => place + 1,
                Direction::Backward => place,
            };
        }
        self.left -= events.len() as u64;
        self.size = (self.size * 2).min(BATCH_EVENTS_MAX);
        let caught_up = self.left == 0 || self.next(state, &hidden).is_none();
        let end = match self.direction {
            Direction::Forward => self.until.unwrap_or(state.head()),
            Direction::Backward => Position::START,
        };
        let last = events.last().map(RecordedEvent::position);
        let through = if caught_up && self.left > 0 { end } else { last.unwrap_or(end) };
        Batch { events, through, caught_up }
    }
}

/// What the metadata of a stream hides in a read of it; of a query nothing.
struct Hidden {
    /// Nothing is visible.
    all: bool,
    before: Revision,
    head: Option<(StreamHead, Timestamp)>,
}

impl Hidden {
    fn of(select: &Select, seen: &Option<StreamHead>, state: &State) -> Self {
        let Select::Stream(stream) = select else {
            return Self { all: false, before: Revision(0), head: None };
        };
        let head = seen.clone().unwrap_or_else(|| state.stream_head(stream));
        let Some(last) = head.last.filter(|_| !head.tombstoned) else {
            return Self { all: true, before: Revision(0), head: None };
        };
        let before = head.metadata.first_visible(last);
        Self { all: false, before, head: Some((head, state.now())) }
    }

    fn hides(&self, event: &RecordedEvent) -> bool {
        let expired = |(head, now): &(StreamHead, Timestamp)| {
            head.metadata.is_expired(event.recorded_at(), *now)
        };
        self.all
            || (self.head.is_some() && event.revision() < self.before)
            || self.head.as_ref().is_some_and(expired)
    }
}

/// Batches of a [`MemoryStore`]. A slow consumer is a cursor: it costs nobody anything.
#[derive(Debug)]
pub struct MemoryBatches {
    store: MemoryStore,
    selection: Selection,
    /// The consumer was told that it has caught up with this head.
    told: Option<Position>,
    done: bool,
}

impl MemoryBatches {
    pub(super) fn new(store: MemoryStore, selection: Selection) -> Self {
        Self { store, selection, told: None, done: false }
    }
}

impl Stream for MemoryBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        let mut state = this.store.lock();
        let is_live = this.selection.until.is_none();
        if is_live && this.told == Some(state.head()) {
            state.wake_later(context.waker());
            return Poll::Pending;
        }
        let batch = this.selection.batch(&state);
        this.told = batch.caught_up.then_some(state.head());
        this.done = !is_live && batch.caught_up;
        Poll::Ready(Some(Ok(batch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Append, EventData, EventStore, EventType, StreamName, Uuid, next_batch};
    use std::{pin::pin, task::Waker};

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("an in-memory store does not wait"),
        }
    }

    /// Cause: a batch was bounded by its events only, so that 16 large ones made a batch of
    /// hundreds of megabytes, which no transport takes. Fix: it is bounded by its payload too.
    #[test]
    fn a_batch_is_bounded_in_bytes() {
        let store = MemoryStore::new();
        let stream = StreamName::new("a-1").unwrap();
        let sizes = [PAGE_BYTES_MAX / 2, PAGE_BYTES_MAX / 2, 1, PAGE_BYTES_MAX + 1, 0, 1];
        for (size, id) in sizes.into_iter().zip(1..) {
            let event_type = EventType::new("x").unwrap();
            let event = EventData::new(Uuid::from_u128(id), event_type, vec![0; size]);
            now(store.append(Append::to(stream.clone(), [event]))).unwrap();
        }
        let mut batches = now(store.read(Read::stream(stream))).unwrap().batches;
        let mut counts = Vec::new();
        while let Some(batch) = now(next_batch(&mut batches)) {
            counts.push(batch.unwrap().events.len());
        }
        assert_eq!(counts, [2, 1, 1, 2]);
    }

    /// Cause: what of a stream is visible was asked at each batch, so that a read whose head was
    /// before a deletion came back empty: not one snapshot. Fix: it is asked when the read begins.
    #[test]
    fn a_stream_that_is_deleted_while_it_is_read_is_read_to_the_end() {
        let store = MemoryStore::new();
        let stream = StreamName::new("a-1").unwrap();
        let event = EventData::new(Uuid::from_u128(1), EventType::new("x").unwrap(), "{}");
        now(store.append(Append::to(stream.clone(), [event]))).unwrap();
        let mut batches = now(store.read(Read::stream(stream.clone()))).unwrap().batches;
        now(store.change(&stream, crate::Change::Delete, None)).unwrap();
        let batch = now(next_batch(&mut batches)).unwrap().unwrap();
        assert_eq!(batch.events.len(), 1);
    }
}
