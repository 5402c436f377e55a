//! The names of the segment that is being read, remembered.

use crate::{
    error::{Damage, Fault},
    format::entry::Entry,
    planted::{Bug, is_on},
    segment::Segment,
};
use factum_core::{EventType, StreamName, Tag};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Names of one kind that are remembered; all are forgotten when there are more.
const NAMES_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct NameCache {
    /// Its seed: a segment that was rewritten numbers its names anew.
    segment: u64,
    base: u64,
    streams: Known<StreamName>,
    types: Known<EventType>,
    tags: Known<Tag>,
    tags_of_event: Vec<Tag>,
}

/// The names of one event.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamesOf<'a> {
    pub(super) stream: &'a StreamName,
    pub(super) event_type: &'a EventType,
    pub(super) tags: &'a [Tag],
}

impl NameCache {
    /// The names that an event of a segment has by number.
    pub(super) fn of(&mut self, segment: &Segment, entry: &Entry) -> Result<NamesOf<'_>, Fault> {
        let is_same = is_on(Bug::StaleNames) && self.base == segment.base();
        if self.segment != segment.seed() && !is_same {
            let (seed, base) = (segment.seed(), segment.base());
            *self = Self { segment: seed, base, ..Self::default() };
        }
        let index = &segment.index;
        self.tags_of_event.clear();
        for tag in &entry.tags {
            let tag = self.tags.name(segment, *tag, |number| index.tag(number))?;
            self.tags_of_event.push(tag.clone());
        }
        let stream = |number| index.stream_name(number);
        let event_type = |number| index.event_type(number);
        Ok(NamesOf {
            stream: self.streams.name(segment, entry.stream, stream)?,
            event_type: self.types.name(segment, entry.event_type, event_type)?,
            tags: &self.tags_of_event,
        })
    }
}

/// Names of one kind.
#[derive(Debug)]
struct Known<N> {
    /// The one that was asked for last: mostly it is the next one too.
    last: Option<(u32, N)>,
    all: HashMap<u32, N, RandomState>,
}

impl<N> Default for Known<N> {
    fn default() -> Self {
        Self { last: None, all: HashMap::default() }
    }
}

impl<N: Clone> Known<N> {
    fn name(
        &mut self,
        segment: &Segment,
        number: u32,
        look_up: impl FnOnce(u32) -> Result<Option<N>, Fault>,
    ) -> Result<&N, Fault> {
        let last = match self.last.take() {
            Some(last) if last.0 == number => last,
            _ => (number, self.find(segment, number, look_up)?),
        };
        Ok(&self.last.insert(last).1)
    }

    fn find(
        &mut self,
        segment: &Segment,
        number: u32,
        look_up: impl FnOnce(u32) -> Result<Option<N>, Fault>,
    ) -> Result<N, Fault> {
        if let Some(name) = self.all.get(&number) {
            return Ok(name.clone());
        }
        let name = look_up(number)?.ok_or_else(|| segment.fault(0, Damage::Contradiction))?;
        if self.all.len() >= NAMES_MAX {
            self.all.clear();
        }
        self.all.insert(number, name.clone());
        Ok(name)
    }
}
