//! What is asked of a store after a crash.

use crate::{
    check,
    dice::Dice,
    disk::{Fs, SimDisk},
    model::Task,
    rows::Find,
    work::{Record, Session, Stage, drop_indexes, tracks},
};
use factum_core::RecordedEvent;
use std::ops::RangeInclusive;

/// A store after a crash, and what it may be.
#[derive(Debug)]
pub(super) struct Survivor<'a> {
    /// What ran before the crash.
    pub(super) record: &'a Record,
    /// It has done at least so many of the tasks, and at most so many.
    pub(super) known: RangeInclusive<usize>,
    /// The disk.
    pub(super) image: Fs,
}

impl Survivor<'_> {
    /// Opens it and looks at all of it; then goes on, and looks again.
    pub(super) fn check(self, seed: u64) -> Result<(), Find> {
        let mut dice = Dice::new(seed);
        let stage = Stage::new(SimDisk::new(self.image.clone()), seed);
        let mut session = Session::open(&stage, Default::default())?;
        let events = check::coherent(&session.reader, &mut dice, 2)?;
        let done = self.done(&session, &events)?;
        session.model = self.record.models[done].clone();
        session = self.go_on(session, done, &mut dice)?;
        let after = session.whole(&mut dice, 3)?;
        if after[..events.len()] != events {
            return Err("what was there has changed since appends went on".into());
        }
        if dice.one_in(2) {
            self.reopen(session, &after, &mut dice)?;
        }
        Ok(())
    }

    /// How many of the tasks it has done: all that were answered, then some of those in flight,
    /// in order, each wholly or not at all.
    fn done(&self, session: &Session, events: &[RecordedEvent]) -> Result<usize, Find> {
        if events != &self.record.events[..events.len().min(self.record.events.len())] {
            return Err("an event is not what it was".into());
        }
        let mut why = String::from("no number of tasks");
        for done in self.known.clone() {
            let model = &self.record.models[done];
            if model.events.len() != events.len() {
                why = format!("{} events; the nearest is {}", events.len(), model.events.len());
                continue;
            }
            match tracks(&session.reader, model) {
                Ok(()) => return Ok(done),
                Err(error) => why = error,
            }
        }
        let least = self.record.models[*self.known.start()].events.len();
        Err(format!("not a state it may be in ({least} events were acknowledged): {why}"))
    }

    /// Retries what was done and what was in flight, and goes on with what came after.
    fn go_on(&self, mut session: Session, done: usize, dice: &mut Dice) -> Result<Session, Find> {
        let mut tasks: Vec<&Task> = Vec::new();
        if done > 0 {
            tasks.push(&self.record.tasks[dice.index(done)]);
        }
        let from = *self.known.start();
        let most = (self.known.end() + 2).min(self.record.tasks.len());
        let upto = from + dice.index(most - from + 1);
        tasks.extend(&self.record.tasks[from..upto]);
        if dice.one_in(2) {
            let group: Vec<Task> = tasks.into_iter().cloned().collect();
            session.group(&group)?;
        } else {
            for task in tasks {
                session.group(std::slice::from_ref(task))?;
            }
        }
        Ok(session)
    }

    fn reopen(
        &self,
        mut session: Session,
        events: &[RecordedEvent],
        dice: &mut Dice,
    ) -> Result<(), Find> {
        if dice.one_in(2) {
            session.index()?;
            session.writer.close().map_err(|fault| format!("closing: {fault}"))?;
        }
        let (stage, model) = session.let_go();
        if dice.one_in(2) {
            drop_indexes(&stage);
        }
        let again = Session::open(&stage, model)?;
        match again.whole(dice, 2)? == events {
            true => Ok(()),
            false => Err("opened again, and an event is not what it was".into()),
        }
    }
}
