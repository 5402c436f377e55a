//! What of a segment is whole: its appends, and what it says is lost since an earlier time.

use crate::{
    disk::File,
    error::Fault,
    format::{
        entry::Entry,
        frame::{FrameHeader, Kind},
        header::SegmentHeader,
        lost::{key_of, read_lost},
    },
    index::{Lost, MemoryIndex},
    planted::{Bug, is_on},
    recovery::{Place, Scan, Window, scan_with},
    rewrite::Remains,
};
use std::path::Path;
use uuid::Uuid;

/// A frame that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
}

/// An event in such a frame, by numbers of the segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptEvent {
    pub(super) ordinal: u32,
    pub(super) id: Uuid,
    pub(super) stream: u32,
    pub(super) event_type: u32,
    pub(super) revision: u64,
}

/// A segment that was read, however damaged.
#[derive(Debug)]
pub(super) struct Salvage {
    pub(super) scan: Scan,
    /// In order; each append is there with all of its frames.
    pub(super) frames: Vec<Kept>,
    pub(super) events: Vec<KeptEvent>,
    /// Events of appends that are not whole, and were met all the same.
    pub(super) half: Vec<u32>,
    /// What it says is lost since an earlier time.
    pub(super) lost: Vec<Piece>,
}

/// Events that are lost, in a row, and what is known of them.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) lost: Lost,
    pub(super) remains: Vec<Remains>,
}

/// Reads a segment; `names` are those that are known already.
pub(super) fn salvage(
    file: &dyn File,
    path: &Path,
    (header, names): (&SegmentHeader, MemoryIndex),
) -> Result<Salvage, Fault> {
    let mut found = Found::default();
    let mut witness = |offset: u64, header: &FrameHeader, entries: &[Entry]| {
        found.frame(Kept { offset, header: *header }, entries);
    };
    let scan = scan_with(names, &mut witness, &Place { file, path, header })?;
    let Found { frames, events, half, .. } = found;
    let mut window = Window::new(file, path)?;
    let is_loss = |kept: &&Kept| kept.header.kind == Kind::Lost;
    let mut lost = Vec::new();
    for kept in frames.iter().filter(is_loss) {
        let bytes = window.at(kept.offset, kept.header.frame_bytes() as u64)?;
        lost.extend(piece(kept, bytes, &scan.index));
    }
    Ok(Salvage { scan, frames, events, half, lost })
}

/// What a frame says is lost; the scan has checked it.
fn piece(kept: &Kept, frame: &[u8], names: &MemoryIndex) -> Option<Piece> {
    let said = read_lost(&kept.header, frame.get(kept.header.head_bytes()..)?)?;
    let remains = |entry: &Entry| {
        Some(Remains {
            ordinal: entry.ordinal,
            stream: names.stream_name(entry.stream)?,
            revision: entry.revision,
            event_type: names.event_type(entry.event_type)?,
            tags: entry.tags.iter().map(|tag| names.tag(*tag)).collect::<Option<_>>()?,
            key: key_of(entry.id),
        })
    };
    let remains = said.body.entries.iter().map(remains).collect::<Option<_>>()?;
    let ordinals = kept.header.ordinal..kept.header.ordinal + said.count;
    Some(Piece { lost: Lost { ordinals, is_known: said.is_known }, remains })
}

/// Takes in frames, and keeps whole appends only: one may contradict itself in its second frame.
#[derive(Default)]
struct Found {
    frames: Vec<Kept>,
    events: Vec<KeptEvent>,
    half: Vec<u32>,
    /// Of the append that has begun.
    open: (Vec<Kept>, Vec<KeptEvent>),
}

impl Found {
    fn frame(&mut self, kept: Kept, entries: &[Entry]) {
        if kept.header.first {
            self.half.extend(self.open.1.iter().map(|event| event.ordinal));
            self.open = Default::default();
        }
        let event = |entry: &Entry| KeptEvent {
            ordinal: entry.ordinal,
            id: entry.id,
            stream: entry.stream,
            event_type: entry.event_type,
            revision: entry.revision,
        };
        self.open.0.push(kept);
        self.open.1.extend(entries.iter().map(event));
        if kept.header.last {
            let (mut frames, mut events) = std::mem::take(&mut self.open);
            if is_on(Bug::SalvageHalf) && frames.len() > 1 {
                let last = frames.pop().map_or(0, |last| last.header.ordinal);
                frames.last_mut().expect("there were two").header.last = true;
                events.retain(|event| event.ordinal < last);
            }
            self.frames.append(&mut frames);
            self.events.append(&mut events);
        }
    }
}

impl Salvage {
    /// Nothing stays.
    pub(super) fn nothing_kept(&mut self) {
        self.frames.clear();
        self.events.clear();
    }
}
