//! The heads of streams that the writer met lately: bounded, and always what the log says.

use crate::planted::{Bug, is_on};
use factum_core::{
    StreamMetadata, StreamName,
    judge::{Plan, StreamHead},
    system,
};
use foldhash::fast::RandomState;
use std::{collections::HashMap, sync::Arc};

/// Two generations: when the young one is full it becomes the old one, and the old one is
/// forgotten. What is used again moves to the young one.
#[derive(Debug)]
pub(super) struct Heads {
    young: HashMap<StreamName, StreamHead, RandomState>,
    old: HashMap<StreamName, StreamHead, RandomState>,
    max: usize,
}

impl Heads {
    /// Remembers at most `max` heads.
    pub(super) fn new(max: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), max: max.max(2) }
    }

    pub(super) fn get(&mut self, stream: &StreamName) -> Option<StreamHead> {
        if let Some(head) = self.young.get(stream) {
            return Some(head.clone());
        }
        let head = self.old.remove(stream)?;
        self.put(stream.clone(), head.clone());
        Some(head)
    }

    pub(super) fn put(&mut self, stream: StreamName, head: StreamHead) {
        if self.young.len() >= self.max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, head);
    }

    /// Brings what is remembered up to what was written.
    pub(super) fn apply(&mut self, plan: &Plan) {
        for planned in &plan.events {
            let event = &planned.event;
            if let Some(head) = self.known(&planned.stream) {
                head.last = Some(planned.revision);
                head.tombstoned = !is_on(Bug::ForgetTombstone)
                    && event.event_type.as_str() == system::STREAM_DELETED;
            }
            if let Some(of) = planned.stream.metadata_of()
                && !is_on(Bug::StaleMetadata)
                && let Some(head) = self.known(&of)
            {
                let metadata = StreamMetadata::from_json(&event.data);
                head.metadata = Arc::new(metadata.unwrap_or_else(|_| StreamMetadata::initial(&of)));
            }
        }
    }

    fn known(&mut self, stream: &StreamName) -> Option<&mut StreamHead> {
        match self.young.get_mut(stream) {
            Some(head) => Some(head),
            None => self.old.get_mut(stream),
        }
    }
}
