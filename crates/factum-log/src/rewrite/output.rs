//! The file that a rewritten segment becomes: frames in the order of the old ones, names numbered
//! anew, and the index of both.
//!
//! It has no name that opening would look at until it is whole and durable: [`Output::finish`].

mod lost;

pub(crate) use lost::Remains;

use super::fate::{Old, Substitute};
use crate::{
    disk::{Disk, File, Mode},
    error::{Damage, Fault},
    format::{
        body::{Entries, Tracked, put_tracked},
        entry::{Content, Entry, Numbers, put_content},
        frame::{FRAME_BYTES_MAX, FrameHeader, FramePlace, Kind},
        header::{HEADER_BYTES, REWRITTEN, SegmentHeader},
        names::{NameKind, NamesWriter},
    },
    index::{Indexed, MemoryIndex},
    options::Options,
    planted::{Bug, is_on},
    segment::Segment,
};
use factum_core::{ContentType, EventType, StreamName, Tag};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// An event in the new index.
#[derive(Debug)]
struct Placed {
    ordinal: u32,
    stream: u32,
    event_type: u32,
    tags: Vec<u32>,
    revision: u64,
    id: Uuid,
}

/// What is kept of a frame.
#[derive(Default, Debug)]
pub(crate) struct Draft {
    /// The old frame's ordinal, until an event says its own.
    ordinal: u32,
    recorded_at_ns: i64,
    names: NamesWriter,
    tracked: Vec<u8>,
    entries: Entries,
    placed: Vec<Placed>,
}

/// An event as it is to be written.
pub(crate) struct New<'a> {
    pub(crate) old: Old<'a>,
    pub(crate) tags: Vec<&'a Tag>,
    /// The body of its old frame.
    pub(crate) body: &'a [u8],
    pub(crate) instead: Option<&'a Substitute>,
}

impl Draft {
    pub(crate) fn new(header: &FrameHeader, tracked: Option<Tracked<'_>>) -> Self {
        let mut bytes = Vec::new();
        if let Some(tracked) = tracked {
            put_tracked(&mut bytes, tracked);
        }
        let (ordinal, recorded_at_ns) = (header.ordinal, header.recorded_at_ns);
        Self { ordinal, recorded_at_ns, tracked: bytes, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.placed.is_empty() && self.tracked.is_empty()
    }

    /// The body of a frame of events, or the end of one that says what is lost.
    fn put_into(&self, body: &mut Vec<u8>) {
        self.names.put_into(body);
        body.extend_from_slice(&self.tracked);
        self.entries.put_into(body);
    }

    fn stream(&mut self, index: &mut MemoryIndex, name: &StreamName) -> u32 {
        let (number, is_new) = index.intern_stream(name);
        if is_new {
            self.names.put(NameKind::Stream, number, name.as_str());
        }
        number
    }

    fn event_type(&mut self, index: &mut MemoryIndex, name: &EventType) -> u32 {
        let (number, is_new) = index.intern_type(name);
        if is_new {
            self.names.put(NameKind::Type, number, name.as_str());
        }
        number
    }

    fn tag(&mut self, index: &mut MemoryIndex, name: &Tag) -> u32 {
        let (number, is_new) = index.intern_tag(name);
        if is_new {
            self.names.put(NameKind::Tag, number, name.as_str());
        }
        number
    }
}

/// How the old event and what stands instead of it are written.
fn content<'a>(new: &New<'a>, gap: u32) -> Content<'a> {
    let entry: &Entry = new.old.entry;
    let bytes = |range: &std::ops::Range<usize>| new.body.get(range.clone()).unwrap_or_default();
    let (id, revision) = (entry.id, entry.revision);
    match new.instead {
        None => Content {
            id,
            revision,
            content_type: entry.content_type,
            occurred_at: entry.occurred_at,
            metadata: bytes(&entry.metadata),
            data: bytes(&entry.data),
            gap,
        },
        Some(instead) => Content {
            id,
            revision,
            content_type: ContentType::Json,
            occurred_at: None,
            metadata: &[],
            data: &instead.data,
            gap,
        },
    }
}

/// A new file in the making.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Box<dyn File>,
    /// Its name while it is not whole.
    pub(crate) unfinished: PathBuf,
    pub(crate) index: MemoryIndex,
    /// Bytes not written yet, and where they go.
    buffer: Vec<u8>,
    written: u64,
    /// The last frame of the append, until it is known whether another follows; whether it is the
    /// append's first.
    held: Option<(Draft, bool)>,
    /// The next frame is the first of its append.
    begins: bool,
}

impl Output {
    /// Begins a file for the segment's place, with another seed.
    pub(super) fn create(segment: &Segment, options: &Options) -> Result<Self, Fault> {
        let seed = options.world.rng.next_u64();
        let features = segment.header.features | REWRITTEN;
        let header = SegmentHeader { seed, features, ..segment.header };
        Self::begin(&*options.world.disk, &segment.path, header)
    }

