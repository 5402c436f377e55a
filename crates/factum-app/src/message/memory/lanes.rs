//! The messages of one group, in lanes: a lane is a key, or a message without one. A lane is with
//! one instance at a time, and its messages are handed out in order.
//!
//! One that was sent back stands at its old place, and its lane waits for it.

use super::state::Copy;
use factum_core::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What is in order with itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum LaneId {
    Key(String),
    Alone(u64),
}

/// A message that waits in a group.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) copy: Copy,
    /// How often it was handed out.
    pub(super) attempts: u32,
    pub(super) not_before: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    /// Who has some of it, and how many.
    with: Option<(u64, usize)>,
}

/// What there is for an instance.
pub(super) enum Next {
    Message(Box<Waiting>),
    /// Nothing before this.
    Until(Timestamp),
    Nothing,
}

/// The lanes of a group.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<LaneId, Lane>,
    /// The lanes in which something waits, by the number of their oldest message.
    heads: BTreeMap<u64, LaneId>,
    waiting: usize,
}

impl Lanes {
    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// At its place: behind what is older than it.
    pub(super) fn put(&mut self, waiting: Waiting) {
        let id = waiting.copy.lane();
        let lane = self.lanes.entry(id.clone()).or_default();
        let number = waiting.copy.number;
        let head = lane.waiting.front().map(|first| first.copy.number);
        if head.is_none_or(|head| number < head) {
            head.map(|head| self.heads.remove(&head));
            self.heads.insert(number, id);
        }
        let at = lane.waiting.partition_point(|other| other.copy.number < number);
        lane.waiting.insert(at, waiting);
        self.waiting += 1;
    }

    /// The oldest that this instance may have.
    pub(super) fn take(&mut self, instance: u64, now: Timestamp) -> Next {
        let mut until: Option<Timestamp> = None;
        let mut found = None;
        for (number, id) in &self.heads {
            let Some(lane) = self.lanes.get(id) else { continue };
            if lane.with.is_some_and(|(other, _)| other != instance) {
                continue;
            }
            match lane.waiting.front().and_then(|first| first.not_before) {
                Some(at) if at > now => until = Some(until.map_or(at, |other| other.min(at))),
                _ => {
                    found = Some((*number, id.clone()));
                    break;
                }
            }
        }
        match (found, until) {
            (Some((number, id)), _) => self.pop(number, &id, instance),
            (None, Some(at)) => Next::Until(at),
            (None, None) => Next::Nothing,
        }
    }

    fn pop(&mut self, number: u64, id: &LaneId, instance: u64) -> Next {
        self.heads.remove(&number);
        let Some(lane) = self.lanes.get_mut(id) else { return Next::Nothing };
        let Some(taken) = lane.waiting.pop_front() else { return Next::Nothing };
        let held = lane.with.map_or(0, |(_, held)| held);
        lane.with = Some((instance, held + 1));
        if let Some(next) = lane.waiting.front() {
            self.heads.insert(next.copy.number, id.clone());
        }
        self.waiting -= 1;
        Next::Message(Box::new(taken))
    }

    /// A message is no longer with who had it.
    pub(super) fn release(&mut self, id: &LaneId) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        lane.with = lane.with.and_then(|(who, held)| (held > 1).then(|| (who, held - 1)));
        if lane.with.is_none() && lane.waiting.is_empty() {
            self.lanes.remove(id);
        }
    }
}
