//! What a process answers: commands, timers, compensations, and whether it is over.

use super::Process;
use factum_core::Timestamp;
use std::{fmt, time::Duration};

/// One thing that a process wants.
#[derive(Clone, PartialEq, Debug)]
pub enum Move<C> {
    /// That a command is done, after those before it.
    Send(C),
    /// That a command is done, and tried so often at most.
    Try(C, u32),
    /// That a command is done if the process fails later: the last first.
    CompensateWith(C),
    /// To be told at a time. A timer with the same name is replaced.
    At(Timestamp, String),
    /// That a command is done at a time: a timer with the command's name.
    SendAt(Timestamp, C),
    /// Not to be told.
    Cancel(String),
    /// To be over, all well.
    End,
    /// To be over, all undone.
    Fail(String),
}

/// What follows from an input, in order.
#[must_use = "what is not returned does not happen"]
pub struct Steps<P: Process> {
    now: Timestamp,
    key: String,
    began_with: u32,
    moves: Vec<Move<P::Command>>,
}

impl<P: Process> fmt::Debug for Steps<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.moves).finish()
    }
}

impl<P: Process> Steps<P> {
    /// None yet, for the instance with this key.
    pub fn new(now: Timestamp, key: impl Into<String>) -> Self {
        Self { now, key: key.into(), began_with: P::VERSION, moves: Vec::new() }
    }

    /// The same for an instance that another version began.
    pub fn begun_with(mut self, version: u32) -> Self {
        self.began_with = version;
        self
    }

    /// When the input came: for an event, when it was recorded.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Which instance this is.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The [`Process::VERSION`] that began this run, for who lets those that run end as they began.
    #[must_use]
    pub fn began_with(&self) -> u32 {
        self.began_with
    }

    /// What was answered so far.
    #[must_use]
    pub fn moves(&self) -> &[Move<P::Command>] {
        &self.moves
    }

    pub(crate) fn into_moves(self) -> Vec<Move<P::Command>> {
        self.moves
    }

    fn when(&self, how_long: Duration) -> Timestamp {
        let nanos = i64::try_from(how_long.as_nanos()).unwrap_or(i64::MAX);
        Timestamp(self.now.0.saturating_add(nanos))
    }

    fn and(mut self, one: Move<P::Command>) -> Self {
        self.moves.push(one);
        self
    }

    /// Does a command, after those that were sent before it. Its answer is an input.
    pub fn send(self, command: impl Into<P::Command>) -> Self {
        self.and(Move::Send(command.into()))
    }

    /// Does a command as [`Steps::send`], and tries it so often, at most, where it fails. Then its
    /// answer is [`Reply::Failed`](crate::Reply::Failed), and nobody is asked for help. Once the
    /// process itself has failed it is not tried again.
    pub fn attempt(self, command: impl Into<P::Command>, count: u32) -> Self {
        self.and(Move::Try(command.into(), count))
    }

    /// Does a command if the process fails later; the last one given is done first.
    pub fn compensate_with(self, command: impl Into<P::Command>) -> Self {
        self.and(Move::CompensateWith(command.into()))
    }

    /// Tells the process when so much time has passed. A timer with the same name is replaced.
    pub fn after(self, how_long: Duration, name: impl Into<String>) -> Self {
        let at = self.when(how_long);
        self.at(at, name)
    }

    /// Does a command when so much time has passed, unless this run is over by then. Its answer is
    /// an input.
    ///
    /// It is a timer with the command's name: one with the same name is replaced, and
    /// [`Steps::cancel`] takes it back.
    pub fn send_after(self, how_long: Duration, command: impl Into<P::Command>) -> Self {
        let at = self.when(how_long);
        self.send_at(at, command)
    }

    /// Does a command at a time: see [`Steps::send_after`].
    pub fn send_at(self, at: Timestamp, command: impl Into<P::Command>) -> Self {
        self.and(Move::SendAt(at, command.into()))
    }

    /// Tells the process at a time. A timer with the same name is replaced.
    pub fn at(self, at: Timestamp, name: impl Into<String>) -> Self {
        self.and(Move::At(at, name.into()))
    }

    /// Takes a timer back, if it is set.
    pub fn cancel(self, name: impl Into<String>) -> Self {
        self.and(Move::Cancel(name.into()))
    }

    /// It is over: no more inputs, no more timers. What was sent is still done.
    pub fn end(self) -> Self {
        self.and(Move::End)
    }

    /// It failed: what was sent is waited for, then the compensations are done, the last first.
    pub fn fail(self, reason: impl Into<String>) -> Self {
        self.and(Move::Fail(reason.into()))
    }
}

/// So many seconds.
#[must_use]
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many minutes.
#[must_use]
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(60))
}

/// So many hours.
#[must_use]
pub const fn hours(count: u64) -> Duration {
    minutes(count.saturating_mul(60))
}

/// So many days of 24 hours.
#[must_use]
pub const fn days(count: u64) -> Duration {
    hours(count.saturating_mul(24))
}
