//! The index of the newest segment, changed by the writer with every append.
//!
//! It holds events that are not durable yet: readers pass the watermark, and see nothing above it.

use super::{
    FrameRef, StreamPart, StreamSpan, id_key,
    select::{Lists, Wanted, Window},
};
use crate::format::names::{NameKind, NewName};
use factum_core::{EventType, Query, StreamName, Tag, Uuid, name::category_of};
use std::{borrow::Borrow, collections::HashMap, convert::Infallible, hash::Hash, sync::Arc};

/// More names than this are not lost in one piece of damage: the number itself is wrong.
const LOST_NAMES_MAX: usize = 1 << 24;

/// Frames given at once: reading on needs the next ones.
const FRAMES_NEAR: usize = 64;

/// Names of one kind, numbered in the order of their first use.
#[derive(Debug)]
pub(super) struct Names<N> {
    pub(super) list: Vec<N>,
    numbers: HashMap<N, u32>,
}

impl<N> Default for Names<N> {
    fn default() -> Self {
        Self { list: Vec::new(), numbers: HashMap::new() }
    }
}

impl<N: Clone + Eq + Hash + Borrow<str>> Names<N> {
    fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// Gives a name the number that the log says; names between are lost.
    fn intern_at(&mut self, number: u32, name: N, lost: impl Fn() -> N) -> Option<()> {
        let missing = (number as usize).checked_sub(self.list.len())?;
        if missing > LOST_NAMES_MAX {
            return None;
        }
        self.list.extend((0..missing).map(|_| lost()));
        self.list.push(name.clone());
        self.numbers.insert(name, number);
        Some(())
    }

    /// The number of a name, and whether it is new.
    fn intern(&mut self, name: &N) -> (u32, bool) {
        if let Some(number) = self.number(name.borrow()) {
            return (number, false);
        }
        let number = u32::try_from(self.list.len()).expect("a segment's names are few");
        self.list.push(name.clone());
        self.numbers.insert(name.clone(), number);
        (number, true)
    }
}

#[derive(Debug)]
pub(super) struct StreamTerm {
    category: u32,
    pub(super) first_revision: u64,
    pub(super) ordinals: Vec<u32>,
}

/// What the index keeps of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Indexed<'a> {
    pub(crate) stream: u32,
    pub(crate) event_type: u32,
    pub(crate) tags: &'a [u32],
    pub(crate) revision: u64,
    pub(crate) id: Uuid,
}

/// The index of the newest segment.
#[derive(Debug, Default)]
pub(crate) struct MemoryIndex {
    pub(super) streams: Names<StreamName>,
    pub(super) types: Names<EventType>,
    pub(super) tags: Names<Tag>,
    pub(super) categories: Names<Arc<str>>,
    pub(super) of_streams: Vec<StreamTerm>,
    pub(super) of_types: Vec<Vec<u32>>,
    pub(super) of_tags: Vec<Vec<u32>>,
    pub(super) of_categories: Vec<Vec<u32>>,
    pub(super) frames: Vec<FrameRef>,
    /// The latest event of each key of (stream, id).
    pub(super) ids: HashMap<u64, u32>,
    /// Earlier events of the same keys: written again, or other events whose hash is the same.
    pub(super) earlier_ids: HashMap<u64, Vec<u32>>,
    next: u32,
}

impl MemoryIndex {
    /// The ordinal of the next event.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Goes on after events that are missing.
    pub(crate) fn skip_to(&mut self, ordinal: u32) {
        self.next = self.next.max(ordinal);
    }

    pub(crate) fn intern_stream(&mut self, name: &StreamName) -> (u32, bool) {
        let (number, is_new) = self.streams.intern(name);
        if is_new {
            self.grow_streams();
        }
        (number, is_new)
    }

    pub(crate) fn intern_type(&mut self, name: &EventType) -> (u32, bool) {
        let (number, is_new) = self.types.intern(name);
        if is_new {
            self.of_types.push(Vec::new());
        }
        (number, is_new)
    }

    pub(crate) fn intern_tag(&mut self, name: &Tag) -> (u32, bool) {
        let (number, is_new) = self.tags.intern(name);
        if is_new {
            self.of_tags.push(Vec::new());
        }
        (number, is_new)
    }

    /// Takes in a name as the log has it. `None` if its number is taken.
    pub(crate) fn learn(&mut self, new: NewName<'_>) -> Option<()> {
        match new.kind {
            NameKind::Stream => {
                let name = StreamName::trusted(new.name.into());
                self.streams.intern_at(new.number, name, || StreamName::trusted("".into()))?;
                self.grow_streams();
            }
            NameKind::Type => {
                let name = EventType::trusted(new.name.into());
                self.types.intern_at(new.number, name, || EventType::trusted("".into()))?;
                self.of_types.resize_with(self.types.list.len(), Vec::new);
            }
            NameKind::Tag => {
                let name = Tag::trusted(new.name.into());
                self.tags.intern_at(new.number, name, || Tag::trusted("".into()))?;
                self.of_tags.resize_with(self.tags.list.len(), Vec::new);
            }
        }
        Some(())
    }

