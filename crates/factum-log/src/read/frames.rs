//! Loading frames: each is checked whole before anything of it is used.

use super::snapshot::Pending;
use crate::{
    error::{Damage, Fault},
    format::{
        body::read_entries,
        entry::Entry,
        frame::{self, FrameHeader},
    },
    index::FrameRef,
    segment::Segment,
};
use factum_core::page::{SPARE_BYTES_MIN, Spare};
use std::{io, ops::Range, sync::Arc};

/// Bytes read at once where frames are read one after the other.
const READ_AHEAD_BYTES: u64 = 256 * 1024;

/// A frame that was checked.
#[derive(Debug)]
struct Loaded {
    /// The segment's seed.
    segment: u64,
    offset: u32,
    header: FrameHeader,
    /// Where the body begins in the buffer.
    body: usize,
}

/// A buffer of a segment's bytes, and the frame that was decoded last.
///
/// What is remembered goes by the segment's seed: a segment that was rewritten has the same base.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    /// The seed of the segment whose bytes are held.
    segment: u64,
    start: u64,
    bytes: Vec<u8>,
    /// The end of the frame before: a frame that begins there is read ahead of.
    expected: u64,
    loaded: Option<Loaded>,
    /// Its events.
    entries: Vec<Entry>,
    /// Frames in a row of the segment with this seed: asked for once, as an index file is slow to
    /// answer.
    near: (u64, Vec<FrameRef>),
    /// Where a large buffer comes from, and goes.
    spare: Option<Arc<Spare>>,
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        if let Some(spare) = &self.spare {
            spare.give(std::mem::take(&mut self.bytes));
        }
    }
}

/// An event in its frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventAt<'a> {
    pub(crate) header: &'a FrameHeader,
    pub(crate) entry: &'a Entry,
    pub(crate) body: &'a [u8],
}

/// Whether an ordinal is in one of these frames for sure: what the last one holds they do not say.
fn is_within(frames: &[FrameRef], ordinal: u32) -> bool {
    frames.first().is_some_and(|first| first.ordinal <= ordinal)
        && frames.last().is_some_and(|last| ordinal <= last.ordinal)
}

impl EventAt<'_> {
    pub(crate) fn data(&self) -> &[u8] {
        self.body.get(self.entry.data.clone()).unwrap_or_default()
    }

    pub(crate) fn metadata(&self) -> &[u8] {
        self.body.get(self.entry.metadata.clone()).unwrap_or_default()
    }
}

impl FrameReader {
    /// One that uses spare memory, and gives it back: for reads, of which there are many.
    pub(crate) fn reusing(spare: &Arc<Spare>) -> Self {
        let mut reader = Self::default();
        reader.spare = Some(spare.clone());
        reader
    }

    /// The frame that holds an event.
    pub(crate) fn frame(
        &mut self,
        segment: &Segment,
        ordinal: u32,
    ) -> Result<Option<FrameRef>, Fault> {
        if self.near.0 != segment.seed() || !is_within(&self.near.1, ordinal) {
            self.near = (segment.seed(), segment.index.frames_near(ordinal)?);
        }
        let after = self.near.1.partition_point(|frame| frame.ordinal <= ordinal);
        Ok(after.checked_sub(1).and_then(|last| self.near.1.get(last)).copied())
    }

