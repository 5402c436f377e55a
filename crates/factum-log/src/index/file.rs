//! The index of a sealed segment: an immutable file, looked up page by page.

use super::{
    AllLost, FrameRef, Lost, StreamPart, StreamSpan, TermKind, WholeTerm,
    build::{FRAME_BLOCK, HEAD_BYTES, MAGIC, Named, VERSION},
    hash32,
    ids::upper,
    list::{read_list, skip_list},
    memory::span_of,
    paged::{Paged, Sequential},
    pages::PageCache,
    select::{Lists, Wanted},
    table::{self, TableReader, bucket_of},
};
use crate::{disk::File, error::Fault, format::varint::Reader};
use factum_core::{Query, StreamName, name::category_of};
use std::{path::PathBuf, sync::Arc};

/// A part of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    /// Where each bucket of records begins: u32, and the end of the last.
    Buckets(TermKind),
    /// Terms, in the order of their names' hashes.
    Records(TermKind),
    /// Where the record of each number is: three or four bytes.
    ByNumber(TermKind),
    /// The lists that are too long for a record.
    Postings,
    /// For each 64 frames: ordinal, offset, place in the frame table: u32.
    FrameBlocks,
    /// The frame table.
    Frames,
    /// Where each bucket of ids begins: u32, and the end of the last.
    IdBuckets,
    /// (key, ordinal), sorted.
    Ids,
    /// Ranges of lost events.
    Lost,
}

impl Section {
    pub(super) const COUNT: usize = 18;

    pub(super) fn index(self) -> usize {
        let of = |kind: TermKind| kind as usize * 3;
        match self {
            Self::Buckets(kind) => of(kind),
            Self::Records(kind) => of(kind) + 1,
            Self::ByNumber(kind) => of(kind) + 2,
            Self::Postings => 12,
            Self::FrameBlocks => 13,
            Self::Frames => 14,
            Self::IdBuckets => 15,
            Self::Ids => 16,
            Self::Lost => 17,
        }
    }
}

/// What the file says of a term.
#[derive(Clone, Debug)]
struct Record<'a> {
    /// Said by those whose place in the bucket does not say it.
    number: Option<u32>,
    /// Of a stream: the revision of its first event here.
    first_revision: u64,
    count: u32,
    list: Place<'a>,
}

/// Where a term's list is.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Inside(&'a [u8]),
    Outside { at: u64, len: u64, last: u32 },
}

impl<'a> Record<'a> {
    /// Reads a record of which the name before it is given, and makes its own of that.
    fn read(reader: &mut Reader<'a>, kind: TermKind, name: &mut Vec<u8>) -> Option<Self> {
        let head = reader.varint()?;
        let shared = usize::try_from(head >> 1).ok().filter(|shared| *shared <= name.len())?;
        name.truncate(shared);
        name.extend_from_slice(reader.sized()?);
        let number = if head & 1 == 1 { Some(reader.varint_u32()?) } else { None };
        let first_revision = if kind == TermKind::Stream { reader.varint()? } else { 0 };
        let said = reader.varint()?;
        let count = u32::try_from(said >> 1).ok()?;
        let list = match said & 1 {
            0 => {
                let mut behind = *reader;
                skip_list(&mut behind, count)?;
                Place::Inside(reader.take(behind.at() - reader.at())?)
            }
            _ => {
                let (at, len, last) = (reader.varint()?, reader.varint()?, reader.varint_u32()?);
                Place::Outside { at, len, last }
            }
        };
        Some(Self { number, first_revision, count, list })
    }
}

/// A term that was found: its list, or where that is.
#[derive(Clone, Debug)]
struct Term {
    first_revision: u64,
    count: u32,
    list: TermList,
}

#[derive(Clone, Debug)]
enum TermList {
    Read(Vec<u32>),
    At { at: u64, len: u64, last: u32 },
}

fn whole_list(bytes: &[u8], count: u32) -> Option<Vec<u32>> {
    let mut reader = Reader::new(bytes);
    let ordinals = read_list(&mut reader, count)?;
    reader.is_at_end().then_some(ordinals)
}

#[derive(Clone, Copy, Debug)]
struct Span {
    offset: u64,
    len: u64,
}

/// What a record takes at most, in bytes.
const RECORD_BYTES_MAX: usize = factum_core::name::NAME_BYTES_MAX + 128;

/// The index of a sealed segment.
#[derive(Debug)]
pub(crate) struct IndexFile {
    pages: Paged,
    spans: Vec<Span>,
    next: u32,
    frames: u32,
    ids: u32,
}

