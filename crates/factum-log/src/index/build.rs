//! The file that a sealed segment's index becomes. `docs/format.md` has its layout.
//!
//! What is looked up together lies together: a term's name, number and short list are one record,
//! found by the name's hash in one page or two.

use super::{
    FrameRef, MemoryIndex, TermKind,
    file::Section,
    hash32,
    list::put_list,
    names::Names,
    paged::paginate,
    table::{TableBuilder, bucket_of},
};
use crate::format::{names::common, varint::put};
use std::ops::Range;

/// Frames in a block of the frame table.
pub(super) const FRAME_BLOCK: usize = 64;
/// Records in a bucket, on average.
const BUCKET_RECORDS: usize = 16;
/// A list that takes no more bytes than this lies in its term's record.
const INSIDE_BYTES_MAX: usize = 64;
/// Bytes of the head: 32 of fields, then offset and length of each section.
pub(super) const HEAD_BYTES: usize = 32 + Section::COUNT * 16;
pub(super) const MAGIC: &[u8; 8] = b"FACTUMIX";
pub(super) const VERSION: u32 = 6;

/// Makes the bytes of the index file of a segment with this seed.
pub(crate) fn build(index: &MemoryIndex, seed: u64) -> Vec<u8> {
    let mut sections: Vec<Vec<u8>> = vec![Vec::new(); Section::COUNT];
    let of_stream = |number: usize| {
        let stream = index.of_streams.get(number);
        stream.map(|stream| (Some(stream.first_revision), stream.ordinals.as_slice()))
    };
    put_terms(&mut sections, TermKind::Stream, (&index.streams, of_stream));
    for (kind, names, lists) in [
        (TermKind::Type, &index.types, &index.of_types),
        (TermKind::Tag, &index.tags, &index.of_tags),
        (TermKind::Category, &index.categories, &index.of_categories),
    ] {
        let of_term = |number: usize| lists.get(number).map(|list| (None, list.as_slice()));
        put_terms(&mut sections, kind, (names, of_term));
    }
    put_frames(&mut sections, &index.frames);
    let ids = put_ids(&mut sections, index);
    put_all_lost(section(&mut sections, Section::Lost), index);
    paginate(&assemble(sections, index, (seed, ids)), seed)
}

fn section(sections: &mut [Vec<u8>], which: Section) -> &mut Vec<u8> {
    sections.get_mut(which.index()).expect("every section has its place")
}

fn put_u32(buffer: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("an index file is smaller than 4 GiB");
    buffer.extend_from_slice(&value.to_le_bytes());
}

/// A term's ordinals; of a stream also its first revision.
type ListOf<'a> = (Option<u64>, &'a [u32]);

/// Records of all terms of a kind, in the order of their names' hashes.
fn put_terms<'a>(
    sections: &mut [Vec<u8>],
    kind: TermKind,
    (names, list_of): (&Names, impl Fn(usize) -> Option<ListOf<'a>>),
) {
    let mut order: Vec<(u32, u32)> =
        (0u32..).zip(names.iter()).map(|(nth, name)| (hash32(name.as_bytes()), nth)).collect();
    order.sort_unstable();
    let buckets = order.len().div_ceil(BUCKET_RECORDS) as u64;
    let mut records = Records::default();
    let mut by_number = vec![Named::NOWHERE; order.len()];
    for (hash, number) in order {
        records.begin_up_to(bucket_of(hash, buckets));
        let name = names.get(number).expect("each name has a number");
        let list = list_of(number as usize).expect("each name has a list");
        if !name.is_empty() {
            let place = by_number.get_mut(number as usize).expect("a place for each name");
            *place = records.next();
        }
        records.put((name, number), list, section(sections, Section::Postings));
    }
    records.begin_up_to(buckets);
    *section(sections, Section::Records(kind)) = records.bytes;
    let starts_there = section(sections, Section::Buckets(kind));
    records.starts.into_iter().for_each(|at| put_u32(starts_there, at));
    let by_number_there = section(sections, Section::ByNumber(kind));
    by_number.into_iter().for_each(|named| named.put(buckets, by_number_there));
}

/// Where the record of a number is: its bucket, and its place in that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Named(u32);

impl Named {
    /// Of a number whose name is lost.
    pub(super) const NOWHERE: Self = Self(u32::MAX);
    const NTH_BITS: u32 = 8;
    /// A place that is this or above: such records say their numbers.
    pub(super) const LATE: u32 = (1 << Self::NTH_BITS) - 1;

    /// Bytes that it takes where there are so many buckets.
    pub(super) fn bytes(buckets: u64) -> usize {
        if buckets < 1 << 16 { 3 } else { 4 }
    }

    fn put(self, buckets: u64, out: &mut Vec<u8>) {
        let bytes = self.0.to_le_bytes();
        out.extend_from_slice(bytes.get(..Self::bytes(buckets)).expect("three or four"));
    }

    /// The bucket and the place; `None` of what is nowhere.
    pub(super) fn read(bytes: &[u8]) -> Option<(u64, u32)> {
        let mut all = [0; 4];
        all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let said = u32::from_le_bytes(all);
        let is_there = bytes.iter().any(|byte| *byte != u8::MAX);
        is_there.then_some((u64::from(said >> Self::NTH_BITS), said & Self::LATE))
    }
}