    /// The event with this ordinal, if it is in this frame.
    pub(crate) fn event(
        &mut self,
        segment: &Segment,
        frame: FrameRef,
        ordinal: u32,
        pending: Option<Pending<'_>>,
    ) -> Result<Option<EventAt<'_>>, Fault> {
        self.load(segment, frame, pending)?;
        Ok(self.place(segment, ordinal).and_then(|place| self.at(place)))
    }

    /// Where in the frame that was decoded last an event is, if it is there: most are, as events
    /// are mostly read in order.
    pub(crate) fn place(&self, segment: &Segment, ordinal: u32) -> Option<usize> {
        self.loaded.as_ref().filter(|loaded| loaded.segment == segment.seed())?;
        let entries = &*self.entries;
        // Only where events are gone it is another one.
        let guess = ordinal.checked_sub(entries.first()?.ordinal)? as usize;
        match entries.get(guess) {
            Some(entry) if entry.ordinal == ordinal => Some(guess),
            _ => entries.binary_search_by_key(&ordinal, |entry| entry.ordinal).ok(),
        }
    }

    /// The event nearest to an ordinal of a sealed segment that has none, on one side of it.
    pub(crate) fn beside(
        &mut self,
        segment: &Segment,
        ordinal: u32,
        backward: bool,
    ) -> Result<Option<u32>, Fault> {
        if let Some(frame) = self.frame(segment, ordinal)? {
            self.load(segment, frame, None)?;
            let after = self.entries.partition_point(|entry| entry.ordinal < ordinal);
            let nth = if backward { after.checked_sub(1) } else { Some(after) };
            if let Some(entry) = nth.and_then(|nth| self.entries.get(nth)) {
                return Ok(Some(entry.ordinal));
            }
        }
        // The first event of a frame is where the frame begins.
        let next = if backward { None } else { segment.index.frame_after(ordinal)? };
        Ok(next.map(|frame| frame.ordinal))
    }

    /// The event at a place of the frame that was decoded last.
    pub(crate) fn at(&self, place: usize) -> Option<EventAt<'_>> {
        let loaded = self.loaded.as_ref()?;
        let entry = self.entries.get(place)?;
        let body = self.bytes.get(loaded.body..loaded.body + loaded.header.len as usize)?;
        Some(EventAt { header: &loaded.header, entry, body })
    }

    fn load(
        &mut self,
        segment: &Segment,
        frame: FrameRef,
        pending: Option<Pending<'_>>,
    ) -> Result<(), Fault> {
        let number = segment.seed();
        let is_it = |loaded: &Loaded| loaded.segment == number && loaded.offset == frame.offset;
        if self.loaded.as_ref().is_some_and(is_it) {
            return Ok(());
        }
        self.loaded = None;
        self.fetch(segment, frame, pending)?;
        let offset = u64::from(frame.offset);
        let from = usize::try_from(offset - self.start).expect("the buffer holds it");
        let bytes = self.bytes.get(from..).unwrap_or_default();
        let damaged = || segment.fault(offset, Damage::Frame);
        let (header, body) = frame::decode(bytes, segment.place(offset)).ok_or_else(damaged)?;
        let read = read_entries(&header, body, &mut self.entries);
        read.ok_or_else(|| segment.fault(offset, Damage::Contradiction))?;
        self.expected = offset + header.frame_bytes() as u64;
        let body = from + header.head_bytes();
        self.loaded = Some(Loaded { segment: number, offset: frame.offset, header, body });
        Ok(())
    }

    /// Makes the buffer as long as that, whatever is in it.
    fn make_room(&mut self, len: usize) {
        let is_small = self.bytes.capacity() < len && len >= SPARE_BYTES_MIN;
        if let Some(spare) = self.spare.as_ref().filter(|_| is_small) {
            spare.give(std::mem::replace(&mut self.bytes, spare.take()));
        }
        self.bytes.resize(len, 0);
    }

    /// Gets the frame's bytes into the buffer.
    fn fetch(
        &mut self,
        segment: &Segment,
        frame: FrameRef,
        pending: Option<Pending<'_>>,
    ) -> Result<(), Fault> {
        let (offset, len) = (u64::from(frame.offset), u64::from(frame.bytes));
        let is_same = self.segment == segment.seed();
        let held = self.start..self.start + self.bytes.len() as u64;
        if is_same && held.contains(&offset) && offset + len <= held.end {
            return Ok(());
        }
        if let Some(bytes) = pending.and_then(|pending| pending.at(segment, frame)) {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
        } else {
            let ahead = if is_same && self.expected == offset { READ_AHEAD_BYTES } else { 0 };
            // Never past what is published: those bytes are about to change.
            let end = (offset + len.max(ahead)).min(segment.end()).max(offset + len);
            // What was held is gone, whether the read succeeds or not.
            self.segment = 0;
            let mut read = self.read(segment, offset..end);
            if read.is_err() && end > offset + len {
                // What is bad may be behind it.
                read = self.read(segment, offset..offset + len);
            }
            read.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => segment.fault(offset, Damage::Frame),
                _ => Fault::io("read", &segment.path)(error),
            })?;
        }
        (self.segment, self.start) = (segment.seed(), offset);
        Ok(())
    }

    fn read(&mut self, segment: &Segment, range: Range<u64>) -> io::Result<()> {
        let len = usize::try_from(range.end - range.start).expect("a frame fits in memory");
        self.make_room(len);
        segment.file.read_at(&mut self.bytes, range.start)
    }
}