impl IndexFile {
    /// Opens the index of the segment with this seed. `None` if it is not that, or of another
    /// version, or its head is damaged: it is made anew then.
    pub(crate) fn open(
        file: Box<dyn File>,
        path: PathBuf,
        seed: u64,
        cache: &PageCache,
    ) -> Option<Self> {
        let pages = Paged::new(file, path, seed, cache);
        let head = pages.read(0..HEAD_BYTES as u64).ok()?;
        let mut reader = Reader::new(&head);
        let (magic, version) = (reader.array::<8>()?, u32::from_le_bytes(reader.array()?));
        let next = u32::from_le_bytes(reader.array()?);
        let seed_there = u64::from_le_bytes(reader.array()?);
        let frames = u32::from_le_bytes(reader.array()?);
        let ids = u32::from_le_bytes(reader.array()?);
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
        Some(Self { pages, spans, next, frames, ids })
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

    /// The name with this number.
    pub(crate) fn name(&self, kind: TermKind, number: u32) -> Result<Option<Arc<str>>, Fault> {
        if u64::from(number) >= self.names(kind) {
            return Ok(None);
        }
        let width = Named::bytes(self.buckets(kind)) as u64;
        let place = self.read(Section::ByNumber(kind), u64::from(number) * width, width)?;
        let Some((bucket, place)) = Named::read(&place) else { return Ok(Some("".into())) };
        let bytes = self.bucket(kind, bucket)?;
        let (mut reader, mut name) = (Reader::new(&bytes), Vec::new());
        let damage = || self.pages.damage(0);
        for nth in 0.. {
            let record = Record::read(&mut reader, kind, &mut name).ok_or_else(damage)?;
            let is_it = match record.number {
                None => nth == place,
                Some(said) => said == number,
            };
            if is_it {
                let name = std::str::from_utf8(&name).map_err(|_| damage())?;
                return Ok(Some(name.into()));
            }
        }
        Err(damage())
    }

    /// How many buckets the records of a kind have.
    fn buckets(&self, kind: TermKind) -> u64 {
        (self.span_of(Section::Buckets(kind)).len / 4).saturating_sub(1)
    }

    /// The records of a bucket.
    fn bucket(&self, kind: TermKind, bucket: u64) -> Result<Vec<u8>, Fault> {
        let [start, end] = self.u32s(Section::Buckets(kind), bucket)?;
        let len = end.checked_sub(start).ok_or_else(|| self.pages.damage(0))?;
        self.read(Section::Records(kind), start.into(), len.into())
    }

    /// What is said of a name.
    fn term(&self, kind: TermKind, name: &str) -> Result<Option<Term>, Fault> {
        let buckets = self.buckets(kind);
        if buckets == 0 {
            return Ok(None);
        }
        let bytes = self.bucket(kind, bucket_of(hash32(name.as_bytes()), buckets))?;
        let (mut reader, mut there) = (Reader::new(&bytes), Vec::new());
        while !reader.is_at_end() {
            let record = Record::read(&mut reader, kind, &mut there);
            let record = record.ok_or_else(|| self.pages.damage(0))?;
            if there == name.as_bytes() {
                return self.found(&record).map(Some);
            }
        }
        Ok(None)
    }

    /// What is said of a stream. Of metadata the category is asked for first: few streams have any,
    /// so that this is mostly the end, and always the same page.
    fn stream(&self, stream: &StreamName) -> Result<Option<Term>, Fault> {
        let category = || self.term(TermKind::Category, category_of(stream.as_str()));
        if stream.is_metadata() && category()?.is_none() {
            return Ok(None);
        }
        self.term(TermKind::Stream, stream.as_str())
    }

    /// Whether there is an event of this stream.
    pub(crate) fn has_stream(&self, stream: &StreamName) -> Result<bool, Fault> {
        Ok(self.stream(stream)?.is_some())
    }

    fn found(&self, record: &Record<'_>) -> Result<Term, Fault> {
        let &Record { first_revision, count, .. } = record;
        let list = match record.list {
            Place::Outside { at, len, last } => TermList::At { at, len, last },
            Place::Inside(bytes) => {
                TermList::Read(whole_list(bytes, count).ok_or_else(|| self.pages.damage(0))?)
            }
        };
        Ok(Term { first_revision, count, list })
    }

    /// A term's ordinals.
    fn ordinals(&self, term: Term) -> Result<Vec<u32>, Fault> {
        match term.list {
            TermList::Read(ordinals) => Ok(ordinals),
            TermList::At { at, len, .. } => {
                let bytes = self.read(Section::Postings, at, len)?;
                whole_list(&bytes, term.count).ok_or_else(|| self.pages.damage(0))
            }
        }
    }

    /// What the segment says it has lost.
    pub(crate) fn lost(&self) -> Result<AllLost, Fault> {
        let bytes = self.read(Section::Lost, 0, self.span_of(Section::Lost).len)?;
        let mut reader = Reader::new(&bytes);
        let (mut all, mut at) = (AllLost::default(), 0u32);
        while !reader.is_at_end() {
            let range = (|| {
                let start = at.checked_add(reader.varint_u32()?)?;
                let said = reader.varint()?;
                at = start.checked_add(u32::try_from(said >> 1).ok()?)?;
                Some(Lost { ordinals: start..at, is_known: said & 1 == 1 })
            })();
            all.push(range.ok_or_else(|| self.pages.damage(0))?);
        }
        Ok(all)
    }

    /// All that is said of the name with this number.
    pub(super) fn whole_term(
        &self,
        kind: TermKind,
        number: u32,
    ) -> Result<Option<WholeTerm>, Fault> {
        let name = self.name(kind, number)?.filter(|name| !name.is_empty());
        let Some(name) = name else { return Ok(None) };
        let term = self.term(kind, &name)?.ok_or_else(|| self.pages.damage(0))?;
        let first_revision = term.first_revision;
        Ok(Some(WholeTerm { name, first_revision, ordinals: self.ordinals(term)? }))
    }

    pub(super) fn names_count(&self, kind: TermKind) -> u32 {
        u32::try_from(self.names(kind)).unwrap_or(u32::MAX)
    }

    pub(crate) fn span(
        &self,
        stream: &StreamName,
        until: u32,
    ) -> Result<Option<StreamSpan>, Fault> {
        let Some(term) = self.stream(stream)? else { return Ok(None) };
        let &Term { first_revision, count, .. } = &term;
        match term.list {
            // All of it counts: its end is known.
            TermList::At { last, .. } if last <= until => {
                Ok(Some(StreamSpan { first_revision, count, last }))
            }
            _ => Ok(span_of(&self.ordinals(term)?, first_revision, until)),
        }
    }

    pub(crate) fn of_stream(
        &self,
        stream: &StreamName,
        part: StreamPart,
    ) -> Result<Vec<u32>, Fault> {
        let Some(term) = self.stream(stream)? else { return Ok(Vec::new()) };
        Ok(part.of(&self.ordinals(term)?))
    }

    /// Whether an event of this type is here.
    pub(crate) fn has_type(&self, name: &str) -> Result<bool, Fault> {
        Ok(self.term(TermKind::Type, name)?.is_some())
    }

    /// The lists of a query, to be kept while this segment is read.
    pub(crate) fn lists(&self, query: &Query) -> Result<Lists<Vec<u32>>, Fault> {
        Lists::look_up(query, |wanted| {
            let (kind, name) = match wanted {
                Wanted::Type(name) => (TermKind::Type, name),
                Wanted::Tag(name) => (TermKind::Tag, name),
                Wanted::Category(name) => (TermKind::Category, name),
            };
            self.term(kind, name)?.map(|term| self.ordinals(term)).transpose()
        })
    }

    /// Ascending ordinals of the events that may have this key, and perhaps of others.
    pub(crate) fn with_id(&self, key: u64) -> Result<Vec<u32>, Fault> {
        let buckets = table::buckets(self.ids.into());
        if buckets == 0 {
            return Ok(Vec::new());
        }
        let [start, end] = self.u32s(Section::IdBuckets, bucket_of(upper(key), buckets))?;
        let len = end.checked_sub(start).ok_or_else(|| self.pages.damage(0))?;
        let bytes = self.read(Section::Ids, start.into(), len.into())?;
        table::values(&bytes, upper(key), buckets).ok_or_else(|| self.pages.damage(0))
    }

    /// How many names of a kind there are.
    pub(super) fn names(&self, kind: TermKind) -> u64 {
        self.span_of(Section::ByNumber(kind)).len / Named::bytes(self.buckets(kind)) as u64
    }

    /// The hashes of all names of a kind, ascending.
    pub(super) fn hashes(&self, kind: TermKind) -> impl Iterator<Item = Result<u32, Fault>> {
        let mut records = self.sequential(Section::Records(kind));
        let mut name = Vec::new();
        std::iter::from_fn(move || {
            let hash = |reader: &mut Reader<'_>| {
                Record::read(reader, kind, &mut name).map(|_| hash32(&name))
            };
            (!records.is_at_end()).then(|| records.parse(RECORD_BYTES_MAX, hash))
        })
    }

    /// How many ids there are.
    pub(super) fn ids(&self) -> u64 {
        self.ids.into()
    }

    /// The keys of all ids, ascending, each with its ordinal.
    pub(super) fn id_pairs(&self) -> impl Iterator<Item = Result<(u32, u32), Fault>> {
        TableReader::new(self.sequential(Section::Ids), self.ids())
    }

    /// The keys of all ids, ascending.
    pub(super) fn id_keys(&self) -> impl Iterator<Item = Result<u32, Fault>> {
        self.id_pairs().map(|pair| pair.map(|pair| pair.0))
    }

    fn sequential(&self, section: Section) -> Sequential<'_> {
        let Span { offset, len } = self.span_of(section);
        self.pages.sequential(offset..offset + len)
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
                let head = reader.varint()?;
                let apart = match head & 1 {
                    0 => before.bytes,
                    _ => reader.varint_u32()?,
                };
                Some(FrameRef {
                    ordinal: before.ordinal.checked_add(u32::try_from(head >> 1).ok()?)?,
                    offset: before.offset.checked_add(apart)?,
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
