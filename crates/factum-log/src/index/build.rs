//! The file that a sealed segment's index becomes. `docs/format.md` has its layout.

use super::{FrameRef, MemoryIndex, TermKind, file::Section, hash, paged::paginate};
use crate::format::varint::put;

/// Frames in a block of the frame table.
pub(super) const FRAME_BLOCK: usize = 64;
/// Bytes of the head: 32 of fields, then offset and length of each section.
pub(super) const HEAD_BYTES: usize = 32 + Section::COUNT * 16;
pub(super) const MAGIC: &[u8; 8] = b"FACTUMIX";
pub(super) const VERSION: u32 = 1;

/// Makes the bytes of the index file of a segment with this seed.
pub(crate) fn build(index: &MemoryIndex, seed: u64) -> Vec<u8> {
    let mut sections: Vec<Vec<u8>> = vec![Vec::new(); Section::COUNT];
    let mut postings = Vec::new();
    let streams = index.of_streams.iter().map(|s| (Some(s.first_revision), &*s.ordinals));
    put_lists(&mut sections, TermKind::Stream, streams, &mut postings);
    for (kind, lists) in [
        (TermKind::Type, &index.of_types),
        (TermKind::Tag, &index.of_tags),
        (TermKind::Category, &index.of_categories),
    ] {
        let lists = lists.iter().map(|ordinals| (None, &**ordinals));
        put_lists(&mut sections, kind, lists, &mut postings);
    }
    put_names(&mut sections, TermKind::Stream, index.streams.list.iter().map(|n| n.as_str()));
    put_names(&mut sections, TermKind::Type, index.types.list.iter().map(|n| n.as_str()));
    put_names(&mut sections, TermKind::Tag, index.tags.list.iter().map(|n| n.as_str()));
    put_names(&mut sections, TermKind::Category, index.categories.list.iter().map(|n| &**n));
    *section(&mut sections, Section::Postings) = postings;
    put_frames(&mut sections, &index.frames);
    put_ids(section(&mut sections, Section::Ids), index);
    paginate(&assemble(&sections, index, seed), seed)
}

fn section(sections: &mut [Vec<u8>], which: Section) -> &mut Vec<u8> {
    sections.get_mut(which.index()).expect("every section has its place")
}

fn put_u32(buffer: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("an index file is smaller than 4 GiB");
    buffer.extend_from_slice(&value.to_le_bytes());
}

fn put_lists<'a>(
    sections: &mut [Vec<u8>],
    kind: TermKind,
    lists: impl Iterator<Item = (Option<u64>, &'a [u32])>,
    postings: &mut Vec<u8>,
) {
    let starts = section(sections, Section::Lists(kind));
    for (first_revision, ordinals) in lists {
        put_u32(starts, postings.len());
        if let Some(revision) = first_revision {
            put(postings, revision);
        }
        put(postings, ordinals.len() as u64);
        let mut before = 0;
        for ordinal in ordinals {
            put(postings, u64::from(ordinal - before));
            before = *ordinal;
        }
    }
    put_u32(starts, postings.len());
}

/// Names in the order of their numbers, and a hash table (linear probing, half full at most) from
/// name to number + 1.
fn put_names<'a>(
    sections: &mut [Vec<u8>],
    kind: TermKind,
    names: impl ExactSizeIterator<Item = &'a str>,
) {
    let slots = names.len() * 2 + 1;
    let mut table = vec![0u32; slots];
    let (mut starts, mut text) = (Vec::new(), Vec::new());
    for (number, name) in (1u32..).zip(names) {
        put_u32(&mut starts, text.len());
        text.extend_from_slice(name.as_bytes());
        let mut slot = slot_of(name, slots);
        while table.get(slot).is_some_and(|taken| *taken != 0) {
            slot = (slot + 1) % slots;
        }
        *table.get_mut(slot).expect("a slot is in the table") = number;
    }
    put_u32(&mut starts, text.len());
    *section(sections, Section::NameStarts(kind)) = starts;
    *section(sections, Section::Names(kind)) = text;
    *section(sections, Section::NameTable(kind)) =
        table.iter().flat_map(|number| number.to_le_bytes()).collect();
}

/// Where the search for a name begins in a table.
pub(super) fn slot_of(name: &str, slots: usize) -> usize {
    let slots = u64::try_from(slots).expect("a table is small");
    usize::try_from(hash(name.as_bytes()) % slots).expect("a slot is in the table")
}

fn put_frames(sections: &mut [Vec<u8>], frames: &[FrameRef]) {
    let (mut blocks, mut table) = (Vec::new(), Vec::new());
    for block in frames.chunks(FRAME_BLOCK) {
        let first = block.first().expect("a chunk is not empty");
        blocks.extend_from_slice(&first.ordinal.to_le_bytes());
        blocks.extend_from_slice(&first.offset.to_le_bytes());
        put_u32(&mut blocks, table.len());
        let mut before = *first;
        for frame in block {
            put(&mut table, u64::from(frame.ordinal - before.ordinal));
            put(&mut table, u64::from(frame.offset - before.offset));
            put(&mut table, frame.bytes.into());
            before = *frame;
        }
    }
    *section(sections, Section::FrameBlocks) = blocks;
    *section(sections, Section::Frames) = table;
}

/// The upper half of each key with its ordinal, sorted.
fn put_ids(buffer: &mut Vec<u8>, index: &MemoryIndex) {
    let half = |key: u64| u32::try_from(key >> 32).expect("half of 64 bits");
    let latest = index.ids.iter().map(|(key, ordinal)| (half(*key), *ordinal));
    let earlier = index
        .earlier_ids
        .iter()
        .flat_map(|(key, ordinals)| ordinals.iter().map(move |ordinal| (half(*key), *ordinal)));
    let mut ids: Vec<_> = latest.chain(earlier).collect();
    ids.sort_unstable();
    for (key, ordinal) in ids {
        buffer.extend_from_slice(&key.to_le_bytes());
        buffer.extend_from_slice(&ordinal.to_le_bytes());
    }
}

fn assemble(sections: &[Vec<u8>], index: &MemoryIndex, seed: u64) -> Vec<u8> {
    let mut content = Vec::from(MAGIC);
    content.extend_from_slice(&VERSION.to_le_bytes());
    content.extend_from_slice(&index.next().to_le_bytes());
    content.extend_from_slice(&seed.to_le_bytes());
    content.extend_from_slice(&index.frames().to_le_bytes());
    content.extend_from_slice(&0u32.to_le_bytes());
    let mut offset = HEAD_BYTES as u64;
    for section in sections {
        content.extend_from_slice(&offset.to_le_bytes());
        content.extend_from_slice(&(section.len() as u64).to_le_bytes());
        offset += section.len() as u64;
    }
    assert_eq!(content.len(), HEAD_BYTES, "the head has its length");
    sections.iter().for_each(|section| content.extend_from_slice(section));
    content
}
