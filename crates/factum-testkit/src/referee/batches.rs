//! What every batch of every read and subscription must be like.

use factum_core::{
    AsOf, Batch, Direction, Position, Read, ReadError, RecordedEvent, Select, Subscribe,
    page::PAGE_BYTES_MAX, store::DynBatches,
};
use futures_util::Stream;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// What was asked, and where the answer has got to.
pub(super) struct Rules {
    select: Select,
    direction: Direction,
    /// Inclusive, in revisions or positions.
    from: Option<u64>,
    limit: u64,
    as_of: AsOf,
    /// The head that a read told first; a subscription has none.
    head: Option<Position>,
    delivered: u64,
    last: Option<Position>,
    through: Option<Position>,
    caught_up: bool,
}

impl Rules {
    pub(super) fn of_read(read: Read, head: Position) -> Self {
        Self {
            select: read.select,
            direction: read.direction,
            from: read.from,
            limit: read.limit.unwrap_or(u64::MAX),
            as_of: read.as_of,
            head: Some(head),
            delivered: 0,
            last: None,
            through: None,
            caught_up: false,
        }
    }

    pub(super) fn of_subscription(subscribe: Subscribe) -> Self {
        let from = subscribe.after.map(|after| after.saturating_add(1));
        let read = Read { from, ..Read::select(subscribe.select) };
        Self { head: None, ..Self::of_read(read, Position::START) }
    }

    fn batch(&mut self, batch: &Batch) {
        if self.head.is_some() {
            assert!(!self.caught_up, "a read went on after it had caught up: {batch:?}");
        }
        for event in &batch.events {
            self.event(event);
        }
        self.checkpoint(batch);
        self.caught_up = batch.caught_up;
        let bytes: usize = batch.events.iter().map(|e| e.data().len() + e.metadata().len()).sum();
        let few = batch.events.len() <= 1 || bytes <= PAGE_BYTES_MAX;
        assert!(few, "a batch of {} events has {bytes} bytes", batch.events.len());
    }

    fn event(&mut self, event: &RecordedEvent) {
        self.delivered += 1;
        assert!(self.delivered <= self.limit, "event {} of {}", self.delivered, self.limit);
        assert!(self.is_selected(event), "{event:?} was not asked for: {:?}", self.select);
        let position = event.position();
        assert!(position > Position::START, "position 0 is before the first event: {event:?}");
        assert!(self.is_after(self.last, position), "{event:?} came after {:?}", self.last);
        // What a checkpoint covers has been delivered: nothing comes twice.
        assert!(self.is_after(self.through, position), "{event:?} after {:?}", self.through);
        self.last = Some(position);
        let in_snapshot = self.head.is_none_or(|head| position <= head);
        assert!(in_snapshot, "{event:?} lies past the head {:?} that was read", self.head);
        assert!(self.is_from(event), "{event:?} lies before {:?}", self.from);
        let in_time = match self.as_of {
            AsOf::Now => true,
            AsOf::Position(last) => position <= last,
            AsOf::Recorded(moment) => event.recorded_at() <= moment,
            AsOf::Occurred(moment) => event.occurred_at() <= moment,
        };
        assert!(in_time, "{event:?} is not of the past that was asked for: {:?}", self.as_of);
    }

    fn is_selected(&self, event: &RecordedEvent) -> bool {
        match &self.select {
            Select::Stream(stream) => event.stream() == stream,
            Select::Query(query) => query.matches(event),
        }
    }

    fn is_after(&self, earlier: Option<Position>, later: Position) -> bool {
        earlier.is_none_or(|earlier| match self.direction {
            Direction::Forward => earlier < later,
            Direction::Backward => earlier > later,
        })
    }

    fn is_from(&self, event: &RecordedEvent) -> bool {
        let place = match self.select {
            Select::Stream(_) => event.revision().0,
            Select::Query(_) => event.position().0,
        };
        self.from.is_none_or(|from| match self.direction {
            Direction::Forward => place >= from,
            Direction::Backward => place <= from,
        })
    }

    fn checkpoint(&mut self, batch: &Batch) {
        let through = batch.through;
        let back = self.through.is_some_and(|before| self.is_after(Some(through), before));
        assert!(!back, "the checkpoint went back from {:?} to {through}", self.through);
        let ahead = self.last.is_some_and(|last| self.is_after(Some(through), last));
        assert!(!ahead, "an event at {:?} lies past the checkpoint {through}", self.last);
        self.through = Some(through);
    }

    fn end(&self) {
        assert!(self.head.is_some(), "a subscription ended: it has no end");
    }
}

/// Batches that are judged as they pass.
pub(crate) struct Refereed {
    inner: DynBatches,
    rules: Rules,
}

impl Refereed {
    pub(super) fn new(inner: DynBatches, rules: Rules) -> Self {
        Self { inner, rules }
    }
}

impl Stream for Refereed {
    type Item = Result<Batch, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.inner.as_mut().poll_next(context);
        match &next {
            Poll::Ready(Some(Ok(batch))) => self.rules.batch(batch),
            Poll::Ready(None) => self.rules.end(),
            _ => {}
        }
        next
    }
}
