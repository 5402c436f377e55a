//! One step of an instance: what it was, and an input, become what it is. Pure.

use super::{
    Input, Move, Parked, Process, Steps,
    record::{Place, Record, Sent, Status, Step, Stored, Taken, Timer},
    route::How,
};
use crate::{
    Ctx, Metadata,
    decision::{CommandSet, Reply},
};
use factum_core::{Position, Timestamp, Uuid};
use serde_json::Value;
use std::collections::VecDeque;

/// An event on its way to an instance.
#[derive(Debug)]
pub(crate) struct Arrived<E> {
    pub(crate) event: E,
    pub(crate) how: How,
    pub(crate) place: Place,
    /// It was a dead letter: later ones may have been taken before it.
    pub(crate) late: bool,
    pub(crate) event_type: &'static str,
    pub(crate) metadata: Metadata,
}

/// An input on its way to an instance.
#[allow(clippy::large_enum_variant, reason = "nearly all are events, and none is kept")]
#[derive(Debug)]
pub(crate) enum Given<E> {
    Event(Arrived<E>),
    /// The timer, with the time that it was set to: another one of that name is another timer.
    TimedOut {
        name: String,
        due: Timestamp,
    },
    Replied {
        id: Uuid,
        reply: Reply,
    },
    Parked {
        id: Uuid,
        why: Parked,
    },
    Resumed {
        by: String,
    },
    Skipped {
        by: String,
    },
}

impl<E> Given<E> {
    /// Which kind of input, for who watches.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::TimedOut { .. } => "timeout",
            Self::Replied { .. } => "reply",
            Self::Parked { .. } => "parked",
            Self::Resumed { .. } => "resumed",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Where the event is that it is, if it is one.
    pub(crate) fn position(&self) -> Option<Position> {
        match self {
            Self::Event(arrived) => Some(Position(arrived.place.position)),
            _ => None,
        }
    }

    /// What is known about the step that it becomes: correlation and actor go on through it.
    pub(crate) fn metadata(&self, before: Option<&Record>) -> Metadata {
        let found = match self {
            Self::Event(arrived) => Some(arrived.metadata.clone()),
            Self::TimedOut { name, .. } => before.and_then(|record| {
                let timer = record.timers.iter().find(|timer| timer.name == *name);
                timer.map(|timer| timer.metadata.clone())
            }),
            _ => before.and_then(|record| {
                let sent = record.outbox.front();
                sent.map(|sent| sent.metadata.caused_by(sent.id))
            }),
        };
        found.unwrap_or_default()
    }
}

/// Why a step cannot be taken. The instance is as it was.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepError {
    /// A newer release of the program wrote the instance. Deploy that one here too.
    #[error("its state is of version {stored}, and this program knows {known}: update the program")]
    Newer {
        /// What is stored.
        stored: u32,
        /// The program's.
        known: u32,
    },
    /// `Process::migrate` says that the state of an older version means nothing to this one.
    #[error("its state of version {stored} cannot be migrated: {why}")]
    Migrate {
        /// What is stored.
        stored: u32,
        /// What it says.
        why: String,
    },
    /// The stored state does not fit the struct. Raise `VERSION`, and write `migrate`.
    #[error("its state does not fit the struct ({why}): raise `VERSION` and write `migrate`")]
    State {
        /// What the decoder found.
        why: String,
    },
    /// A stored command is not of the set, or does not fit it. Add it to the set again.
    #[error("its command {name:?} cannot be read ({why}): the set of commands must know it")]
    Command {
        /// Which.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The state or a command does not become JSON. Correct its `Serialize`.
    #[error("what it became is not JSON: {why}")]
    Json {
        /// What the encoder says.
        why: String,
    },
    /// `react` panicked. Correct it, and replay the dead letter.
    #[error("`react` panicked: {why}")]
    Panicked {
        /// What it said.
        why: String,
    },
}

/// The step that an input is; `None` where it is none: taken before, out of date, for nobody.
pub(crate) fn advance<P: Process>(
    key: &str,
    before: Option<Record>,
    given: Given<P::Event>,
    ctx: &Ctx,
) -> Result<Option<(Uuid, Step)>, StepError> {
    let step_id = ctx.id();
    let turn = Turn::<P> {
        key,
        ctx,
        cause: ctx.metadata().caused_by(step_id),
        marker: std::marker::PhantomData,
    };
    Ok(turn.take(before, given)?.map(|step| (step_id, step)))
}

struct Turn<'a, P> {
    key: &'a str,
    ctx: &'a Ctx,
    /// For what comes of the step.
    cause: Metadata,
    marker: std::marker::PhantomData<fn() -> P>,
}

