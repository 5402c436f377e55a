//! The runner: subscribes, decodes, hands over, commits; and begins again when the world failed.
//!
//! What must hold: nothing is passed over but what the policy puts aside or leaves out; a
//! checkpoint never moves past what was not handled; and whoever waits for a position is woken only
//! when everything up to it is committed.

use super::{
    Commit, Either, EventError, Failure, Finally, Handler, OnError, RunState, Spec,
    poll::{caught, race},
    seat::{Interrupt, Seat, Want},
    tenure,
};
use crate::{
    Envelope,
    event::{Decoded, Decoder},
    observe::{meter::Committed, span},
    personal::Keys,
    planted::{Bug, is_on},
};
use factum_core::{
    Batch, EventStore, Position, RecordedEvent, Select, Subscribe, Timestamp, next_batch,
    store::DynBatches,
};
use std::time::Duration;
use tracing::Instrument;

/// How many events are handled, at most, before they are committed.
const COMMIT_EVENTS_MAX: u64 = 2_000;
/// How far the store goes on, without a match, before the checkpoint is written nevertheless.
const IDLE_POSITIONS_MAX: u64 = 4_096;
/// The longest pause between two attempts to handle one event.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why a session ended.
pub(super) enum End {
    Interrupted(Interrupt),
    Failed(Failure),
}

impl<F: Into<Failure>> From<F> for End {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// Runs a consumer until its app ends.
pub(crate) async fn run<H: Handler>(mut handler: H, seat: Seat) {
    let mut attempt = 0;
    loop {
        let want = seat.want();
        if want.paused {
            seat.enter(RunState::Paused);
            match seat.interrupted(want).await {
                Interrupt::Stop => return,
                Interrupt::Turn => continue,
            }
        }
        let (end, progressed) = turn(&mut handler, &seat, want).await;
        attempt = if progressed { 0 } else { attempt + 1 };
        let interrupt = match end {
            End::Interrupted(interrupt) => Some(interrupt),
            End::Failed(Failure::Moved) if attempt == 0 => None,
            End::Failed(Failure::Moved) => seat.pause_away(attempt, want).await,
            End::Failed(Failure::Idle) => {
                seat.enter(RunState::Idle);
                Some(seat.interrupted(want).await)
            }
            End::Failed(Failure::Away { why }) => {
                seat.failed(&why);
                seat.enter(RunState::Away { why: why.into() });
                seat.pause_away(attempt, want).await
            }
            End::Failed(failure) => {
                let why = failure.to_string();
                seat.failed(&why);
                seat.enter(RunState::Stopped { why: why.into() });
                Some(seat.interrupted(want).await)
            }
        };
        if interrupt == Some(Interrupt::Stop) {
            return;
        }
    }
}

/// One session, while this instance has the lease, where one is needed. Answers how it ended, and
/// whether something was committed.
async fn turn<H: Handler>(handler: &mut H, seat: &Seat, want: Want) -> (End, bool) {
    let lease = match tenure::hold(handler, seat, want).await {
        Ok(lease) => lease,
        Err(end) => return (end, false),
    };
    let mut session = Session::new(handler, seat, want);
    let Some(mut lease) = lease else {
        let end = session.run().await;
        return (end, session.progressed);
    };
    let end = match race(lease.keep(), session.run()).await {
        Either::First(lost) => End::Failed(Failure::away(lost)),
        Either::Second(end) => {
            let progressed = session.progressed;
            // What goes on at once keeps it.
            if !matches!(end, End::Failed(Failure::Moved)) {
                tenure::give_up(lease, seat).await;
            }
            return (end, progressed);
        }
    };
    (end, session.progressed)
}

/// One subscription, from a checkpoint until something ends it.
struct Session<'a, H> {
    handler: &'a mut H,
    seat: &'a Seat,
    want: Want,
    /// Everything up to here was handed over.
    done: Position,
    /// And committed up to here.
    committed: Position,
    /// Handled since the last commit.
    staged: u64,
    /// When the first of these was handed over, and when the last was recorded.
    begun: Timestamp,
    recorded: Timestamp,
    /// It was told once that it has caught up.
    told_caught_up: bool,
    /// Something was committed.
    progressed: bool,
}

