//! Running a history on a store, beside the model: every answer is compared.

use super::{Author, Between, Sizes, Stage, Step, folder, job};
use crate::{
    check,
    dice::Dice,
    disk::{Fs, SimDisk},
    model::{self, Model, Task, Truth},
};
use factum_core::{AppendError, Receipt, RecordedEvent};
use factum_log::{
    Reader, Writer,
    clock::Clock,
    rewrite::{ScavengeOptions, ScavengeReport, Stop},
    write::Unindexed,
};

/// A store of about so many bytes that was closed in good order: its world, and all its events.
pub fn closed(seed: u64, bytes: u64) -> Result<(Stage, Vec<RecordedEvent>), String> {
    let mut author = Author::new(seed, Sizes::Crossing);
    let stage = Stage::new(SimDisk::new(Fs::default()), seed);
    let mut session = Session::open(&stage, Model::default())?;
    while session.bytes() < bytes {
        session = session.step(&author.step())?;
    }
    session.index()?;
    session.writer.close().map_err(|fault| format!("closing: {fault}"))?;
    let events = check::everything(&session.reader)?;
    let (stage, _) = session.let_go();
    Ok((stage, events))
}

/// An open store, and what it must be.
#[derive(Debug)]
pub struct Session {
    /// Its world.
    pub stage: Stage,
    /// The writer.
    pub writer: Writer,
    /// The reader.
    pub reader: Reader,
    /// What was accepted.
    pub model: Model,
    unindexed: Vec<Unindexed>,
}

impl Session {
    /// Opens a store that must be what the model says. It must be writable.
    pub fn open(stage: &Stage, model: Model) -> Result<Self, String> {
        let (writer, reader) = stage.open().map_err(|error| format!("opening: {error}"))?;
        if let Some(why) = writer.read_only() {
            return Err(format!("opened to read only: {why}"));
        }
        Ok(Self { stage: stage.clone(), writer, reader, model, unindexed: Vec::new() })
    }

    /// A store that is open already.
    #[must_use]
    pub fn around(stage: &Stage, writer: Writer, reader: Reader) -> Self {
        let (model, unindexed) = Default::default();
        Self { stage: stage.clone(), writer, reader, model, unindexed }
    }

    /// About so many bytes of events are there.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.model.events.iter().map(|event| event.said.data.len() as u64 + 80).sum()
    }

    /// Has tasks done as one group; each answer must be the model's.
    pub fn group(&mut self, tasks: &[Task]) -> Result<(), String> {
        let answers = self.submit(tasks);
        for (task, answer) in tasks.iter().zip(answers) {
            let right = self.model.perform(task);
            if answer != right {
                return Err(format!("{task:?}: {answer:?} instead of {right:?}"));
            }
        }
        Ok(())
    }

    /// Has tasks done as one group.
    pub fn submit(&mut self, tasks: &[Task]) -> Vec<Result<Receipt, AppendError>> {
        let jobs = tasks.iter().map(|task| job(task).expect("tasks are valid")).collect();
        let answers = self.writer.step(jobs);
        self.unindexed.extend(self.writer.take_unindexed());
        answers
    }

    /// A step of a history.
    pub fn step(mut self, step: &Step) -> Result<Self, String> {
        self.stage.clock.step(step.clock_ns);
        self.group(&step.tasks)?;
        self.between(step.between)
    }

    /// Writes index files; closes and opens.
    pub fn between(mut self, between: Between) -> Result<Self, String> {
        match between {
            Between::Nothing => return Ok(self),
            Between::Index => {
                self.index()?;
                return Ok(self);
            }
            Between::Reopen => self.writer.close().map_err(|fault| format!("close: {fault}"))?,
            Between::Drop | Between::DropIndexes => {}
        }
        let (stage, model) = self.let_go();
        if between == Between::DropIndexes {
            drop_indexes(&stage);
        }
        let session = Self::open(&stage, model)?;
        session.tracked()?;
        Ok(session)
    }

    /// Drops the store without closing it.
    #[must_use]
    pub fn let_go(self) -> (Stage, Model) {
        let Self { stage, writer, reader, model, unindexed } = self;
        drop((writer, reader, unindexed));
        (stage, model)
    }

    /// Scavenges all there is, and compares what is left with what must be.
    pub fn scavenge(&mut self, grace_s: u64) -> Result<ScavengeReport, String> {
        let before = check::everything(&self.reader)?;
        let fates = Truth(&before).fates(self.stage.clock.now(), grace_s);
        let options = ScavengeOptions { grace_s, threshold_percent: 0, ..Default::default() };
        let maintenance = self.reader.maintenance();
        let report = maintenance.scavenge(&options, &Stop::default(), &mut |_| {});
        let report = report.map_err(|error| format!("scavenge: {error}"))?;
        let after = check::everything(&self.reader)?;
        model::scavenged(&before, &after, &fates)?;
        self.model.forget(&after);
        Ok(report)
    }

    /// Writes the index files that are due.
    pub fn index(&mut self) -> Result<(), String> {
        for segment in std::mem::take(&mut self.unindexed) {
            segment.write().map_err(|fault| format!("index: {fault}"))?;
        }
        Ok(())
    }

    /// Whether tracked positions are right.
    pub fn tracked(&self) -> Result<(), String> {
        tracks(&self.reader, &self.model)
    }

    /// Whether all events and tracked positions are right, in every way of reading.
    pub fn whole(&self, dice: &mut Dice, reads: u64) -> Result<Vec<RecordedEvent>, String> {
        let gone = |position| self.model.is_gone(position);
        let events = check::scavenged(&self.reader, dice, (reads, &gone))?;
        self.model.compare(&events)?;
        self.tracked()?;
        Ok(events)
    }
}

/// Whether a store tracks what the model does.
pub fn tracks(reader: &Reader, model: &Model) -> Result<(), String> {
    for source in super::SOURCES {
        let (found, right) =
            (reader.tracked(source).ok().flatten(), model.tracked.get(source).copied());
        if found != right {
            return Err(format!("source {source} is at {found:?} instead of {right:?}"));
        }
    }
    Ok(())
}

/// Deletes all index files: nothing may change by it.
pub fn drop_indexes(stage: &Stage) {
    use factum_log::disk::Disk;
    let names = stage.disk.list(&folder()).expect("the folder is there");
    for name in names.iter().filter(|name| name.ends_with(".idx")) {
        stage.disk.remove(&folder().join(name)).expect("it was listed");
    }
}
