//! A history as it ran once: its trace, and what had been answered at each point of it.

use super::{Author, Session, Sizes, Stage, Step};
use crate::{
    dice::Dice,
    disk::{Fs, Op, SimDisk},
    model::{Model, Task},
};
use factum_core::RecordedEvent;
use std::ops::RangeInclusive;

/// When a group was submitted and answered, in calls of the trace.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: usize,
    to: usize,
    /// Tasks up to the group's end.
    tasks: usize,
}

/// A history that ran well.
#[derive(Debug)]
pub struct Record {
    /// The calls that changed the disk, from an empty one.
    pub trace: Vec<Op>,
    /// All tasks, in order.
    pub tasks: Vec<Task>,
    /// What the store was after so many tasks.
    pub models: Vec<Model>,
    /// All events at the end.
    pub events: Vec<RecordedEvent>,
    spans: Vec<Span>,
}

impl Record {
    /// Runs a history of so many groups.
    pub fn run(seed: u64, sizes: Sizes, groups: u64) -> Result<Self, String> {
        let mut author = Author::new(seed, sizes);
        let steps: Vec<Step> = (0..groups).map(|_| author.step()).collect();
        Self::of(&steps, seed)
    }

    /// Runs these steps.
    pub fn of(steps: &[Step], seed: u64) -> Result<Self, String> {
        let stage = Stage::new(SimDisk::new(Fs::default()), seed);
        stage.disk.record();
        let mut session = Session::open(&stage, Model::default())?;
        let mut spans = Vec::new();
        let (mut tasks, mut models) = (Vec::new(), vec![Model::default()]);
        for step in steps {
            let from = stage.disk.recorded();
            stage.clock.step(step.clock_ns);
            session.group(&step.tasks)?;
            let to = stage.disk.recorded();
            for task in &step.tasks {
                let mut model: Model = models.last().expect("the first is there").clone();
                let _ = model.perform(task);
                models.push(model);
                tasks.push(task.clone());
            }
            spans.push(Span { from, to, tasks: tasks.len() });
            session = session.between(step.between)?;
        }
        let events = session.whole(&mut Dice::new(seed), 20)?;
        drop(session);
        Ok(Self { trace: stage.disk.take_trace(), tasks, models, events, spans })
    }

    /// After so many calls: how many tasks were answered, and how many had been submitted.
    #[must_use]
    pub fn known(&self, calls: usize) -> RangeInclusive<usize> {
        let answered = self.spans.iter().rev().find(|span| span.to <= calls);
        let answered = answered.map_or(0, |span| span.tasks);
        let submitted = self.spans.iter().rev().find(|span| span.from < calls);
        let submitted = submitted.map_or(0, |span| span.tasks);
        answered..=submitted.max(answered)
    }
}
