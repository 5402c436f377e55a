//! Decoders that are not public, for the fuzz targets alone. Each takes any bytes at all, and must
//! answer or refuse: never panic, never point outside what it was given.

use crate::{
    disk::File,
    format::{
        body::{read_body, read_carry},
        frame::FrameHeader,
    },
    index::{Index, IndexFile, PageCache, StreamPart, TermKind, paginate, select::Window},
};
use factum_core::{Query, StreamName, Uuid};

/// Reads the body of a frame whose head says this. Whether it made sense.
///
/// # Panics
/// If an event lies outside of the body.
#[must_use]
pub fn body(header: &FrameHeader, bytes: &[u8]) -> bool {
    let Some(read) = read_body(header, bytes) else { return false };
    for entry in &read.entries {
        assert!(bytes.get(entry.data.clone()).is_some(), "data lies in the body");
        assert!(bytes.get(entry.metadata.clone()).is_some(), "metadata lies in the body");
    }
    let ordinals: Vec<u32> = read.entries.iter().map(|entry| entry.ordinal).collect();
    assert!(ordinals.is_sorted_by(|a, b| a < b), "ordinals ascend");
    true
}

/// Reads the body of a carry. Whether it made sense.
#[must_use]
pub fn carry(bytes: &[u8]) -> bool {
    read_carry(bytes).is_some()
}

/// The file that has this content: pages with checksums.
#[must_use]
pub fn pages(content: &[u8], seed: u64) -> Vec<u8> {
    paginate(content, seed)
}

/// Opens an index file and asks it everything there is to ask about a stream and a query. Whether
/// it could be opened.
pub fn index(file: Box<dyn File>, seed: u64, stream: &StreamName, query: &Query) -> bool {
    let (path, cache) = ("fuzzed.idx".into(), PageCache::new(0));
    let Some(file) = IndexFile::open(file, path, seed, &cache) else { return false };
    let index = Index::file(file);
    for number in 0..4 {
        let _ = (index.stream_name(number), index.event_type(number), index.tag(number));
        let _ = (index.nth_frame(number), index.frames_near(number));
    }
    let _ = (index.span(stream, u32::MAX), index.has_type("t"), index.frames());
    let _ = (index.lost(), index.id_pairs(), index.term(TermKind::Stream, 0));
    let _ = index.with_id(stream, Uuid::from_u128(1));
    for backward in [false, true] {
        let _ = index.of_stream(stream, StreamPart { from: 1, backward, max: 9 });
        let (from, until) = if backward { (u32::MAX, 0) } else { (0, u32::MAX) };
        let _ = index.select(query, Window { from, until, backward, max: 9 });
    }
    true
}