/// Records in the making: each says how much of its name is as in the one before in its bucket.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// Records in the bucket so far.
    count: u32,
    name: Vec<u8>,
}

impl Records {
    /// Begins all buckets up to this one, unless it has begun.
    fn begin_up_to(&mut self, bucket: u64) {
        while self.starts.len() as u64 <= bucket {
            self.starts.push(self.bytes.len());
            self.count = 0;
            self.name.clear();
        }
    }

    /// Where the next record will be.
    fn next(&self) -> Named {
        let bucket = u32::try_from(self.starts.len() - 1).ok().filter(|it| *it < 1 << 24);
        let bucket = bucket.expect("a segment's names are few");
        Named(bucket << Named::NTH_BITS | self.count.min(Named::LATE))
    }

    fn put(
        &mut self,
        (name, number): (&str, u32),
        (first_revision, ordinals): ListOf<'_>,
        postings: &mut Vec<u8>,
    ) {
        let shared = common(&self.name, name.as_bytes());
        let rest = name.as_bytes().get(shared..).unwrap_or_default();
        let is_late = self.count >= Named::LATE;
        self.count += 1;
        self.name.truncate(shared);
        self.name.extend_from_slice(rest);
        let record = &mut self.bytes;
        put(record, (shared as u64) << 1 | u64::from(is_late));
        put(record, rest.len() as u64);
        record.extend_from_slice(rest);
        if is_late {
            put(record, number.into());
        }
        if let Some(revision) = first_revision {
            put(record, revision);
        }
        let at = postings.len();
        put_list(postings, ordinals);
        let len = postings.len() - at;
        let is_outside = len > INSIDE_BYTES_MAX;
        put(record, (ordinals.len() as u64) << 1 | u64::from(is_outside));
        if is_outside {
            put(record, at as u64);
            put(record, len as u64);
            put(record, ordinals.last().copied().unwrap_or(0).into());
        } else {
            record.extend(postings.drain(at..));
        }
    }
}

fn put_frames(sections: &mut [Vec<u8>], frames: &[FrameRef]) {
    let (mut blocks, mut table) = (Vec::new(), Vec::new());
    for block in frames.chunks(FRAME_BLOCK) {
        let first = block.first().expect("a chunk is not empty");
        blocks.extend_from_slice(&first.ordinal.to_le_bytes());
        blocks.extend_from_slice(&first.offset.to_le_bytes());
        put_u32(&mut blocks, table.len());
        let mut before = FrameRef { bytes: 0, ..*first };
        for frame in block {
            // Mostly a frame begins where the one before ends.
            let is_apart = frame.offset != before.offset.saturating_add(before.bytes);
            put(&mut table, u64::from(frame.ordinal - before.ordinal) << 1 | u64::from(is_apart));
            if is_apart {
                put(&mut table, u64::from(frame.offset - before.offset));
            }
            put(&mut table, frame.bytes.into());
            before = *frame;
        }
    }
    *section(sections, Section::FrameBlocks) = blocks;
    *section(sections, Section::Frames) = table;
}

/// Each key with its ordinal, sorted; how many there are.
fn put_ids(sections: &mut [Vec<u8>], index: &MemoryIndex) -> u32 {
    let mut ids: Vec<_> = index.ids.iter().collect();
    ids.sort_unstable();
    let count = u32::try_from(ids.len()).expect("a segment's events are few");
    let mut table = TableBuilder::new(count.into());
    let mut pairs = Vec::new();
    ids.into_iter().for_each(|pair| table.push(pair, &mut pairs));
    let starts = table.finish(&mut pairs);
    *section(sections, Section::Ids) = pairs;
    let starts_there = section(sections, Section::IdBuckets);
    starts.into_iter().for_each(|at| starts_there.extend_from_slice(&at.to_le_bytes()));
    count
}

fn put_all_lost(buffer: &mut Vec<u8>, index: &MemoryIndex) {
    let mut before = 0;
    for lost in index.lost().iter() {
        let Range { start, end } = lost.ordinals;
        put(buffer, u64::from(start - before));
        put(buffer, u64::from(end - start) << 1 | u64::from(lost.is_known));
        before = end;
    }
}

fn assemble(sections: Vec<Vec<u8>>, index: &MemoryIndex, (seed, ids): (u64, u32)) -> Vec<u8> {
    let mut content = Vec::from(MAGIC);
    content.extend_from_slice(&VERSION.to_le_bytes());
    content.extend_from_slice(&index.next().to_le_bytes());
    content.extend_from_slice(&seed.to_le_bytes());
    content.extend_from_slice(&index.frames().to_le_bytes());
    content.extend_from_slice(&ids.to_le_bytes());
    let mut offset = HEAD_BYTES as u64;
    for section in &sections {
        content.extend_from_slice(&offset.to_le_bytes());
        content.extend_from_slice(&(section.len() as u64).to_le_bytes());
        offset += section.len() as u64;
    }
    assert_eq!(content.len(), HEAD_BYTES, "the head has its length");
    // Each is let go as soon as it is copied: two copies of a large index are much memory.
    sections.into_iter().for_each(|section| content.extend_from_slice(&section));
    content
}
