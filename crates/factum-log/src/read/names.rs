//! The names of the segment that is being read, remembered.

use crate::{
    error::{Damage, Fault},
    segment::Segment,
};
use factum_core::{EventType, StreamName, Tag};
use std::collections::HashMap;

/// Names of one kind that are remembered; all are forgotten when there are more.
const NAMES_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct NameCache {
    /// Its seed: a segment that was rewritten numbers its names anew.
    segment: u64,
    streams: HashMap<u32, StreamName>,
    types: HashMap<u32, EventType>,
    tags: HashMap<u32, Tag>,
}

impl NameCache {
    fn turn_to(&mut self, segment: &Segment) {
        if self.segment != segment.seed() {
            *self = Self { segment: segment.seed(), ..Self::default() };
        }
    }

    pub(super) fn stream(&mut self, segment: &Segment, number: u32) -> Result<StreamName, Fault> {
        self.turn_to(segment);
        cached(&mut self.streams, segment, number, || segment.index.stream_name(number))
    }

    pub(super) fn event_type(
        &mut self,
        segment: &Segment,
        number: u32,
    ) -> Result<EventType, Fault> {
        self.turn_to(segment);
        cached(&mut self.types, segment, number, || segment.index.event_type(number))
    }

    pub(super) fn tag(&mut self, segment: &Segment, number: u32) -> Result<Tag, Fault> {
        self.turn_to(segment);
        cached(&mut self.tags, segment, number, || segment.index.tag(number))
    }
}

fn cached<N: Clone>(
    cache: &mut HashMap<u32, N>,
    segment: &Segment,
    number: u32,
    look_up: impl FnOnce() -> Result<Option<N>, Fault>,
) -> Result<N, Fault> {
    if let Some(name) = cache.get(&number) {
        return Ok(name.clone());
    }
    let name = look_up()?.ok_or_else(|| segment.fault(0, Damage::Contradiction))?;
    if cache.len() >= NAMES_MAX {
        cache.clear();
    }
    cache.insert(number, name.clone());
    Ok(name)
}
