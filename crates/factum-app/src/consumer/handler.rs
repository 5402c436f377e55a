//! What a consumer is to the runner.

use super::{EventError, Failure};
use crate::{Envelope, event::EventSet};
use factum_core::{Check, Position, RecordedEvent, Timestamp};

/// What a consumer does with events. The runner calls it from one task: `checkpoint`, then events
/// and commits in turn; after a failure of the world `checkpoint` again.
pub trait Handler: Send + 'static {
    /// The events it knows.
    type Event: EventSet;

    /// Forgets what is not committed, and says where to go on from, exclusive.
    fn checkpoint(&mut self) -> impl Future<Output = Result<Position, Failure>> + Send;

    /// Handles what one stored event became: one event, or several where it was split. All of it or
    /// nothing: after an error it may be handed over again. What it changes may wait for `commit`.
    fn handle(
        &mut self,
        events: &[Envelope<Self::Event>],
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Makes durable what was handled, together with the checkpoint. Called at the end of a batch,
    /// and now and then where nothing was to be handled.
    fn commit(&mut self, commit: Commit) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Keeps an event that failed, so that what comes later for its key waits behind it. Durable
    /// with the next commit. Answers whether the event is to be handled again, for its other keys.
    fn park(
        &mut self,
        event: &RecordedEvent,
        error: &EventError,
    ) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Leaves out an event that failed. Answers whether it is to be handled again, for its other
    /// keys.
    fn skip(
        &mut self,
        _event: &RecordedEvent,
        _error: &EventError,
    ) -> impl Future<Output = Result<bool, Failure>> + Send {
        async { Ok(false) }
    }

    /// How many events wait, put aside or behind one that was.
    fn parked(&self) -> u64 {
        0
    }

    /// Which generation of what it makes it is at, where it makes something anew now and then.
    fn generation(&self) -> u64 {
        0
    }

    /// Of several instances of the app (`AppBuilder::shared`) one runs it at a time. Not so where
    /// each instance has what it makes for itself.
    fn is_shared(&self) -> bool {
        true
    }

    /// How far whoever has it is, where another instance of the app does; also moves `generation`.
    fn peek(&mut self) -> impl Future<Output = Result<Option<Position>, Failure>> + Send {
        async { Ok(None) }
    }

    /// This instance has it from now on. Appends under this check are refused once another has it.
    fn fence(&mut self, _fence: Check) {}

    /// When it wants to be woken though nothing comes; asked after each batch and each `tick`.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// Resolves when there is something of its own to do: `tick` follows. Dropped and asked again
    /// at any time.
    fn called(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// That time has come, or it was called.
    fn tick(&mut self, _now: Timestamp) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }
}

/// The end of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Everything that the consumer follows has been handed over up to here.
    pub through: Position,
    /// Nothing more was there.
    pub caught_up: bool,
}
