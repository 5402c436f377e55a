//! What the in-memory store holds, and how an append is judged and written there.

use super::index::Index;
use crate::{
    Direction, Position, Query, Receipt, RecordedEvent, Revision, Select, StreamMetadata,
    StreamName, StreamState, Timestamp,
    judge::{FoundAt, Plan, StreamHead, View},
    page::{PageBuilder, Place},
    system,
};
use std::{collections::HashMap, convert::Infallible, fmt, sync::Arc, task::Waker};
use uuid::Uuid;

pub(super) struct State {
    /// Position − 1 is the index.
    pub(super) log: Vec<RecordedEvent>,
    /// The positions of each stream's events, by revision.
    pub(super) streams: HashMap<StreamName, Vec<Position>>,
    pub(super) index: Index,
    pub(super) tracked: HashMap<Arc<str>, u64>,
    pub(super) waiting: Vec<Waker>,
    clock: Box<dyn Fn() -> Timestamp + Send>,
    ids: u128,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(clock: Box<dyn Fn() -> Timestamp + Send>) -> Self {
        Self {
            log: Vec::new(),
            streams: HashMap::new(),
            index: Index::default(),
            tracked: HashMap::new(),
            waiting: Vec::new(),
            clock,
            ids: 0,
        }
    }

    /// Wakes this one when the head moves; once, however often it asks.
    pub(super) fn wake_later(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn head(&self) -> Position {
        Position(self.log.len() as u64)
    }

    pub(super) fn at(&self, position: Position) -> Option<&RecordedEvent> {
        self.log.get(usize::try_from(position.0.checked_sub(1)?).ok()?)
    }

    pub(super) fn in_stream(&self, stream: &StreamName, revision: u64) -> Option<&RecordedEvent> {
        let positions = self.streams.get(stream)?;
        self.at(*positions.get(usize::try_from(revision).ok()?)?)
    }

    fn last_of(&self, stream: &StreamName) -> Option<&RecordedEvent> {
        self.streams.get(stream)?.last().and_then(|position| self.at(*position))
    }

    pub(super) fn stream_head(&self, stream: &StreamName) -> StreamHead {
        let last = self.last_of(stream);
        let set = self.last_of(&stream.metadata_stream());
        let metadata = set.and_then(|event| StreamMetadata::from_json(event.data()).ok());
        StreamHead {
            last: last.map(RecordedEvent::revision),
            tombstoned: last.is_some_and(|e| e.event_type().as_str() == system::STREAM_DELETED),
            metadata: Arc::new(metadata.unwrap_or_else(|| StreamMetadata::initial(stream))),
        }
    }

    pub(super) fn state_of(&self, select: &Select) -> Option<StreamState> {
        match select {
            Select::Stream(stream) => Some(self.stream_head(stream).state()),
            Select::Query(_) => None,
        }
    }

    /// Writes all of a plan: one page an append.
    pub(super) fn write(&mut self, plan: Plan) -> Receipt {
        let last = self.log.last().map_or(Timestamp(i64::MIN), RecordedEvent::recorded_at);
        let recorded_at = self.now().max(last);
        let mut page = PageBuilder::default();
        for (planned, index) in plan.events.iter().zip(1u64..) {
            let position = Position(self.log.len() as u64 + index);
            let positions = self.streams.entry(planned.stream.clone()).or_default();
            assert_eq!(positions.len() as u64, planned.revision.0, "revisions are gapless");
            positions.push(position);
            let (stream, revision) = (planned.stream.clone(), planned.revision);
            page.push_data(Place { stream, revision, position, recorded_at }, &planned.event);
        }
        for event in page.build() {
            self.index.add(&event);
            self.log.push(event);
        }
        if let Some(tracking) = &plan.tracking {
            self.tracked.insert(tracking.source.clone(), tracking.position);
        }
        plan.receipt(self.head())
    }
}

impl View for State {
    type Error = Infallible;

    fn head(&self) -> Position {
        Self::head(self)
    }

    fn stream(&mut self, stream: &StreamName) -> Result<StreamHead, Infallible> {
        Ok(self.stream_head(stream))
    }

    fn find(
        &mut self,
        stream: &StreamName,
        id: Uuid,
        hint: Option<Revision>,
    ) -> Result<Option<FoundAt>, Infallible> {
        let of = |event: &RecordedEvent| FoundAt {
            position: event.position(),
            revision: event.revision(),
        };
        let hinted = hint.and_then(|revision| self.in_stream(stream, revision.0));
        if let Some(event) = hinted.filter(|event| event.id() == id) {
            return Ok(Some(of(event)));
        }
        Ok(self.with_id(stream, id).map(of))
    }

    fn first_match(
        &mut self,
        query: &Query,
        after: Position,
    ) -> Result<Option<Position>, Infallible> {
        let from = Position(after.0.saturating_add(1));
        Ok(self.next_match(query, from, Direction::Forward).map(RecordedEvent::position))
    }

    fn tracked(&mut self, source: &str) -> Result<Option<u64>, Infallible> {
        Ok(self.tracked.get(source).copied())
    }

    fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        // Version 8: of our own making (RFC 9562, section 5.8).
        uuid::Builder::from_custom_bytes(self.ids.to_be_bytes()).into_uuid()
    }
}