impl<'a, H: Handler> Session<'a, H> {
    fn new(handler: &'a mut H, seat: &'a Seat, want: Want) -> Self {
        Self {
            handler,
            seat,
            want,
            done: Position::START,
            committed: Position::START,
            staged: 0,
            begun: Timestamp(0),
            recorded: Timestamp(0),
            told_caught_up: false,
            progressed: false,
        }
    }

    async fn run(&mut self) -> End {
        match self.follow().await {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, End> {
        let after = self.guarded(async |handler| handler.checkpoint().await).await?;
        (self.done, self.committed) = (after, after);
        self.reached(after, false);
        let select = Select::Query(self.seat.shared.spec.query.clone());
        let subscribe = Subscribe { select, after: Some(after.0) };
        let mut batches = self.seat.store.subscribe(subscribe).await?;
        self.seat.enter(RunState::Running);
        loop {
            let batch = match self.next(&mut batches).await {
                Ok(Some(batch)) => batch,
                Ok(None) => continue,
                Err(end) => return Err(self.keep_done(end).await),
            };
            let Spec { name, version, .. } = &self.seat.shared.spec;
            let span = span::batch(name, *version, self.done);
            let handled = self.batch(&batch).instrument(span.clone()).await;
            span.record("events", batch.events.len());
            span.record("position", self.committed.0);
            span.record("caught_up", batch.caught_up);
            match &handled {
                Err(End::Failed(failure)) => span::failed(&span, "failed", failure),
                Err(End::Interrupted(_)) => span::end(&span, "interrupted"),
                Ok(()) => span::end(&span, "handled"),
            }
            handled?;
        }
    }

    /// Hands over what is new in a batch, and commits it.
    async fn batch(&mut self, batch: &Batch) -> Result<(), End> {
        if self.staged == 0 {
            self.begun = self.seat.world.now();
        }
        let keys = self.keys(&batch.events).await?;
        // A store delivers at least once: what it repeats was handed over before.
        let done = self.done;
        let is_new = |at: Position| at > done || is_on(Bug::HandleRepeated);
        for event in batch.events.iter().filter(|event| is_new(event.position())) {
            if let Err(end) = self.take(event, keys.as_ref()).await {
                return Err(self.keep_done(end).await);
            }
            (self.done, self.recorded) = (event.position(), event.recorded_at());
            if self.staged >= COMMIT_EVENTS_MAX {
                self.commit(false).await?;
            }
        }
        self.done = self.done.max(batch.through);
        self.end_batch(batch.caught_up).await
    }

    /// The next batch; `None` where it was time for something else.
    async fn next(&mut self, batches: &mut DynBatches) -> Result<Option<Batch>, End> {
        let seat = self.seat;
        let due = self.handler.due();
        let alarm = async {
            match due {
                Some(due) => seat.world.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let own = race(self.handler.called(), alarm);
        let outside = race(seat.interrupted(self.want), own);
        match race(outside, next_batch(batches)).await {
            Either::First(Either::First(interrupt)) => Err(End::Interrupted(interrupt)),
            Either::First(Either::Second(_)) => {
                let now = seat.world.now();
                self.guarded(async |handler| handler.tick(now).await).await?;
                Ok(None)
            }
            Either::Second(Some(batch)) => Ok(Some(batch?)),
            Either::Second(None) => Err(Failure::away("the subscription ended").into()),
        }
    }

    /// Whatever ends the session, what was handled before is committed: else a store that is away
    /// after every few events would let nobody come through.
    async fn keep_done(&mut self, end: End) -> End {
        if self.staged == 0 {
            return end;
        }
        match self.commit(false).await {
            Ok(()) => end,
            Err(failed) => failed,
        }
    }

    async fn end_batch(&mut self, caught_up: bool) -> Result<(), End> {
        let idle = self.done.0.saturating_sub(self.committed.0) >= IDLE_POSITIONS_MAX;
        let tell = caught_up && !self.told_caught_up;
        let full = self.staged > 0 && (caught_up || self.staged >= COMMIT_EVENTS_MAX);
        if idle || tell || full {
            self.commit(caught_up).await?;
        } else if self.staged == 0 {
            // Nothing of it is this consumer's: whoever waits need not wait for the checkpoint.
            self.seat.advance(self.done, caught_up);
        }
        Ok(())
    }

    async fn commit(&mut self, caught_up: bool) -> Result<(), End> {
        let commit = Commit { through: self.done, caught_up };
        self.guarded(async |handler| handler.commit(commit).await).await?;
        self.committed = self.done;
        let now = self.seat.world.now();
        self.seat.shared.meter.committed(&Committed {
            events: self.staged,
            parked: self.handler.parked(),
            begun: self.begun,
            recorded: self.recorded,
            now,
            caught_up,
        });
        (self.staged, self.begun) = (0, now);
        self.progressed = true;
        self.told_caught_up |= caught_up;
        self.reached(self.done, caught_up);
        Ok(())
    }

    /// Tells who waits, once for all that changed.
    fn reached(&self, through: Position, caught_up: bool) {
        let (parked, generation) = (self.handler.parked(), self.handler.generation());
        self.seat.update(|progress| {
            (progress.parked, progress.generation) = (parked, generation);
            (progress.through, progress.caught_up) = (through, caught_up);
        });
    }

    /// The keys of the personal data in a batch. A key store that is away is waited for.
    async fn keys(&mut self, events: &[RecordedEvent]) -> Result<Option<Keys>, End> {
        match Keys::of_batch(self.seat.keys.as_deref(), events).await {
            Ok(keys) => Ok(keys),
            Err(error) => Err(self.keep_done(Failure::from(error).into()).await),
        }
    }

    async fn take(&mut self, recorded: &RecordedEvent, keys: Option<&Keys>) -> Result<(), End> {
        let decoder = Decoder { policy: self.seat.shared.spec.decode, keys };
        match decoder.envelope::<H::Event>(recorded) {
            Ok(Decoded::Skip) => Ok(()),
            Ok(Decoded::One(event)) => self.hand_over(recorded, &[event]).await,
            Ok(Decoded::Several(events)) => self.hand_over(recorded, &events).await,
            Err(error) => {
                let error = EventError::from(error);
                self.note(&error);
                let skip = error.newer && self.seat.shared.spec.skip_newer;
                let finally =
                    if skip { Finally::Skip } else { self.seat.shared.spec.on_error.finally() };
                self.give_up(recorded, error, finally).await.map(drop)
            }
        }
    }

    /// Hands an event over until it is handled or given up.
    async fn hand_over(
        &mut self,
        recorded: &RecordedEvent,
        events: &[Envelope<H::Event>],
    ) -> Result<(), End> {
        let policy = self.seat.shared.spec.on_error;
        let mut attempt = 0;
        loop {
            let handled = caught(self.handler.handle(events)).await;
            let error = match handled {
                Ok(Ok(())) => break,
                Ok(Err(Failure::Event(error))) => error,
                Ok(Err(failure)) => return Err(failure.into()),
                Err(panic) => EventError::new(recorded, panic),
            };
            self.note(&error);
            if let OnError::Retry { attempts, first, .. } = policy
                && error.retryable
                && attempt < attempts
            {
                let pause = self.seat.pause(attempt, first, self.want, RETRY_PAUSE_MAX).await;
                if let Some(interrupt) = pause {
                    return Err(End::Interrupted(interrupt));
                }
                attempt += 1;
                continue;
            }
            if !self.give_up(recorded, error, policy.finally()).await? {
                return Ok(());
            }
            attempt = 0;
        }
        self.staged += 1;
        self.seat.shared.progress.send_if_modified(|progress| {
            progress.handled += 1;
            false
        });
        Ok(())
    }

    /// Whether it is to be handled again, for other keys.
    async fn give_up(
        &mut self,
        recorded: &RecordedEvent,
        error: EventError,
        finally: Finally,
    ) -> Result<bool, End> {
        match finally {
            Finally::Stop => Err(Failure::Event(error).into()),
            Finally::Park => {
                self.staged += 1;
                let park = async |handler: &mut H| handler.park(recorded, &error).await;
                self.guarded(park).await
            }
            Finally::Skip => {
                self.staged += 1;
                self.seat.update(|progress| progress.skipped += 1);
                self.seat.shared.meter.skipped.increment(1);
                let skip = async |handler: &mut H| handler.skip(recorded, &error).await;
                self.guarded(skip).await
            }
        }
    }

    fn note(&self, error: &EventError) {
        self.seat.failed(&error.to_string());
    }

    /// A panic outside of an event is nothing that waiting mends.
    async fn guarded<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut H) -> Result<T, Failure>,
    ) -> Result<T, End> {
        match caught(call(self.handler)).await {
            Ok(done) => Ok(done?),
            Err(panic) => Err(Failure::fatal(panic).into()),
        }
    }
}
