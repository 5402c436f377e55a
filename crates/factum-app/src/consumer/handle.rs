//! A running consumer, from outside: how far it is, and pausing it.

use super::{Progress, RunState, Spec, seat::Shared};
use crate::world::World;
use factum_core::{
    AnyStore, Direction, EventStore, Position, Query, Read, ReadError, Timestamp, next_batch,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// A consumer of an app.
#[derive(Clone, Debug)]
pub struct ConsumerHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: AnyStore,
    pub(crate) world: Arc<dyn World>,
}

/// How far a consumer is behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lag {
    /// At most so many events, those that it does not follow among them.
    pub events: u64,
    /// How long ago the oldest event was recorded that it has not handled; zero if there is none.
    pub time: Duration,
}

/// What is known about a consumer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// What it does, how far it is, what it counted.
    pub progress: Progress,
    /// How far it is behind.
    pub lag: Lag,
}

impl ConsumerHandle {
    /// What it is called, what it follows, and how.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.shared.spec
    }

    /// How far it is, as a channel that tells of each change.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }

    /// What is known about it now. Asks the store how far that is.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    pub async fn status(&self) -> Result<ConsumerStatus, ReadError> {
        let progress = self.shared.progress.borrow().clone();
        let Spec { name, version, query, .. } = &self.shared.spec;
        let lag = self.lag(query, progress.through).await?;
        self.shared.meter.lag(lag);
        Ok(ConsumerStatus { name: name.clone(), version: *version, progress, lag })
    }

    async fn lag(&self, query: &Query, through: Position) -> Result<Lag, ReadError> {
        let read = Read {
            direction: Direction::Forward,
            from: Some(through.0.saturating_add(1)),
            limit: Some(1),
            ..Read::query(query.clone())
        };
        let mut reading = self.store.read(read).await?;
        while let Some(batch) = next_batch(&mut reading.batches).await {
            if let Some(oldest) = batch?.events.first() {
                let events = reading.head.0.saturating_sub(through.0);
                let time = since(oldest.recorded_at(), self.world.now());
                return Ok(Lag { events, time });
            }
        }
        Ok(Lag::default())
    }

    /// Stops it where it is, and waits until that is so. What it handled is committed, or handled
    /// again later.
    pub async fn pause(&self) {
        self.shared.want.send_modify(|want| want.paused = true);
        let rests = |state: &RunState| matches!(state, RunState::Paused | RunState::Ended);
        // An error is a sender that is gone, and so the consumer.
        let _ = self.progress().wait_for(|progress| rests(&progress.state)).await;
    }

    /// Has it begin again at its checkpoint, if it is not paused.
    pub(crate) fn kick(&self) {
        self.shared.want.send_modify(|want| want.again += 1);
    }

    /// Lets it go on: from its checkpoint, whether it was paused or has stopped.
    pub fn resume(&self) {
        self.shared.want.send_modify(|want| {
            want.paused = false;
            want.again += 1;
        });
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::from_nanos(u64::try_from(now.0.saturating_sub(then.0)).unwrap_or_default())
}
