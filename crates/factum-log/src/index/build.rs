//! The file that a sealed segment's index becomes. `docs/format.md` has its layout.
//!
//! What is looked up together lies together: a term's name, number and short list are one record,
//! found by the name's hash in one page or two.

use super::{
    FrameRef, MemoryIndex, TermKind,
    file::Section,
    hash32,
    names::Names,
    paged::paginate,
    table::{TableBuilder, bucket_of},
};
use crate::format::varint::put;
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
pub(super) const VERSION: u32 = 5;

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
    let mut records = Vec::new();
    let mut starts = Vec::new();
    let mut by_number = vec![0; order.len()];
    for (hash, number) in order {
        let bucket = bucket_of(hash, buckets);
        while starts.len() as u64 <= bucket {
            starts.push(records.len());
        }
        let place = by_number.get_mut(number as usize).expect("a place for each name");
        *place = records.len();
        let name = names.get(number).expect("each name has a number");
        let list = list_of(number as usize).expect("each name has a list");
        put_record(&mut records, name, list, section(sections, Section::Postings));
    }
    starts.resize(usize::try_from(buckets).expect("fewer than names") + 1, records.len());
    *section(sections, Section::Records(kind)) = records;
    let starts_there = section(sections, Section::Buckets(kind));
    starts.into_iter().for_each(|at| put_u32(starts_there, at));
    let by_number_there = section(sections, Section::ByNumber(kind));
    by_number.into_iter().for_each(|at| put_u32(by_number_there, at));
}

fn put_record(
    record: &mut Vec<u8>,
    name: &str,
    (first_revision, ordinals): ListOf<'_>,
    postings: &mut Vec<u8>,
) {
    put(record, name.len() as u64);
    record.extend_from_slice(name.as_bytes());
    if let Some(revision) = first_revision {
        put(record, revision);
    }
    put(record, ordinals.len() as u64);
    let at = postings.len();
    put_list(postings, ordinals);
    let len = postings.len() - at;
    let is_outside = len > INSIDE_BYTES_MAX;
    put(record, (len as u64) << 1 | u64::from(is_outside));
    if is_outside {
        put(record, at as u64);
        put(record, ordinals.last().copied().unwrap_or(0).into());
    } else {
        record.extend(postings.drain(at..));
    }
}

fn put_list(buffer: &mut Vec<u8>, ordinals: &[u32]) {
    let mut before = 0;
    for ordinal in ordinals {
        put(buffer, u64::from(ordinal - before));
        before = *ordinal;
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