impl<P: Process> Turn<'_, P> {
    fn take(
        &self,
        before: Option<Record>,
        given: Given<P::Event>,
    ) -> Result<Option<Step>, StepError> {
        match given {
            Given::Event(arrived) => self.arrived(before, arrived),
            Given::TimedOut { name, due } => self.timed_out(before, name, due),
            Given::Replied { id, reply } => self.replied(before, id, reply),
            Given::Parked { id, why } => {
                let at_front = |record: &Record| record.to_do().is_some_and(|sent| sent.id == id);
                Ok(before.filter(at_front).map(|record| {
                    let command = record.front_name();
                    let instance = Record { parked: Some(why.clone()), ..record };
                    Step { input: Taken::Parked { command, id, why }, instance }
                }))
            }
            Given::Resumed { by } => {
                let parked = before.filter(|record| record.parked.is_some());
                Ok(parked.map(|record| {
                    let instance = Record { parked: None, ..record };
                    Step { input: Taken::Resumed { by }, instance }
                }))
            }
            Given::Skipped { by } => self.skipped(before, by),
        }
    }

    fn arrived(
        &self,
        before: Option<Record>,
        arrived: Arrived<P::Event>,
    ) -> Result<Option<Step>, StepError> {
        let Arrived { event, how, place, late, event_type, .. } = arrived;
        if before.as_ref().is_some_and(|record| !late && place <= record.seen) {
            return Ok(None);
        }
        let running = before.as_ref().is_some_and(|record| !record.is_over());
        let mut record = match (before, running, how) {
            (Some(record), true, _) => record,
            (before, false, How::Start) => first::<P>(before, place)?,
            _ => return Ok(None),
        };
        record.seen = record.seen.max(place);
        let mut record = self.react(record, Input::Event(event))?;
        if how == How::Stop && record.status == Status::Running {
            record.end(Status::Ended);
        }
        let Place { position, part } = place;
        let input = Taken::Event { position, part, r#type: event_type.to_owned() };
        Ok(Some(Step { input, instance: record }))
    }

    fn timed_out(
        &self,
        before: Option<Record>,
        name: String,
        due: Timestamp,
    ) -> Result<Option<Step>, StepError> {
        let Some(mut record) = before.filter(|record| !record.is_over()) else {
            return Ok(None);
        };
        let is_it = |timer: &Timer| timer.name == name && timer.due() == due;
        let Some(at) = record.timers.iter().position(is_it) else {
            return Ok(None);
        };
        let instance = match record.timers.remove(at).command {
            Some(command) => {
                let sent = self.sent(record.run, command);
                record.outbox.push_back(sent);
                record
            }
            None => self.react(record, Input::TimedOut(&name))?,
        };
        Ok(Some(Step { input: Taken::TimedOut { timer: name }, instance }))
    }

    fn replied(
        &self,
        before: Option<Record>,
        id: Uuid,
        reply: Reply,
    ) -> Result<Option<Step>, StepError> {
        let at_front = |record: &Record| record.outbox.front().is_some_and(|sent| sent.id == id);
        let Some(mut record) = before.filter(at_front) else {
            return Ok(None);
        };
        let command = record.front_name();
        let input = Taken::Replied { command, id, reply: reply.clone() };
        let refused = match &reply {
            Reply::Refused(why) if record.outbox.front().is_some_and(|sent| sent.compensates) => {
                Some(Parked { error: format!("refused: {why}"), attempts: 1 })
            }
            _ => None,
        };
        if refused.is_some() {
            record.parked = refused;
            return Ok(Some(Step { input, instance: record }));
        }
        let instance = self.answered(record, reply)?;
        Ok(Some(Step { input, instance }))
    }

    fn skipped(&self, before: Option<Record>, by: String) -> Result<Option<Step>, StepError> {
        let Some(record) = before.filter(|record| record.parked.is_some()) else {
            return Ok(None);
        };
        let input = Taken::Skipped { by: by.clone(), command: record.front_name() };
        let instance = self.answered(record, Reply::Nothing(format!("skipped by {by}")))?;
        Ok(Some(Step { input, instance }))
    }

    /// The first command of the outbox was answered; its run hears of it, unless it is over.
    fn answered(&self, mut record: Record, reply: Reply) -> Result<Record, StepError> {
        record.parked = None;
        let sent = record.outbox.pop_front();
        let awaited = |sent: &Sent| !sent.compensates && sent.run == record.run;
        match sent.filter(awaited).filter(|_| !record.is_over()) {
            Some(sent) => {
                let command = decode::<P>(sent.command)?;
                self.react(record, Input::Replied(command, reply))
            }
            None => {
                self.settle(&mut record);
                Ok(record)
            }
        }
    }

    fn react(&self, mut record: Record, input: Input<'_, P>) -> Result<Record, StepError> {
        let mut state = state_of::<P>(&record)?;
        let steps = Steps::<P>::new(self.ctx.now(), self.key).begun_with(record.began_with);
        let steps = caught(|| state.react(input, steps))?;
        record.state = serde_json::to_value(&state).map_err(json)?;
        record.version = P::VERSION;
        for one in steps.into_moves() {
            self.apply(&mut record, one)?;
        }
        self.settle(&mut record);
        Ok(record)
    }

    fn apply(&self, record: &mut Record, one: Move<P::Command>) -> Result<(), StepError> {
        match one {
            Move::Send(command) => {
                let sent = self.sent(record.run, encode(&command)?);
                record.outbox.push_back(sent);
            }
            Move::Try(command, count) => {
                let sent = self.sent(record.run, encode(&command)?);
                record.outbox.push_back(Sent { attempts_max: Some(count), ..sent });
            }
            Move::CompensateWith(command) => record.compensations.push(encode(&command)?),
            Move::At(at, name) => self.set(record, name, at, None),
            Move::SendAt(at, command) => {
                let command = encode(&command)?;
                self.set(record, command.name.clone(), at, Some(command));
            }
            Move::Cancel(name) => record.timers.retain(|timer| timer.name != name),
            Move::End if record.status == Status::Running => record.end(Status::Ended),
            Move::Fail(reason) if record.status == Status::Running => {
                record.timers.clear();
                record.status = Status::Compensating(reason);
            }
            Move::End | Move::Fail(_) => {}
        }
        Ok(())
    }

    /// In place of one with the same name.
    fn set(&self, record: &mut Record, name: String, at: Timestamp, command: Option<Stored>) {
        record.timers.retain(|timer| timer.name != name);
        record.timers.push(Timer { name, due: at.0, command, metadata: self.cause.clone() });
    }

    fn sent(&self, run: u32, command: Stored) -> Sent {
        let metadata = self.cause.clone();
        let (id, compensates, attempts_max) = (self.ctx.id(), false, None);
        Sent { id, run, command, compensates, attempts_max, metadata }
    }

    /// A failed run waits for what it has sent, undoes one thing after the other, and is over.
    fn settle(&self, record: &mut Record) {
        if record.is_over() {
            record.timers.clear();
        }
        let Status::Compensating(reason) = &record.status else {
            return;
        };
        if !record.outbox.is_empty() {
            return;
        }
        match record.compensations.pop() {
            Some(command) => {
                let sent = Sent { compensates: true, ..self.sent(record.run, command) };
                record.outbox.push_back(sent);
            }
            None => record.end(Status::Failed(reason.clone())),
        }
    }
}