    fn grow_streams(&mut self) {
        while let Some(name) = self.streams.list.get(self.of_streams.len()) {
            let category: Arc<str> = category_of(name.as_str()).into();
            let (category, is_new) = self.categories.intern(&category);
            if is_new {
                self.of_categories.push(Vec::new());
            }
            let ordinals = Vec::new();
            self.of_streams.push(StreamTerm { category, first_revision: 0, ordinals });
        }
    }

    /// Says where the events from the next ordinal on lie.
    pub(crate) fn push_frame(&mut self, offset: u32, bytes: u32) {
        self.frames.push(FrameRef { ordinal: self.next, offset, bytes });
    }

    /// Whether all of an event's numbers are of names that are there.
    pub(crate) fn knows(&self, event: Indexed<'_>) -> bool {
        let known = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
        known(self.streams.list.get(event.stream as usize).map(StreamName::as_str))
            && known(self.types.list.get(event.event_type as usize).map(EventType::as_str))
            && event
                .tags
                .iter()
                .all(|tag| known(self.tags.list.get(*tag as usize).map(Tag::as_str)))
    }

    /// Adds an event after the last one. `None` if one of its numbers is of no name.
    pub(crate) fn push(&mut self, ordinal: u32, event: Indexed<'_>) -> Option<()> {
        let name = self.streams.list.get(event.stream as usize)?;
        let key = id_key(name, event.id);
        let stream = self.of_streams.get_mut(event.stream as usize)?;
        if stream.ordinals.is_empty() {
            stream.first_revision = event.revision;
        }
        stream.ordinals.push(ordinal);
        self.of_categories.get_mut(stream.category as usize)?.push(ordinal);
        self.of_types.get_mut(event.event_type as usize)?.push(ordinal);
        for tag in event.tags {
            let ordinals = self.of_tags.get_mut(*tag as usize)?;
            // A tag may be given twice.
            if ordinals.last() != Some(&ordinal) {
                ordinals.push(ordinal);
            }
        }
        if let Some(earlier) = self.ids.insert(key, ordinal) {
            self.earlier_ids.entry(key).or_default().push(earlier);
        }
        self.next = ordinal.checked_add(1)?;
        Some(())
    }

    pub(crate) fn stream_name(&self, number: u32) -> Option<StreamName> {
        self.streams.list.get(number as usize).cloned()
    }

    pub(crate) fn event_type(&self, number: u32) -> Option<EventType> {
        self.types.list.get(number as usize).cloned()
    }

    pub(crate) fn tag(&self, number: u32) -> Option<Tag> {
        self.tags.list.get(number as usize).cloned()
    }

    pub(crate) fn frames(&self) -> u32 {
        u32::try_from(self.frames.len()).expect("a segment's frames are few")
    }

    pub(crate) fn nth_frame(&self, nth: u32) -> Option<FrameRef> {
        self.frames.get(nth as usize).copied()
    }

    pub(crate) fn frames_near(&self, ordinal: u32) -> Vec<FrameRef> {
        let after = self.frames.partition_point(|frame| frame.ordinal <= ordinal);
        let frames = self.frames.iter().skip(after.saturating_sub(1)).take(FRAMES_NEAR);
        frames.copied().collect()
    }

    fn stream(&self, name: &StreamName) -> Option<&StreamTerm> {
        self.of_streams.get(self.streams.number(name.as_str())? as usize)
    }

    pub(crate) fn span(&self, stream: &StreamName, until: u32) -> Option<StreamSpan> {
        let term = self.stream(stream)?;
        span_of(&term.ordinals, term.first_revision, until)
    }

    /// Whether an event of this type is here.
    pub(crate) fn has_type(&self, name: &str) -> bool {
        self.types.number(name).is_some()
    }

    pub(crate) fn of_stream(&self, stream: &StreamName, part: StreamPart) -> Vec<u32> {
        self.stream(stream).map_or_else(Vec::new, |term| part.of(&term.ordinals))
    }

    pub(crate) fn with_id(&self, key: u64) -> Vec<u32> {
        let earlier = self.earlier_ids.get(&key).into_iter().flatten();
        earlier.chain(self.ids.get(&key)).copied().collect()
    }

    /// The ordinals in the window that may match the query.
    pub(crate) fn select(&self, query: &Query, window: Window) -> Vec<u32> {
        let lists = Lists::look_up(query, |wanted| Ok::<_, Infallible>(self.list(wanted)));
        let Ok(lists) = lists;
        lists.select(window)
    }

    fn list(&self, wanted: Wanted<'_>) -> Option<&[u32]> {
        let (number, lists) = match wanted {
            Wanted::Type(name) => (self.types.number(name)?, &self.of_types),
            Wanted::Tag(name) => (self.tags.number(name)?, &self.of_tags),
            Wanted::Category(name) => (self.categories.number(name)?, &self.of_categories),
        };
        lists.get(number as usize).map(Vec::as_slice)
    }
}

/// The span of a stream's ordinals up to `until`.
pub(super) fn span_of(ordinals: &[u32], first_revision: u64, until: u32) -> Option<StreamSpan> {
    let count = ordinals.partition_point(|ordinal| *ordinal <= until);
    let last = *ordinals.get(count.checked_sub(1)?)?;
    let count = u32::try_from(count).expect("a segment's events are few");
    Some(StreamSpan { first_revision, count, last })
}
