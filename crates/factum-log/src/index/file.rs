//! The index of a sealed segment: an immutable file, looked up page by page, nothing kept.

use super::{
    FrameRef, StreamPart, StreamSpan, TermKind,
    build::{FRAME_BLOCK, HEAD_BYTES, MAGIC, VERSION, slot_of},
    memory::span_of,
    paged::Paged,
    select::{Lists, Wanted},
};
use crate::{disk::File, error::Fault, format::varint::Reader};
use factum_core::{Query, StreamName};
use std::{path::PathBuf, sync::Arc};

/// A part of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    /// Where each name of a kind begins: u32, by number, and one past the last.
    NameStarts(TermKind),
    /// The text of the names.
    Names(TermKind),
    /// A hash table from name to number + 1: u32.
    NameTable(TermKind),
    /// Where each term's list begins in the postings: u32, by number, and one past the last.
    Lists(TermKind),
    /// The lists.
    Postings,
    /// For each 64 frames: ordinal, offset, place in the frame table: u32.
    FrameBlocks,
    /// The frame table.
    Frames,
    /// (key, ordinal), sorted: u32.
    Ids,
}

impl Section {
    pub(super) const COUNT: usize = 20;

    pub(super) fn index(self) -> usize {
        let of = |kind: TermKind| kind as usize * 4;
        match self {
            Self::NameStarts(kind) => of(kind),
            Self::Names(kind) => of(kind) + 1,
            Self::NameTable(kind) => of(kind) + 2,
            Self::Lists(kind) => of(kind) + 3,
            Self::Postings => 16,
            Self::FrameBlocks => 17,
            Self::Frames => 18,
            Self::Ids => 19,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    offset: u64,
    len: u64,
}

/// The index of a sealed segment.
#[derive(Debug)]
pub(crate) struct IndexFile {
    pages: Paged,
    spans: Vec<Span>,
    next: u32,
    frames: u32,
}

impl IndexFile {
    /// Opens the index of the segment with this seed. `None` if it is not that, or of another
    /// version, or its head is damaged: it is made anew then.
    pub(crate) fn open(file: Box<dyn File>, path: PathBuf, seed: u64) -> Option<Self> {
        let pages = Paged { file, path, seed };
        let head = pages.read(0..HEAD_BYTES as u64).ok()?;
        let mut reader = Reader::new(&head);
        let (magic, version) = (reader.array::<8>()?, u32::from_le_bytes(reader.array()?));
        let next = u32::from_le_bytes(reader.array()?);
        let seed_there = u64::from_le_bytes(reader.array()?);
        let frames = u32::from_le_bytes(reader.array()?);
        reader.take(4)?;
        if magic != *MAGIC || version != VERSION || seed_there != seed {
            return None;
        }
        let span = |_| {
            let mut u64 = || reader.array().map(u64::from_le_bytes);
            Some(Span { offset: u64()?, len: u64()? })
        };
        let spans: Vec<Span> = (0..Section::COUNT).map(span).collect::<Option<_>>()?;
        let content_len = pages.content_len()?;
        let is_inside =
            |span: &Span| span.offset.checked_add(span.len).is_some_and(|end| end <= content_len);
        if !spans.iter().all(is_inside) {
            return None;
        }
        Some(Self { pages, spans, next, frames })
    }

    /// Events in the segment.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    fn span_of(&self, section: Section) -> Span {
        *self.spans.get(section.index()).expect("every section has its span")
    }

    /// Bytes of a section; damage if it is not that long.
    fn read(&self, section: Section, at: u64, len: u64) -> Result<Vec<u8>, Fault> {
        let span = self.span_of(section);
        match at.checked_add(len) {
            Some(end) if end <= span.len => self.pages.read(span.offset + at..span.offset + end),
            _ => Err(self.pages.damage(0)),
        }
    }

    fn u32s<const N: usize>(&self, section: Section, nth: u64) -> Result<[u32; N], Fault> {
        let span = self.span_of(section);
        let at = nth.saturating_mul(4);
        if at.saturating_add(4 * N as u64) > span.len {
            return Err(self.pages.damage(0));
        }
        self.pages.u32s(span.offset + at)
    }

    fn names(&self, kind: TermKind) -> u64 {
        (self.span_of(Section::NameStarts(kind)).len / 4).saturating_sub(1)
    }

    /// The name with this number.
    pub(crate) fn name(&self, kind: TermKind, number: u32) -> Result<Option<Arc<str>>, Fault> {
        if u64::from(number) >= self.names(kind) {
            return Ok(None);
        }
        let [start, end] = self.u32s(Section::NameStarts(kind), number.into())?;
        let len = u64::from(end.saturating_sub(start));
        let bytes = self.read(Section::Names(kind), start.into(), len)?;
        let name = String::from_utf8(bytes).map_err(|_| self.pages.damage(0))?;
        Ok(Some(name.into()))
    }

    fn number(&self, kind: TermKind, name: &str) -> Result<Option<u32>, Fault> {
        let slots = self.span_of(Section::NameTable(kind)).len / 4;
        let slots = usize::try_from(slots).map_err(|_| self.pages.damage(0))?;
        if slots == 0 {
            return Ok(None);
        }
        let start = slot_of(name, slots);
        for slot in (start..slots).chain(0..start) {
            let [taken] = self.u32s(Section::NameTable(kind), slot as u64)?;
            let Some(number) = taken.checked_sub(1) else { return Ok(None) };
            if self.name(kind, number)?.as_deref() == Some(name) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// A term's list, and for a stream the revision of its first event here.
    fn list(&self, kind: TermKind, number: u32) -> Result<(u64, Vec<u32>), Fault> {
        let [start, end] = self.u32s(Section::Lists(kind), number.into())?;
        let len = u64::from(end.saturating_sub(start));
        let bytes = self.read(Section::Postings, start.into(), len)?;
        let mut reader = Reader::new(&bytes);
        let decoded = (|| {
            let first = if kind == TermKind::Stream { reader.varint()? } else { 0 };
            let count = reader.varint()?;
            let mut ordinals = Vec::new();
            let mut ordinal = 0u32;
            for _ in 0..count {
                ordinal = ordinal.checked_add(reader.varint_u32()?)?;
                ordinals.push(ordinal);
            }
            Some((first, ordinals))
        })();
        decoded.ok_or_else(|| self.pages.damage(0))
    }

    fn stream(&self, stream: &StreamName) -> Result<Option<(u64, Vec<u32>)>, Fault> {
        let number = self.number(TermKind::Stream, stream.as_str())?;
        number.map(|number| self.list(TermKind::Stream, number)).transpose()
    }

    pub(crate) fn span(
        &self,
        stream: &StreamName,
        until: u32,
    ) -> Result<Option<StreamSpan>, Fault> {
        let list = self.stream(stream)?;
        Ok(list.and_then(|(first, ordinals)| span_of(&ordinals, first, until)))
    }

    pub(crate) fn of_stream(
        &self,
        stream: &StreamName,
        part: StreamPart,
    ) -> Result<Vec<u32>, Fault> {
        Ok(self.stream(stream)?.map_or_else(Vec::new, |(_, ordinals)| part.of(&ordinals)))
    }

    /// Whether an event of this type is here.
    pub(crate) fn has_type(&self, name: &str) -> Result<bool, Fault> {
        Ok(self.number(TermKind::Type, name)?.is_some())
    }

    /// The lists of a query, to be kept while this segment is read.
    pub(crate) fn lists(&self, query: &Query) -> Result<Lists<Vec<u32>>, Fault> {
        Lists::look_up(query, |wanted| {
            let (kind, name) = match wanted {
                Wanted::Type(name) => (TermKind::Type, name),
                Wanted::Tag(name) => (TermKind::Tag, name),
                Wanted::Category(name) => (TermKind::Category, name),
            };
            let number = self.number(kind, name)?;
            Ok(number.map(|number| self.list(kind, number)).transpose()?.map(|list| list.1))
        })
    }

    pub(crate) fn with_id(&self, key: u64) -> Result<Vec<u32>, Fault> {
        let half = u32::try_from(key >> 32).expect("half of 64 bits");
        let count = self.span_of(Section::Ids).len / 8;
        let mut at = partition(count, |nth| Ok(self.u32s::<1>(Section::Ids, nth * 2)? < [half]))?;
        let mut found = Vec::new();
        while at < count {
            let [key, ordinal] = self.u32s(Section::Ids, at * 2)?;
            if key != half {
                break;
            }
            found.push(ordinal);
            at += 1;
        }
        Ok(found)
    }

    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    fn block(&self, nth: u64) -> Result<Vec<FrameRef>, Fault> {
        let [ordinal, offset, at] = self.u32s(Section::FrameBlocks, nth * 3)?;
        let table = self.span_of(Section::Frames).len;
        let blocks = self.span_of(Section::FrameBlocks).len / 12;
        let end = match nth + 1 < blocks {
            true => self.u32s::<3>(Section::FrameBlocks, (nth + 1) * 3)?[2].into(),
            false => table,
        };
        let bytes = self.read(Section::Frames, at.into(), end.saturating_sub(at.into()))?;
        let mut reader = Reader::new(&bytes);
        let mut before = FrameRef { ordinal, offset, bytes: 0 };
        let mut frames = Vec::with_capacity(FRAME_BLOCK);
        while !reader.is_at_end() {
            let frame = (|| {
                Some(FrameRef {
                    ordinal: before.ordinal.checked_add(reader.varint_u32()?)?,
                    offset: before.offset.checked_add(reader.varint_u32()?)?,
                    bytes: reader.varint_u32()?,
                })
            })();
            before = frame.ok_or_else(|| self.pages.damage(0))?;
            frames.push(before);
        }
        Ok(frames)
    }

    pub(crate) fn frames_near(&self, ordinal: u32) -> Result<Vec<FrameRef>, Fault> {
        let blocks = self.span_of(Section::FrameBlocks).len / 12;
        let is_before = |nth: u64| Ok(self.u32s::<1>(Section::FrameBlocks, nth * 3)? <= [ordinal]);
        let after = partition(blocks, is_before)?;
        after.checked_sub(1).map_or_else(|| Ok(Vec::new()), |nth| self.block(nth))
    }

    pub(crate) fn nth_frame(&self, nth: u32) -> Result<Option<FrameRef>, Fault> {
        if nth >= self.frames {
            return Ok(None);
        }
        let block = self.block(u64::from(nth) / FRAME_BLOCK as u64)?;
        Ok(block.get(nth as usize % FRAME_BLOCK).copied())
    }
}

/// How many of `count` numbers, from the first on, are before what is looked for.
pub(crate) fn partition(
    count: u64,
    mut is_before: impl FnMut(u64) -> Result<bool, Fault>,
) -> Result<u64, Fault> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
