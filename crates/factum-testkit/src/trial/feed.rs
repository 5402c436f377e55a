//! A subscription with an end to its patience.

use crate::{Failure, build, run::patiently, wait::poll_once};
use factum_core::{Batch, Position, RecordedEvent, next_batch, store::DynBatches};
use std::{pin::pin, task::Poll, time::Duration};

/// What a subscription delivers, pulled batch by batch.
pub struct Feed {
    batches: DynBatches,
    patience: Duration,
    through: Position,
}

impl Feed {
    pub(super) fn new(batches: DynBatches, patience: Duration) -> Self {
        Self { batches, patience, through: Position::START }
    }

    /// The next batch.
    pub async fn next(&mut self) -> Result<Batch, Failure> {
        self.wait("the next batch of a subscription").await
    }

    async fn wait(&mut self, what: &str) -> Result<Batch, Failure> {
        let batch = patiently(self.patience, what, next_batch(&mut self.batches)).await?;
        let batch = batch.ok_or_else(|| Failure::new("a subscription ended"))??;
        self.through = batch.through;
        Ok(batch)
    }

    /// The checkpoint of the last batch.
    #[must_use]
    pub fn through(&self) -> Position {
        self.through
    }

    /// All events until the checkpoint has reached a position.
    pub async fn up_to(&mut self, position: Position) -> Result<Vec<RecordedEvent>, Failure> {
        let mut events = Vec::new();
        while self.through < position {
            let what = format!("a checkpoint at {position} or later: it is at {}", self.through);
            events.extend(self.wait(&what).await?.events);
        }
        Ok(events)
    }

    /// All events until so many have come.
    pub async fn first(&mut self, count: usize) -> Result<Vec<RecordedEvent>, Failure> {
        let mut events = Vec::new();
        while events.len() < count {
            let missing = count - events.len();
            let what =
                format!("{missing} more events after {:?}", build::positions(&events).last());
            events.extend(self.wait(&what).await?.events);
        }
        Ok(events)
    }

    /// Waits until the subscription says that nothing more is there; all events until then.
    pub async fn caught_up(&mut self) -> Result<Vec<RecordedEvent>, Failure> {
        let mut events = Vec::new();
        loop {
            let batch = self.wait("a subscription to have caught up").await?;
            events.extend(batch.events);
            if batch.caught_up {
                return Ok(events);
            }
        }
    }

    /// Pulls empty batches until the subscription waits.
    pub async fn settled(&mut self) -> Result<(), Failure> {
        loop {
            let next = poll_once(&mut pin!(next_batch(&mut self.batches)).as_mut()).await;
            let Poll::Ready(batch) = next else { return Ok(()) };
            let batch = batch.ok_or_else(|| Failure::new("a subscription ended"))??;
            if !batch.events.is_empty() {
                return Err(Failure::new(format!("nothing was appended, and yet: {batch:?}")));
            }
            self.through = batch.through;
        }
    }

    /// The subscription itself.
    pub fn batches(&mut self) -> &mut DynBatches {
        &mut self.batches
    }
}
