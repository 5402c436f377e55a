//! The batches of a faulty store: late, in parts, again, or broken off; never one too few.

use super::store::{DEAD, Process};
use factum_app::world::BoxFuture;
use factum_core::{Batch, ReadError, Stream, store::DynBatches};
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

/// Batches as a faulty store delivers them.
pub struct FaultyBatches {
    batches: DynBatches,
    process: Process,
    /// A subscription: its batches may be split and delivered again.
    follows: bool,
    waiting: VecDeque<Batch>,
    /// The next one is on its way. Behind a lock so that this can be shared, which nobody does.
    arrives: Mutex<Option<BoxFuture<'static, ()>>>,
    over: bool,
}

impl FaultyBatches {
    pub(super) fn new(batches: DynBatches, process: Process, follows: bool) -> Self {
        let (waiting, arrives) = (VecDeque::new(), Mutex::new(None));
        Self { batches, process, follows, waiting, arrives, over: false }
    }

    /// Takes a batch in, as it will be delivered.
    fn take_in(&mut self, batch: Batch) {
        let faults = &self.process.faults;
        let again = (self.follows && faults.repeats()).then(|| batch.clone());
        let split = if self.follows { faults.splits(batch.events.len()) } else { None };
        match split {
            None => self.waiting.push_back(batch),
            Some(at) => self.waiting.extend(split_at(batch, at)),
        }
        self.waiting.extend(again);
        let delay = faults.delay();
        if !delay.is_zero() {
            self.arrives = Mutex::new(Some(self.process.world.sleep(delay)));
        }
    }

    fn break_off(&mut self, why: &'static str) -> Poll<Option<Result<Batch, ReadError>>> {
        self.over = true;
        Poll::Ready(Some(Err(ReadError::Unavailable { why: why.into() })))
    }

    /// Whether what is on its way has arrived.
    fn has_arrived(&mut self, context: &mut Context<'_>) -> bool {
        let arrives = self.arrives.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(sleep) = arrives {
            if sleep.as_mut().poll(context).is_pending() {
                return false;
            }
            *arrives = None;
        }
        true
    }
}

/// The first part is not caught up, and goes through its own last event.
fn split_at(mut batch: Batch, at: usize) -> [Batch; 2] {
    let rest = batch.events.split_off(at);
    let through = batch.events.last().map_or(batch.through, |event| event.position());
    let second = Batch { events: rest, ..batch };
    [Batch { events: batch.events, through, caught_up: false }, second]
}

impl Stream for FaultyBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.over {
                return Poll::Ready(None);
            }
            if !this.has_arrived(context) {
                return Poll::Pending;
            }
            if this.process.is_down() {
                return this.break_off(DEAD);
            }
            if let Some(batch) = this.waiting.pop_front() {
                this.process.faults.count(|counts| counts.batches += 1);
                return Poll::Ready(Some(Ok(batch)));
            }
            match this.batches.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(batch))) => {
                    if this.process.faults.breaks() {
                        return this.break_off("planned by the test: it broke off");
                    }
                    this.take_in(batch);
                }
                Poll::Ready(end) => {
                    this.over = true;
                    return Poll::Ready(end);
                }
            }
        }
    }
}

impl fmt::Debug for FaultyBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyBatches").field("over", &self.over).finish_non_exhaustive()
    }
}
