//! What happened to an instance, for people.

use super::record::{Parked, Record, Status, Step, Taken};
use crate::decision::Reply;
use factum_core::{Position, RecordedEvent, Timestamp};
use std::fmt;

/// What happened to an instance of a process, step by step.
#[derive(Clone, PartialEq, Debug)]
pub struct Timeline {
    process: String,
    key: String,
    moments: Vec<Moment>,
}

/// One step: what came in, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    /// When it was recorded.
    pub at: Timestamp,
    /// Where it stands.
    pub position: Position,
    /// What came in.
    pub input: String,
    /// What came of it.
    pub effects: Vec<String>,
}

impl Timeline {
    pub(crate) fn of(process: &str, key: &str, steps: Vec<(RecordedEvent, Step)>) -> Self {
        let mut moments = Vec::with_capacity(steps.len());
        let mut before: Option<Record> = None;
        for (event, step) in steps {
            moments.push(Moment {
                at: event.recorded_at(),
                position: event.position(),
                input: input(&step.input),
                effects: effects(before.as_ref(), &step.instance),
            });
            before = Some(step.instance);
        }
        Self { process: process.to_owned(), key: key.to_owned(), moments }
    }

    /// Its steps, the first first.
    #[must_use]
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }
}

/// The time since the first step, what came in, and below it what came of it.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.process, self.key)?;
        let first = self.moments.first().map_or(0, |moment| moment.at.0);
        for moment in &self.moments {
            let ms = moment.at.0.saturating_sub(first) / 1_000_000;
            let (minutes, seconds, ms) = (ms / 60_000, ms / 1_000 % 60, ms % 1_000);
            writeln!(f, "{minutes:>5}:{seconds:02}.{ms:03}  {}", moment.input)?;
            for effect in &moment.effects {
                writeln!(f, "              -> {effect}")?;
            }
        }
        Ok(())
    }
}

fn input(taken: &Taken) -> String {
    match taken {
        Taken::Event { position, r#type, .. } => format!("{type} at {position}"),
        Taken::TimedOut { timer } => format!("timer {timer:?} went off"),
        Taken::Replied { command, reply, .. } => match reply {
            Reply::Done => format!("{command} was done"),
            Reply::Nothing(why) => format!("{command}: nothing to do ({why})"),
            Reply::Refused(why) => format!("{command} was refused: {why}"),
            Reply::Failed(why) => format!("{command} failed: {why}"),
        },
        Taken::Parked { command, why: Parked { error, attempts }, .. } => {
            format!("{command} failed {attempts} times: {error}")
        }
        Taken::Resumed { by } => format!("resumed by {by}"),
        Taken::Skipped { by, command } => format!("{command} was skipped by {by}"),
    }
}

fn effects(before: Option<&Record>, after: &Record) -> Vec<String> {
    let mut effects = Vec::new();
    let same_run = before.filter(|before| before.run == after.run);
    if same_run.is_none() {
        effects.push(match after.run {
            1 => "started".to_owned(),
            run => format!("started again, run {run}"),
        });
    }
    for sent in &after.outbox {
        if !before.is_some_and(|before| before.outbox.iter().any(|one| one.id == sent.id)) {
            let what = if sent.compensates { "undoes with" } else { "sends" };
            effects.push(format!("{what} {} {}", sent.command.name, sent.command.data));
        }
    }
    let known = before.map_or(0, |before| before.compensations.len());
    for command in after.compensations.iter().skip(known) {
        effects.push(format!("would undo with {}", command.name));
    }
    for timer in &after.timers {
        if !before.is_some_and(|before| before.timers.contains(timer)) {
            effects.push(match &timer.command {
                Some(command) => format!("will send {} {}", command.name, command.data),
                None => format!("sets timer {:?}", timer.name),
            });
        }
    }
    if before.is_none_or(|before| before.parked != after.parked)
        && let Some(parked) = &after.parked
    {
        effects.push(format!("parked: {}", parked.error));
    }
    if same_run.map(|before| &before.status) != Some(&after.status) {
        effects.extend(match &after.status {
            Status::Running => None,
            Status::Compensating(why) => Some(format!("failed: {why}")),
            Status::Ended => Some("ended".to_owned()),
            Status::Failed(why) => Some(format!("ended, undone: {why}")),
        });
    }
    effects
}
