//! Errors of the disk: the Nth call of a history fails, in each way there is, for N from 1 until
//! nothing fails any more.

use super::{Find, Meter};
use crate::{
    check,
    dice::Dice,
    disk::{Fault, FaultKind, Fs, SimDisk},
    model::{Model, Task},
    work::{Author, Session, Sizes, Stage, Step, tracks},
};
use factum_core::AppendError;

/// Groups of a history: two segments or so.
const GROUPS: u64 = 12;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut author = Author::new(seed, Sizes::Crossing);
    let steps: Vec<Step> = (0..GROUPS).map(|_| author.step()).collect();
    // Of each kind the first call, then of each the second: all kinds are met in a short time too.
    let mut kinds = Vec::from(FaultKind::ALL);
    for nth in 1.. {
        let mut struck = Vec::new();
        for kind in kinds {
            if meter.is_over() {
                return Ok(());
            }
            meter.done += 1;
            let run = Run { seed, steps: &steps, fault: Fault::at(kind, nth) };
            match run.run() {
                Ok(true) => struck.push(kind),
                Ok(false) => {}
                Err(find) => return Err(format!("{kind:?} at call {nth}: {find}")),
            }
        }
        if struck.is_empty() {
            break;
        }
        kinds = struck;
    }
    Ok(())
}

struct Run<'a> {
    seed: u64,
    steps: &'a [Step],
    fault: Fault,
}

/// A store under a fault, and what it must be.
struct Patient {
    stage: Stage,
    model: Model,
    /// Tasks whose outcome is not known, in order, after all that is.
    unknown: Vec<Task>,
}

impl Run<'_> {
    /// Whether the fault struck.
    fn run(&self) -> Result<bool, Find> {
        let stage = Stage::new(SimDisk::new(Fs::default()), self.seed);
        stage.disk.arm(self.fault);
        let mut patient = Patient { stage, model: Model::default(), unknown: Vec::new() };
        let mut session = patient.open()?;
        for step in self.steps {
            patient.stage.clock.step(step.clock_ns);
            if let Some(open) = &mut session {
                patient.group(open, &step.tasks)?;
                patient.look(open)?;
                // One that fails stays in memory, and nothing is lost.
                let _ = open.index();
                if patient.unknown.is_empty() && open.writer.read_only().is_none() {
                    continue;
                }
            }
            // What an operator does: open it again; with the fault still there, if it is.
            drop(session.take());
            session = patient.reopen(self.seed)?;
        }
        let struck = patient.stage.disk.disarm();
        drop(session);
        patient.survive(self.seed)?;
        Ok(struck)
    }
}

impl Patient {
    /// Opens the store; `None` if the disk refuses.
    fn open(&self) -> Result<Option<Session>, Find> {
        let Ok((writer, reader)) = self.stage.open() else { return Ok(None) };
        if let Some(why) = writer.read_only() {
            return Err(format!("an error of the disk was taken for damage: {why}"));
        }
        Ok(Some(Session::around(&self.stage, writer, reader)))
    }

    /// Opens again, and learns what became of what was not known.
    fn reopen(&mut self, seed: u64) -> Result<Option<Session>, Find> {
        let Some(session) = self.open()? else { return Ok(None) };
        let read = check::read(&session.reader, factum_core::Read::query(factum_core::Query::All));
        if read.error.is_some() {
            // The fault struck here.
            return Ok(None);
        }
        self.learn(&session, read.events.len()).map_err(|find| format!("{find} (seed {seed})"))?;
        Ok(Some(session))
    }

    /// Which of the unknown tasks were done: some from the front, in order.
    fn learn(&mut self, session: &Session, events: usize) -> Result<(), Find> {
        let mut model = self.model.clone();
        let mut tasks = std::mem::take(&mut self.unknown).into_iter();
        loop {
            if model.events.len() == events && tracks(&session.reader, &model).is_ok() {
                self.model = model;
                return Ok(());
            }
            let Some(task) = tasks.next() else {
                let least = self.model.events.len();
                return Err(format!("{events} events; {least} were acknowledged"));
            };
            let _ = model.perform(&task);
        }
    }

    fn group(&mut self, session: &mut Session, tasks: &[Task]) -> Result<(), Find> {
        for (task, answer) in tasks.iter().zip(session.submit(tasks)) {
            match answer {
                Err(AppendError::Unknown { .. }) => self.unknown.push(task.clone()),
                Err(AppendError::Unavailable { .. } | AppendError::ReadOnly { .. }) => {}
                answer if !self.unknown.is_empty() => {
                    return Err(format!("{answer:?} after an append of unknown outcome"));
                }
                answer => {
                    let right = self.model.perform(task);
                    if answer != right {
                        return Err(format!("{task:?}: {answer:?} instead of {right:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads go on: all that was acknowledged, and nothing else.
    fn look(&self, session: &Session) -> Result<(), Find> {
        let read = check::read(&session.reader, factum_core::Read::query(factum_core::Query::All));
        match read.error {
            Some(factum_core::ReadError::Unavailable { .. }) => Ok(()),
            Some(error) => Err(format!("a read: {error}")),
            None => {
                self.model.compare(&read.events)?;
                tracks(&session.reader, &self.model)
            }
        }
    }

    /// Without the fault, after a power cut, all that was acknowledged is there.
    fn survive(mut self, seed: u64) -> Result<(), Find> {
        let mut dice = Dice::new(seed);
        let image = self.stage.disk.with_fs(|fs| fs.cut(&mut dice));
        self.stage = Stage::new(SimDisk::new(image), seed);
        let session = self.reopen(seed)?.ok_or("the store does not open without the fault")?;
        self.model.compare(&check::coherent(&session.reader, &mut dice, 3)?)?;
        drop(session);
        let model = std::mem::take(&mut self.model);
        let mut session = Session::open(&self.stage, model)?;
        let mut author = Author::new(seed ^ 1, Sizes::Still);
        let tasks = author.step().tasks;
        session.group(&tasks)?;
        session.whole(&mut dice, 2).map(drop)
    }
}
