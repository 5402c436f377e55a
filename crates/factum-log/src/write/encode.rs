//! An append as frames, at the end of the group; and its events in the index.

use crate::{
    format::{
        body::{Entries, Tracked, put_tracked},
        entry::{Numbers, put_entry},
        frame::{FRAME_BYTES_AIM, FRAME_HEADER_BYTES_MAX, FrameHeader, Kind},
        names::{NameKind, NamesWriter},
    },
    index::{Indexed, MemoryIndex},
    planted::{Bug, is_on},
    segment::Segment,
};
use factum_core::{
    EventType, StreamName, Timestamp, Uuid,
    judge::{Plan, Planned},
};
use std::ops::Range;

/// An upper bound of the bytes that a plan takes in the log.
pub(super) fn bytes_needed(plan: &Plan) -> u64 {
    // Per event: the head of a frame of its own, and an entry's fields at their longest.
    const PER_EVENT: usize = FRAME_HEADER_BYTES_MAX + 80;
    const PER_NAME: usize = 16;
    let of = |planned: &Planned| {
        let names = 2 + planned.event.tags.len();
        let stream = planned.stream.as_str().len();
        PER_EVENT + names * PER_NAME + stream + planned.event.weight()
    };
    let tracking = plan.tracking.as_ref().map_or(0, |tracking| 32 + tracking.source.len());
    let events: usize = plan.events.iter().map(of).sum();
    (FRAME_HEADER_BYTES_MAX + 16 + tracking + events) as u64
}

/// What the index keeps of an event in a frame in the making.
struct Drafted {
    stream: u32,
    event_type: u32,
    /// Where its tags are, in the draft's.
    tags: Range<usize>,
    revision: u64,
    id: Uuid,
}

/// A frame in the making.
#[derive(Default)]
struct Draft {
    fresh: NamesWriter,
    entries: Entries,
    /// Names, tracked position and events, as they are sealed.
    body: Vec<u8>,
    tags: Vec<u32>,
    drafted: Vec<Drafted>,
}

impl Draft {
    fn is_full(&self) -> bool {
        self.entries.len() >= FRAME_BYTES_AIM || self.drafted.len() == usize::from(u16::MAX)
    }

    fn add(&mut self, planned: &Planned, known: &mut Known, index: &mut MemoryIndex) {
        let stream = self.stream(&planned.stream, known, index);
        let event_type = self.event_type(&planned.event.event_type, known, index);
        let before = self.tags.len();
        for tag in &planned.event.tags {
            let (number, is_new) = index.intern_tag(tag);
            if is_new {
                self.fresh.put(NameKind::Tag, number, tag.as_str());
            }
            self.tags.push(number);
        }
        let (id, revision) = (planned.event.id, planned.revision.0);
        let tags = before..self.tags.len();
        let of_event = self.tags.get(before..).unwrap_or_default();
        let numbers = Numbers { stream, event_type, tags: of_event };
        self.entries.add(|bytes| put_entry(bytes, &planned.event, &numbers, revision));
        self.drafted.push(Drafted { stream, event_type, tags, revision, id });
    }

    fn stream(&mut self, name: &StreamName, known: &mut Known, index: &mut MemoryIndex) -> u32 {
        if let Some((_, number)) = known.stream.as_ref().filter(|(last, _)| last.ptr_eq(name)) {
            return *number;
        }
        let (number, is_new) = index.intern_stream(name);
        if is_new {
            self.fresh.put(NameKind::Stream, number, name.as_str());
        }
        known.stream = Some((name.clone(), number));
        number
    }

    fn event_type(&mut self, name: &EventType, known: &mut Known, index: &mut MemoryIndex) -> u32 {
        if let Some((_, number)) = known.event_type.as_ref().filter(|(last, _)| last.ptr_eq(name)) {
            return *number;
        }
        let (number, is_new) = index.intern_type(name);
        if is_new {
            self.fresh.put(NameKind::Type, number, name.as_str());
        }
        known.event_type = Some((name.clone(), number));
        number
    }

    /// Empties it, and keeps its room.
    fn clear(&mut self) {
        self.fresh = NamesWriter::default();
        self.entries.clear();
        self.tags.clear();
        self.drafted.clear();
    }
}

/// The names that the event before had: mostly those of the next one too.
#[derive(Default)]
struct Known {
    stream: Option<(StreamName, u32)>,
    event_type: Option<(EventType, u32)>,
}

/// Which of an append's frames.
#[derive(Clone, Copy)]
struct Which {
    first: bool,
    last: bool,
}

pub(super) struct Encoder<'a> {
    pub(super) group: &'a mut Vec<u8>,
    /// Where the group goes: all before is durable.
    pub(super) offset: u64,
    pub(super) segment: &'a Segment,
    pub(super) recorded_at: Timestamp,
}

impl Encoder<'_> {
    pub(super) fn append(&mut self, plan: &Plan) {
        let segment = self.segment;
        segment.index.change(|index| self.frames(plan, index));
    }

    fn frames(&mut self, plan: &Plan, index: &mut MemoryIndex) {
        let tracked = plan
            .tracking
            .as_ref()
            .map(|tracking| Tracked { source: &tracking.source, position: tracking.position });
        let (mut draft, mut known) = (Draft::default(), Known::default());
        let mut first = true;
        for (nth, planned) in plan.events.iter().enumerate() {
            draft.add(planned, &mut known, index);
            let last = nth + 1 == plan.events.len();
            if draft.is_full() && !last {
                self.seal(&mut draft, None, Which { first, last: false }, index);
                draft.clear();
                first = false;
            }
        }
        self.seal(&mut draft, tracked, Which { first, last: true }, index);
    }

    /// Appends a frame to the group, and its events to the index.
    fn seal(
        &mut self,
        draft: &mut Draft,
        tracked: Option<Tracked<'_>>,
        which: Which,
        index: &mut MemoryIndex,
    ) {
        let start = self.group.len();
        let body = &mut draft.body;
        body.clear();
        draft.fresh.put_into(body);
        if let Some(tracked) = tracked {
            put_tracked(body, tracked);
        }
        draft.entries.put_into(body);
        let narrow = |n: usize| u32::try_from(n).expect("a segment is smaller than 4 GiB");
        let offset = self.offset + start as u64;
        let header = FrameHeader {
            len: narrow(body.len()),
            ordinal: index.next(),
            recorded_at_ns: self.recorded_at.0,
            pending: if is_on(Bug::ClaimTooMuch) { 0 } else { narrow(start) },
            count: u16::try_from(draft.drafted.len()).expect("a full draft is sealed"),
            kind: Kind::Events,
            first: which.first,
            last: which.last,
            tracking: tracked.is_some(),
        };
        self.group.resize(start + header.head_bytes(), 0);
        self.group.extend_from_slice(body);
        let frame = self.group.get_mut(start..).expect("the frame was appended above");
        header.seal(frame, self.segment.place(offset));
        let bytes = narrow(frame.len());
        if !draft.drafted.is_empty() {
            let offset = u32::try_from(offset).expect("a segment is smaller than 4 GiB");
            index.push_frame(offset, bytes);
        }
        for drafted in &draft.drafted {
            let Drafted { stream, event_type, revision, id, .. } = *drafted;
            let tags = draft.tags.get(drafted.tags.clone()).unwrap_or_default();
            let event = Indexed { stream, event_type, tags, revision, id };
            index.push(index.next(), event).expect("its names were numbered above");
        }
    }
}
