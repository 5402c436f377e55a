//! Lost replies: the client does not know what became of its append, and sends it again, up to five
//! times, also after the store died of it. What it asked for is there once, and is answered as if
//! the reply had come the first time.

use super::{Find, Meter};
use crate::{
    check,
    dice::Dice,
    disk::{Fault, FaultKind, Fs, SimDisk},
    model::{Model, Task},
    work::{Author, Session, Sizes, Stage, tracks},
};
use factum_core::{AppendError, Query, Read, Receipt, StreamName, Uuid};
use std::collections::HashMap;

/// Groups of a history.
const GROUPS: u64 = 24;
/// Times that a group is sent again.
const RETRIES_MAX: u64 = 5;
/// Calls of the disk within which a store dies, where it does.
const CALLS_MAX: u64 = 8;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut dice = Dice::of(seed, 1);
    let sizes = if dice.one_in(2) { Sizes::Crossing } else { Sizes::Many };
    let stage = Stage::new(SimDisk::new(Fs::default()), seed);
    let session = Some(Session::open(&stage, Model::default())?);
    let mut client = Client { session, stage, dice, seed, first: HashMap::new() };
    let mut author = Author::new(seed, sizes);
    for _ in 0..GROUPS {
        let step = author.step();
        client.stage.clock.step(step.clock_ns);
        client.group(&step.tasks)?;
        let retries = client.dice.below(RETRIES_MAX + 1);
        for _ in 0..retries {
            if meter.is_over() {
                return Ok(());
            }
            meter.done += 1;
            if client.dice.one_in(3) {
                // Others come between.
                client.group(&author.step().tasks)?;
            }
            client.group(&step.tasks)?;
        }
    }
    client.end()
}

struct Client {
    session: Option<Session>,
    stage: Stage,
    dice: Dice,
    seed: u64,
    /// What each append was answered with when it was done, by its events.
    first: HashMap<Vec<(StreamName, Uuid)>, Receipt>,
}

impl Client {
    /// Sends a group; the reply comes, or is lost, or the store dies before there is one.
    fn group(&mut self, tasks: &[Task]) -> Result<(), Find> {
        match self.dice.below(6) {
            0 => self.group_that_dies(tasks),
            1 => {
                self.answered(tasks)?;
                self.reopen()
            }
            _ => self.answered(tasks),
        }
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("it is reopened whenever it is dropped")
    }

    fn answered(&mut self, tasks: &[Task]) -> Result<(), Find> {
        let answers = self.session().submit(tasks);
        for (task, answer) in tasks.iter().zip(answers) {
            let right = self.session().model.perform(task);
            if answer != right {
                return Err(format!("{task:?}: {answer:?} instead of {right:?}"));
            }
            self.compare(task, &answer)?;
        }
        if self.dice.one_in(3) {
            self.session().index()?;
        }
        Ok(())
    }

    /// Once done, always answered as then; whatever the model thinks.
    fn compare(&mut self, task: &Task, answer: &Result<Receipt, AppendError>) -> Result<(), Find> {
        let Task::Append(append) = task else { return Ok(()) };
        if append.events.is_empty() {
            return Ok(());
        }
        // All of them: another append may begin with the same one.
        let key = append.events.iter().map(|(stream, event)| (stream.clone(), event.id)).collect();
        match (self.first.get(&key), answer) {
            (None, Ok(receipt)) => drop(self.first.insert(key, receipt.clone())),
            (Some(first), Ok(receipt))
                if receipt.replayed
                    && receipt.position == first.position
                    && receipt.streams == first.streams => {}
            (Some(first), answer) => {
                return Err(format!("{task:?}: {answer:?}; it was done before: {first:?}"));
            }
            (None, Err(_)) => {}
        }
        Ok(())
    }

    /// The power goes at some call of the disk. How much of the group was done is learned from the
    /// store that comes back.
    fn group_that_dies(&mut self, tasks: &[Task]) -> Result<(), Find> {
        let nth = 1 + self.dice.below(CALLS_MAX);
        self.stage.disk.arm(Fault::at(FaultKind::PowerOff, nth));
        let answers = self.session().submit(tasks);
        let known = answers.iter().take_while(|answer| !is_unknown(answer)).count();
        self.stage.disk.disarm();
        let mut model = self.session().model.clone();
        let (answered, unknown) = tasks.split_at(known);
        for (task, answer) in answered.iter().zip(&answers) {
            let right = model.perform(task);
            if *answer != right {
                return Err(format!("{task:?}: {answer:?} instead of {right:?}"));
            }
            self.compare(task, answer)?;
        }
        self.session = None;
        self.stage = self.stage.clone().after_power_cut(&mut self.dice);
        self.learn(model, unknown)
    }

    fn reopen(&mut self) -> Result<(), Find> {
        let model = std::mem::take(&mut self.session().model);
        self.session = None;
        self.learn(model, &[])
    }

    /// Opens the store again; it has done some of the tasks from the front.
    fn learn(&mut self, mut model: Model, unknown: &[Task]) -> Result<(), Find> {
        let mut session = Session::open(&self.stage, Model::default())?;
        let read = check::read(&session.reader, Read::query(Query::All));
        if let Some(error) = read.error {
            return Err(format!("reading everything: {error}"));
        }
        let mut tasks = unknown.iter();
        while read.events.len() != model.events.len() || tracks(&session.reader, &model).is_err() {
            let Some(task) = tasks.next() else {
                let (found, least) = (read.events.len(), model.events.len());
                return Err(format!("{found} events; no number of tasks gives so many ({least})"));
            };
            let answer = model.perform(task);
            self.compare(task, &answer)?;
        }
        model.compare(&read.events)?;
        session.model = model;
        self.session = Some(session);
        Ok(())
    }

    /// Everything is there, in every way of reading. An id may be there twice: where an append was
    /// refused, and another with some of its events was not, the first is written when its number
    /// is right by then. What was answered as done is never written again: see `compare`.
    fn end(mut self) -> Result<(), Find> {
        self.reopen()?;
        let seed = self.seed;
        self.session().whole(&mut Dice::new(seed), 4).map(drop)
    }
}

fn is_unknown(answer: &Result<Receipt, AppendError>) -> bool {
    matches!(
        answer,
        Err(AppendError::Unknown { .. }
            | AppendError::ReadOnly { .. }
            | AppendError::Unavailable { .. })
    )
}
