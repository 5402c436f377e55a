//! Frames that say what is lost.
//!
//! Apart from those of events, as nothing is copied: what is left of a lost event is what an index
//! knew of it.

use super::{Draft, Output, Placed};
use crate::{
    error::Fault,
    format::{
        entry::{Content, Numbers, put_content},
        frame::{FrameHeader, Kind},
        lost::{id_of, put_lost},
    },
    index::{Indexed, Lost},
};
use factum_core::{ContentType, EventType, StreamName, Tag};

/// Lost events in one frame, at most.
const EVENTS_MAX: usize = 4096;

/// What is known of a lost event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Remains {
    pub(crate) ordinal: u32,
    pub(crate) stream: StreamName,
    pub(crate) revision: u64,
    pub(crate) event_type: EventType,
    pub(crate) tags: Vec<Tag>,
    /// The part of its identity's hash that an index keeps.
    pub(crate) key: u32,
}

impl Output {
    /// Says that events are lost, and what of them is known: `remains`, in order, all in the range.
    ///
    /// # Panics
    /// Inside of an append.
    pub(crate) fn lost(
        &mut self,
        lost: &Lost,
        recorded_at_ns: i64,
        remains: &[Remains],
    ) -> Result<(), Fault> {
        assert!(self.held.is_none(), "appends are whole or lost");
        let mut start = lost.ordinals.start;
        let mut left = remains;
        loop {
            let (these, others) = left.split_at(left.len().min(EVENTS_MAX));
            let end = others.first().map_or(lost.ordinals.end, |next| next.ordinal);
            let piece = Lost { ordinals: start..end, is_known: lost.is_known };
            self.lost_frame(piece, recorded_at_ns, these)?;
            if others.is_empty() {
                return Ok(());
            }
            (start, left) = (end, others);
        }
    }

    fn lost_frame(
        &mut self,
        lost: Lost,
        recorded_at_ns: i64,
        remains: &[Remains],
    ) -> Result<(), Fault> {
        let (ordinal, end) = (lost.ordinals.start, lost.ordinals.end);
        let mut draft = Draft { ordinal, recorded_at_ns, ..Draft::default() };
        for one in remains {
            self.remains(&mut draft, one);
        }
        let mut body = Vec::new();
        put_lost(&mut body, end - ordinal, lost.is_known);
        draft.put_into(&mut body);
        let header = FrameHeader {
            len: 0,
            ordinal,
            recorded_at_ns,
            pending: 0,
            count: u16::try_from(draft.placed.len()).expect("few in a frame"),
            kind: Kind::Lost,
            first: true,
            last: true,
            tracking: false,
        };
        self.index.skip_to(ordinal);
        self.put(header, &body)?;
        for Placed { ordinal, stream, event_type, tags, revision, id } in draft.placed {
            let event = Indexed { stream, event_type, tags: &tags, revision, id };
            self.index.push_lost(ordinal, event).expect("its names were numbered above");
        }
        self.index.lose(lost).expect("all of them are in the range");
        Ok(())
    }

    fn remains(&mut self, draft: &mut Draft, one: &Remains) {
        let stream = draft.stream(&mut self.index, &one.stream);
        let event_type = draft.event_type(&mut self.index, &one.event_type);
        let tags: Vec<u32> = one.tags.iter().map(|tag| draft.tag(&mut self.index, tag)).collect();
        let next = draft.placed.last().map_or(draft.ordinal, |before| before.ordinal + 1);
        let (id, revision, ordinal) = (id_of(one.key), one.revision, one.ordinal);
        let content = Content {
            id,
            revision,
            content_type: ContentType::Json,
            occurred_at: None,
            metadata: &[],
            data: &[],
            gap: ordinal - next,
        };
        let numbers = Numbers { stream, event_type, tags: &tags };
        draft.entries.add(|bytes| put_content(bytes, &content, &numbers));
        draft.placed.push(Placed { ordinal, stream, event_type, tags, revision, id });
    }
}
