//! The index of the newest segment, changed by the writer with every append.
//!
//! It holds events that are not durable yet: readers pass the watermark, and see nothing above it.

use super::{
    AllLost, FrameRef, Lost, StreamPart, StreamSpan, TermKind, WholeTerm, id_key,
    ids::{Ids, upper},
    list::List,
    names::Names,
    select::{Lists, Wanted, Window},
};
use crate::format::{
    lost::key_of,
    names::{NameKind, NewName},
};
use factum_core::{EventType, Query, StreamName, Tag, Uuid, name::category_of};
use std::convert::Infallible;

/// Frames given at once: reading on needs the next ones.
const FRAMES_NEAR: usize = 64;

#[derive(Debug)]
pub(super) struct StreamTerm {
    category: u32,
    pub(super) first_revision: u64,
    pub(super) ordinals: List,
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
    pub(super) streams: Names,
    pub(super) types: Names,
    pub(super) tags: Names,
    pub(super) categories: Names,
    pub(super) of_streams: Vec<StreamTerm>,
    pub(super) of_types: Vec<List>,
    pub(super) of_tags: Vec<List>,
    pub(super) of_categories: Vec<List>,
    pub(super) frames: Vec<FrameRef>,
    pub(super) ids: Ids,
    lost: AllLost,
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
        let (number, is_new) = self.streams.intern(name.as_str());
        if is_new {
            self.grow_lists();
        }
        (number, is_new)
    }

    pub(crate) fn intern_type(&mut self, name: &EventType) -> (u32, bool) {
        let (number, is_new) = self.types.intern(name.as_str());
        if is_new {
            self.grow_lists();
        }
        (number, is_new)
    }

    pub(crate) fn intern_tag(&mut self, name: &Tag) -> (u32, bool) {
        let (number, is_new) = self.tags.intern(name.as_str());
        if is_new {
            self.grow_lists();
        }
        (number, is_new)
    }

    /// Takes in a name as the log has it. `None` if its number is taken.
    pub(crate) fn learn(&mut self, new: &NewName<'_>) -> Option<()> {
        let names = match new.kind {
            NameKind::Stream => &mut self.streams,
            NameKind::Type => &mut self.types,
            NameKind::Tag => &mut self.tags,
        };
        names.intern_at(new.number, &new.name)?;
        self.grow_lists();
        Some(())
    }

    /// A list for each name.
    fn grow_lists(&mut self) {
        for number in self.of_streams.len()..self.streams.len() {
            let number = u32::try_from(number).expect("a segment's names are few");
            let name = self.streams.get(number).unwrap_or_default();
            let (category, _) = self.categories.intern(category_of(name));
            let ordinals = List::default();
            self.of_streams.push(StreamTerm { category, first_revision: 0, ordinals });
        }
        self.of_types.resize_with(self.types.len(), List::default);
        self.of_tags.resize_with(self.tags.len(), List::default);
        self.of_categories.resize_with(self.categories.len(), List::default);
    }

    /// Says where the events from the next ordinal on lie.
    pub(crate) fn push_frame(&mut self, offset: u32, bytes: u32) {
        self.frames.push(FrameRef { ordinal: self.next, offset, bytes });
    }

    /// Whether all of an event's numbers are of names that are there.
    pub(crate) fn knows(&self, event: Indexed<'_>) -> bool {
        let known = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
        known(self.streams.get(event.stream))
            && known(self.types.get(event.event_type))
            && event.tags.iter().all(|tag| known(self.tags.get(*tag)))
    }

    /// Adds an event after the last one. `None` if one of its numbers is of no name.
    pub(crate) fn push(&mut self, ordinal: u32, event: Indexed<'_>) -> Option<()> {
        let key = upper(id_key(self.streams.get(event.stream)?, event.id));
        self.push_under(key, ordinal, event)
    }

    /// Adds an event that is lost: of its id there is a part of its hash.
    pub(crate) fn push_lost(&mut self, ordinal: u32, event: Indexed<'_>) -> Option<()> {
        self.push_under(key_of(event.id), ordinal, event)
    }

    fn push_under(&mut self, key: u32, ordinal: u32, event: Indexed<'_>) -> Option<()> {
        let stream = self.of_streams.get_mut(event.stream as usize)?;
        if stream.ordinals.as_slice().is_empty() {
            stream.first_revision = event.revision;
        }
        stream.ordinals.push(ordinal);
        self.of_categories.get_mut(stream.category as usize)?.push(ordinal);
        self.of_types.get_mut(event.event_type as usize)?.push(ordinal);
        for tag in event.tags {
            let ordinals = self.of_tags.get_mut(*tag as usize)?;
            // A tag may be given twice.
            if ordinals.as_slice().last() != Some(&ordinal) {
                ordinals.push(ordinal);
            }
        }
        self.ids.push(key, ordinal);
        self.next = ordinal.checked_add(1)?;
        Some(())
    }

    /// Goes on after events that are lost. `None` if more comes after them already.
    pub(crate) fn lose(&mut self, lost: Lost) -> Option<()> {
        if self.next > lost.ordinals.end {
            return None;
        }
        self.next = lost.ordinals.end;
        self.lost.push(lost);
        Some(())
    }

    pub(crate) fn lost(&self) -> &AllLost {
        &self.lost
    }

    pub(super) fn names(&self, kind: TermKind) -> u32 {
        u32::try_from(self.names_of(kind).len()).expect("a segment's names are few")
    }

    fn names_of(&self, kind: TermKind) -> &Names {
        match kind {
            TermKind::Stream => &self.streams,
            TermKind::Type => &self.types,
            TermKind::Tag => &self.tags,
            TermKind::Category => &self.categories,
        }
    }

    /// All that is said of a name.
    pub(super) fn term(&self, kind: TermKind, number: u32) -> Option<WholeTerm> {
        let name = self.names_of(kind).get(number).filter(|name| !name.is_empty())?;
        let at = number as usize;
        let (first_revision, list) = match kind {
            TermKind::Stream => {
                let stream = self.of_streams.get(at)?;
                (stream.first_revision, &stream.ordinals)
            }
            TermKind::Type => (0, self.of_types.get(at)?),
            TermKind::Tag => (0, self.of_tags.get(at)?),
            TermKind::Category => (0, self.of_categories.get(at)?),
        };
        let ordinals = list.as_slice().to_vec();
        Some(WholeTerm { name: name.into(), first_revision, ordinals })
    }

    pub(crate) fn stream_name(&self, number: u32) -> Option<StreamName> {
        self.streams.get(number).map(|name| StreamName::trusted(name.into()))
    }

    pub(crate) fn event_type(&self, number: u32) -> Option<EventType> {
        self.types.get(number).map(|name| EventType::trusted(name.into()))
    }

    pub(crate) fn tag(&self, number: u32) -> Option<Tag> {
        self.tags.get(number).map(|name| Tag::trusted(name.into()))
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
        span_of(term.ordinals.as_slice(), term.first_revision, until)
    }

    /// Whether an event of this type is here.
    pub(crate) fn has_type(&self, name: &str) -> bool {
        self.types.number(name).is_some()
    }

    pub(crate) fn of_stream(&self, stream: &StreamName, part: StreamPart) -> Vec<u32> {
        self.stream(stream).map_or_else(Vec::new, |term| part.of(term.ordinals.as_slice()))
    }

    pub(crate) fn with_id(&self, key: u64) -> Vec<u32> {
        self.ids.with(key)
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
        lists.get(number as usize).map(List::as_slice)
    }
}

/// The span of a stream's ordinals up to `until`.
pub(super) fn span_of(ordinals: &[u32], first_revision: u64, until: u32) -> Option<StreamSpan> {
    let count = ordinals.partition_point(|ordinal| *ordinal <= until);
    let last = *ordinals.get(count.checked_sub(1)?)?;
    let count = u32::try_from(count).expect("a segment's events are few");
    Some(StreamSpan { first_revision, count, last })
}
