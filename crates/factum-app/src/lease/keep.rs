//! Keeping a lease: beats, and noticing that it is lost before anybody else may have it.

use super::{Lease, LeaseError};
use crate::consumer::{Either, race};
use factum_core::{Append, AppendError, EventStore, Tracking};
use std::time::Duration;

impl Lease {
    /// Beats until the lease is lost, and says how. While this is not polled, it is being lost.
    pub async fn keep(&mut self) -> LeaseError {
        let world = self.of.world.clone();
        let (beat, left) = (self.of.takeover / 4, self.of.takeover * 3 / 4);
        let mut limit = world.sleep(left);
        loop {
            // Counted from before the beat is sent: whoever waits counts from when it saw it.
            let next = world.sleep(left);
            match race(self.beat(), &mut limit).await {
                Either::First(Ok(())) => limit = next,
                Either::First(Err(error)) => return error,
                Either::Second(()) => return self.lost(),
            }
            if let Either::First(()) = race(&mut limit, world.sleep(beat)).await {
                return self.lost();
            }
        }
    }

    fn lost(&self) -> LeaseError {
        LeaseError::Lost { name: self.name.clone(), epoch: self.epoch }
    }

    /// One beat, sent until it is known to be there.
    async fn beat(&mut self) -> Result<(), LeaseError> {
        self.beats = self.beats.wrapping_add(1);
        let position = (self.epoch.0 << 32) | u64::from(self.beats);
        let tracking = Some(Tracking { source: self.source().into(), position });
        let append = Append { events: Vec::new(), checks: vec![self.fence()], tracking };
        let pause: Duration = self.of.takeover / 20;
        loop {
            match self.of.store.append(append.clone()).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Tracked { stored, .. }) if stored == position => return Ok(()),
                Err(AppendError::Tracked { .. } | AppendError::Conflict { .. }) => {
                    return Err(self.lost());
                }
                Err(error) if error.is_retryable() => self.of.world.sleep(pause).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
