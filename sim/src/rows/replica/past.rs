//! All that a source ever was: what its replica may serve.

use crate::{
    check,
    rows::Find,
    work::{Session, Step},
};
use factum_core::RecordedEvent;
use factum_log::Reader;
use std::collections::{BTreeMap, BTreeSet};

/// Every event that a source ever had, and where its appends end.
#[derive(Default)]
pub(super) struct Past {
    /// At each position what was there once: scavenging changes it.
    events: BTreeMap<u64, Vec<RecordedEvent>>,
    /// Positions at which there is nothing, at one time or another.
    gone: BTreeSet<u64>,
    /// The last position of each append.
    ends: BTreeSet<u64>,
}

impl Past {
    /// Has the source do the next step.
    pub(super) fn step(&mut self, source: Session, step: &Step) -> Result<Session, Find> {
        let mut model = source.model.clone();
        for task in &step.tasks {
            let _ = model.perform(task);
            self.ends.insert(model.events.len() as u64);
        }
        let source = source.step(step)?;
        self.note(&source.reader)?;
        Ok(source)
    }

    /// Takes note of what there is.
    pub(super) fn note(&mut self, source: &Reader) -> Result<(), Find> {
        let events = check::everything(source)?;
        let mut next = 1;
        for event in events {
            let position = event.position().0;
            self.gone.extend(next..position);
            next = position + 1;
            let known = self.events.entry(position).or_default();
            if !known.contains(&event) {
                known.push(event);
            }
        }
        self.gone.extend(next..=source.head().0);
        Ok(())
    }

    /// Whether a replica serves whole appends of the source, from the first one on, and has got
    /// to this position at least.
    pub(super) fn is_front(&self, replica: &Reader, known: u64) -> Result<(), Find> {
        let (head, events) = (replica.head().0, check::everything(replica)?);
        if head < known {
            return Err(format!("the head was {known} and is {head}"));
        }
        if head > 0 && !self.ends.contains(&head) {
            return Err(format!("half of an append: the head is {head}"));
        }
        let mut next = 1;
        for event in &events {
            let position = event.position().0;
            self.are_gone(next..position)?;
            next = position + 1;
            if !self.events.get(&position).is_some_and(|known| known.contains(event)) {
                return Err(format!("the source never had {event:?}"));
            }
        }
        self.are_gone(next..head + 1)
    }

    fn are_gone(&self, mut positions: std::ops::Range<u64>) -> Result<(), Find> {
        match positions.find(|position| !self.gone.contains(position)) {
            Some(position) => Err(format!("position {position} is left out")),
            None => Ok(()),
        }
    }
}
