//! What a frame holds, put into an index in memory: when a segment is opened, and when frames come
//! from another store.
//!
//! Apart, so that a replica takes in what it is sent exactly as opening would find it.

use crate::{
    format::{
        body::{Body, read_body, read_carry},
        entry::Entry,
        frame::{FrameHeader, Kind},
        lost::read_lost,
    },
    index::{Indexed, Lost, MemoryIndex},
};
use std::{collections::HashMap, sync::Arc};

/// A frame that is whole, at its offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameAt<'a> {
    pub(crate) at: u64,
    pub(crate) header: &'a FrameHeader,
    pub(crate) body: &'a [u8],
}

/// Puts a frame's content into the index, and gives its events, of which lost ones are none; `None`
/// if it makes no sense.
pub(crate) fn take_in(
    frame: FrameAt<'_>,
    index: &mut MemoryIndex,
    tracked: &mut HashMap<Arc<str>, u64>,
) -> Option<Vec<Entry>> {
    let FrameAt { at, header, body } = frame;
    match header.kind {
        Kind::Closed => Some(Vec::new()),
        Kind::Sealed => {
            index.skip_to(header.ordinal);
            Some(Vec::new())
        }
        Kind::Carry => {
            let carried = read_carry(body)?;
            tracked.extend(carried.iter().map(|one| (one.source.into(), one.position)));
            Some(Vec::new())
        }
        Kind::Lost => {
            let lost = read_lost(header, body)?;
            index.skip_to(header.ordinal);
            let ordinals = header.ordinal..header.ordinal + lost.count;
            if !put_events(index, &lost.body, None) {
                return None;
            }
            index.lose(Lost { ordinals, is_known: lost.is_known })?;
            Some(Vec::new())
        }
        Kind::Events => {
            let body = read_body(header, body)?;
            let (at, len) = (at.try_into().ok()?, header.frame_bytes().try_into().ok()?);
            if let Some(tracking) = body.tracked {
                tracked.insert(tracking.source.into(), tracking.position);
            }
            index.skip_to(header.ordinal);
            put_events(index, &body, Some((at, len))).then_some(body.entries)
        }
    }
}

/// Takes in the events of a frame, and where it lies; lost ones lie nowhere.
fn put_events(index: &mut MemoryIndex, body: &Body<'_>, place: Option<(u32, u32)>) -> bool {
    if body.names.iter().any(|name| index.learn(name).is_none()) {
        return false;
    }
    let indexed = |entry: &Entry| (entry.ordinal, entry.revision, entry.id);
    let events: Vec<_> = body
        .entries
        .iter()
        .map(|entry| {
            let (ordinal, revision, id) = indexed(entry);
            let (stream, event_type, tags) = (entry.stream, entry.event_type, &*entry.tags);
            (ordinal, Indexed { stream, event_type, tags, revision, id })
        })
        .collect();
    if events.iter().any(|(_, event)| !index.knows(*event)) {
        return false;
    }
    if let Some((at, len)) = place.filter(|_| !events.is_empty()) {
        index.push_frame(at, len);
    }
    let mut push = |(ordinal, event)| match place {
        Some(_) => index.push(ordinal, event),
        None => index.push_lost(ordinal, event),
    };
    events.into_iter().all(|event| push(event).is_some())
}