impl Record {
    fn end(&mut self, status: Status) {
        self.status = status;
        self.timers.clear();
        self.compensations.clear();
    }

    fn front_name(&self) -> String {
        self.outbox.front().map(|sent| sent.command.name.clone()).unwrap_or_default()
    }
}

/// A new run. What an earlier one has sent goes first.
fn first<P: Process>(before: Option<Record>, seen: Place) -> Result<Record, StepError> {
    let (run, outbox, parked) = match before {
        Some(before) => (before.run + 1, before.outbox, before.parked),
        None => (1, VecDeque::new(), None),
    };
    Ok(Record {
        status: Status::Running,
        run,
        version: P::VERSION,
        began_with: P::VERSION,
        state: serde_json::to_value(P::default()).map_err(json)?,
        seen,
        outbox,
        timers: Vec::new(),
        compensations: Vec::new(),
        parked,
    })
}

pub(crate) fn state_of<P: Process>(record: &Record) -> Result<P, StepError> {
    let (stored, known) = (record.version, P::VERSION);
    let mut state: Value = record.state.clone();
    if stored > known {
        return Err(StepError::Newer { stored, known });
    }
    if stored < known {
        state = P::migrate(stored, state).map_err(|why| StepError::Migrate { stored, why })?;
    }
    serde_json::from_value(state).map_err(|error| StepError::State { why: error.to_string() })
}

fn encode<C: CommandSet>(command: &C) -> Result<Stored, StepError> {
    Ok(Stored { name: command.name().to_owned(), data: command.encode().map_err(json)? })
}

/// The command that was stored.
pub(crate) fn decode<P: Process>(stored: Stored) -> Result<P::Command, StepError> {
    let Stored { name, data } = stored;
    match P::Command::decode(&name, data) {
        Some(Ok(command)) => Ok(command),
        Some(Err(error)) => Err(StepError::Command { name, why: error.to_string() }),
        None => Err(StepError::Command { name, why: "it is not of the set".into() }),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn json(error: serde_json::Error) -> StepError {
    StepError::Json { why: error.to_string() }
}

/// A panic of the user's function is one input's trouble, not that of everybody.
fn caught<T>(react: impl FnOnce() -> T) -> Result<T, StepError> {
    // The state is dropped after a panic: nobody sees it half changed.
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(react));
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        StepError::Panicked { why: text.unwrap_or("it did not say why").to_owned() }
    })
}

#[cfg(test)]
mod tests;
