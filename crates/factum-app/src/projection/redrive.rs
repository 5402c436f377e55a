//! What was parked is applied after all: when somebody says that the cause is mended.

use super::{Projection, apply, projector::Projector, target::Parked};
use crate::{consumer::Failure, event::Decoder, personal::Keys};
use factum_core::{EventStore, Position, Query, Read, RecordedEvent};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How often it was asked for, and how often this part has done it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redrive {
    asked: Arc<AtomicU64>,
    done: u64,
}

impl Redrive {
    /// Asks every part for it.
    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    fn due(&self) -> Option<u64> {
        let asked = self.asked.load(Ordering::Relaxed);
        (asked != self.done).then_some(asked)
    }
}

impl<P: Projection> Projector<P> {
    /// Applies what is parked, oldest first, if that was asked for. What fails again stays, and so
    /// does what waits behind it.
    pub(super) async fn redrive(&mut self) -> Result<(), Failure> {
        let Some(asked) = self.job.redrive.due() else { return Ok(()) };
        let mut stays: Vec<Parked> = Vec::new();
        let mut blocked = HashSet::new();
        for one in std::mem::take(&mut self.parked) {
            let lane = one.key.clone().ok_or_else(|| one.stream.clone());
            if blocked.contains(&lane) || !self.again(&one).await? {
                blocked.insert(lane);
                stays.push(one);
            } else {
                self.released.push((one.key, one.position));
            }
        }
        self.parked = stays;
        self.block();
        self.keep_parked();
        self.write(self.mark.through).await?;
        self.job.redrive.done = asked;
        Ok(())
    }

    /// Whether it could be applied, or is gone from the store.
    async fn again(&mut self, one: &Parked) -> Result<bool, Failure> {
        let Some(recorded) = self.event_at(one.position).await? else { return Ok(true) };
        let keys = self.job.keys.as_deref();
        let keys = Keys::of_batch(keys, std::slice::from_ref(&recorded)).await?;
        let decoder = Decoder { policy: self.job.decode, keys: keys.as_ref() };
        let Ok(decoded) = decoder.envelope::<P::Event>(&recorded) else {
            return Ok(false);
        };
        let mut events = Vec::new();
        decoded.for_each(|event| events.push(event));
        let mut applied = Vec::new();
        for event in &events {
            let Ok(mut keys) = self.keys(event) else { return Ok(false) };
            keys.retain(|key| one.key.as_ref().is_none_or(|only| only == key));
            self.load(&keys).await?;
            for key in keys {
                let known = applied.iter().position(|row: &super::Row<P>| row.key == key);
                let mut row = known.map_or_else(|| self.row(key), |at| applied.swap_remove(at));
                if apply(&mut row, event).is_err() {
                    return Ok(false);
                }
                applied.push(row);
            }
        }
        applied.into_iter().for_each(|row| self.keep(row));
        Ok(true)
    }

    async fn event_at(&self, position: Position) -> Result<Option<RecordedEvent>, Failure> {
        let read = Read::query(Query::All);
        let read = Read { from: Some(position.0), limit: Some(1), ..read };
        let events = self.job.store.read(read).await?.events().await?;
        Ok(events.into_iter().find(|event| event.position() == position))
    }
}
