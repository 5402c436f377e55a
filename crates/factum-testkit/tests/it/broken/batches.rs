//! The batches of a store with a bug.

use super::store::{Bug, Notes};
use factum_core::{
    AsOf, Batch, Position, ReadError, RecordedEvent, Stream, Timestamp,
    memory::MemoryBatches,
    page::{PageBuilder, Place},
};
use std::{
    collections::HashSet,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

pub(super) struct BrokenBatches {
    inner: MemoryBatches,
    bug: Option<Bug>,
    as_of: AsOf,
    visible: Option<HashSet<Position>>,
    notes: Option<Arc<Mutex<Notes>>>,
    /// The head when a subscription began.
    head: Option<Position>,
    through: Position,
    was_caught_up: bool,
    last: Option<RecordedEvent>,
    /// The first event past the as-of was met.
    ended: bool,
}

impl BrokenBatches {
    pub(super) fn of_read(inner: MemoryBatches, bug: Option<Bug>, as_of: AsOf) -> Self {
        Self {
            inner,
            bug,
            as_of,
            visible: None,
            notes: None,
            head: None,
            through: Position::START,
            was_caught_up: false,
            last: None,
            ended: false,
        }
    }

    pub(super) fn of_subscription(inner: MemoryBatches, bug: Option<Bug>, head: Position) -> Self {
        Self { head: Some(head), ..Self::of_read(inner, bug, AsOf::Now) }
    }

    pub(super) fn seeing(
        self,
        visible: Option<HashSet<Position>>,
        notes: Arc<Mutex<Notes>>,
    ) -> Self {
        Self { visible, notes: Some(notes), ..self }
    }

    fn spoil(&mut self, batch: &mut Batch) {
        if let Some(visible) = &self.visible {
            batch.events.retain(|event| visible.contains(&event.position()));
        }
        if let (Some(notes), Some(Bug::LateCommit)) = (&self.notes, self.bug) {
            let notes = notes.lock().unwrap();
            batch.events.retain(|event| !notes.late.contains(&event.position()));
        }
        if let (Some(notes), Some(Bug::RecordedGoesBack)) = (&self.notes, self.bug) {
            let clock = notes.lock().unwrap().clock.clone();
            let at = |event: &RecordedEvent| clock.get(&event.position()).copied();
            let events = batch.events.iter().flat_map(|event| recorded(event, at(event)));
            batch.events = events.collect();
            if let AsOf::Recorded(moment) = self.as_of {
                batch.events.retain(|event| event.recorded_at() <= moment);
            }
        }
        if let (Some(Bug::OccurredIsPrefix), AsOf::Occurred(moment)) = (self.bug, self.as_of) {
            batch.events.retain(|event| {
                self.ended |= event.occurred_at() > moment;
                !self.ended
            });
        }
        if let Some(head) = self.head {
            self.spoil_live(batch, head);
        }
    }

    fn spoil_live(&mut self, batch: &mut Batch, head: Position) {
        match self.bug {
            Some(Bug::CheckpointStuck) if batch.events.is_empty() => batch.through = self.through,
            Some(Bug::CheckpointAhead) => batch.through = batch.through.max(head),
            Some(Bug::LiveSkipsOne) if self.was_caught_up && !batch.events.is_empty() => {
                batch.events.remove(0);
            }
            Some(Bug::LiveRepeatsOne) if self.was_caught_up => {
                batch.events.splice(0..0, self.last.clone());
            }
            _ => {}
        }
        self.through = batch.through;
        self.was_caught_up |= batch.caught_up;
        self.last = batch.events.last().cloned().or(self.last.take());
    }
}

/// The event as if it had been recorded then.
fn recorded(event: &RecordedEvent, at: Option<Timestamp>) -> Vec<RecordedEvent> {
    let place = Place {
        stream: event.stream().clone(),
        revision: event.revision(),
        position: event.position(),
        recorded_at: at.unwrap_or(event.recorded_at()),
    };
    let mut page = PageBuilder::default();
    page.push_data(place, &event.to_data());
    page.build()
}

impl Stream for BrokenBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut next = Pin::new(&mut self.inner).poll_next(context);
        if let Poll::Ready(Some(Ok(batch))) = &mut next {
            self.spoil(batch);
        }
        next
    }
}