    /// Begins a file with this head, for the place of the segment at a path.
    pub(crate) fn begin(
        disk: &dyn Disk,
        path: &Path,
        header: SegmentHeader,
    ) -> Result<Self, Fault> {
        let unfinished = path.with_extension("log.tmp");
        let file = disk.open(&unfinished, Mode::Create);
        let file = file.map_err(Fault::io("create", &unfinished))?;
        let index = MemoryIndex::default();
        let (buffer, written) = (header.encode(), 0);
        Ok(Self { header, file, unfinished, index, buffer, written, held: None, begins: true })
    }

    fn at(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Adds an event to a frame.
    pub(crate) fn event(&mut self, draft: &mut Draft, new: &New<'_>) {
        let ordinal = new.old.entry.ordinal;
        let stream = draft.stream(&mut self.index, new.old.stream);
        let name = new.instead.map_or(new.old.event_type, |instead| &instead.event_type);
        let event_type = draft.event_type(&mut self.index, name);
        let kept: &[&Tag] = if new.instead.is_some() { &[] } else { &new.tags };
        let tags: Vec<u32> = kept.iter().map(|tag| draft.tag(&mut self.index, tag)).collect();
        let gap = match draft.placed.last() {
            Some(before) => ordinal - before.ordinal - 1,
            None => 0,
        };
        if draft.placed.is_empty() {
            draft.ordinal = ordinal;
        }
        let content = content(new, gap);
        let numbers = Numbers { stream, event_type, tags: &tags };
        draft.entries.add(|bytes| put_content(bytes, &content, &numbers));
        let (revision, id) = (content.revision, content.id);
        draft.placed.push(Placed { ordinal, stream, event_type, tags, revision, id });
    }

    /// Says that the next frame begins an append.
    pub(crate) fn begin_append(&mut self) {
        self.begins = true;
    }

    /// Adds a frame to the append.
    pub(crate) fn push(&mut self, draft: Draft) -> Result<(), Fault> {
        let first = std::mem::take(&mut self.begins);
        match self.held.replace((draft, first)) {
            Some((before, first)) => self.frame(before, (first, false)),
            None => Ok(()),
        }
    }

    /// Says that the append is whole.
    pub(crate) fn end_append(&mut self) -> Result<(), Fault> {
        match self.held.take() {
            Some((last, first)) => self.frame(last, (first, true)),
            None => Ok(()),
        }
    }

    fn frame(&mut self, draft: Draft, (first, last): (bool, bool)) -> Result<(), Fault> {
        let mut body = Vec::with_capacity(draft.entries.len());
        draft.put_into(&mut body);
        let header = FrameHeader {
            len: 0,
            ordinal: draft.ordinal,
            recorded_at_ns: draft.recorded_at_ns,
            pending: 0,
            count: u16::try_from(draft.placed.len()).expect("the old frame held as many"),
            kind: Kind::Events,
            first,
            last,
            tracking: !draft.tracked.is_empty(),
        };
        self.index.skip_to(draft.ordinal);
        let (offset, bytes) = self.put(header, &body)?;
        if !draft.placed.is_empty() {
            self.index.push_frame(offset, bytes);
        }
        for Placed { ordinal, stream, event_type, tags, revision, id } in draft.placed {
            let event = Indexed { stream, event_type, tags: &tags, revision, id };
            self.index.push(ordinal, event).expect("its names were numbered above");
        }
        Ok(())
    }

    /// Writes a frame whose head lacks its length and place; its offset and length.
    pub(crate) fn put(&mut self, header: FrameHeader, body: &[u8]) -> Result<(u32, u32), Fault> {
        let offset = self.at();
        let misfit = |_| Fault::Damaged {
            file: self.unfinished.clone(),
            offset,
            what: Damage::Contradiction,
        };
        let len = u32::try_from(body.len()).map_err(misfit)?;
        let place = u32::try_from(offset).map_err(misfit)?;
        if len > FRAME_BYTES_MAX {
            // Names that earlier frames brought come together in this one: it does not fit.
            let what = Damage::Contradiction;
            return Err(Fault::Damaged { file: self.unfinished.clone(), offset, what });
        }
        // The file gets its name when all of it is durable.
        let header = FrameHeader { len, pending: 0, ..header };
        let start = self.buffer.len();
        self.buffer.resize(start + header.head_bytes(), 0);
        self.buffer.extend_from_slice(body);
        let frame = self.buffer.get_mut(start..).expect("it was appended above");
        header.seal(frame, FramePlace { seed: self.header.seed, offset });
        let bytes = u32::try_from(frame.len()).map_err(misfit)?;
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok((place, bytes))
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let written = self.file.write_at(&self.buffer, self.written);
        written.map_err(Fault::io("write", &self.unfinished))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Seals the file and makes it durable; how long it is. `sealed` is the old seal.
    pub(crate) fn finish(&mut self, sealed: FrameHeader) -> Result<u64, Fault> {
        assert!(self.held.is_none(), "a seal stands between appends");
        assert!(self.at() >= HEADER_BYTES as u64, "the head comes first");
        self.index.skip_to(sealed.ordinal);
        self.put(sealed, &[])?;
        self.flush()?;
        if !is_on(Bug::UnsyncedRewrite) {
            self.file.sync().map_err(Fault::io("sync", &self.unfinished))?;
        }
        Ok(self.written)
    }
}
