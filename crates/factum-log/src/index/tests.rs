//! An index in memory and the file made of it answer alike.

use super::{
    Indexed, MemoryIndex, PageCache, StreamPart, build, file::IndexFile, id_key, select::Window,
};
use crate::{
    disk::{Disk, Mode, OsDisk},
    format::names::{NameKind, NewName},
};
use factum_core::{EventType, Item, Query, StreamName, Tag, Uuid};

const SEED: u64 = 42;

/// 500 events over 50 streams of 3 categories, 3 types and 7 tags, two events a frame.
fn filled() -> MemoryIndex {
    let mut index = MemoryIndex::default();
    let mut revisions = [3u64; 50];
    for n in 0..500u32 {
        let stream = (n * 7 + n / 11) % 50;
        let name = StreamName::new(&format!("c{}-{stream}", stream % 3)).unwrap();
        let stream_number = index.intern_stream(&name).0;
        let kind = EventType::new(&format!("t{}", n % 3)).unwrap();
        let event_type = index.intern_type(&kind).0;
        let tag = Tag::new(&format!("k:{}", n % 7)).unwrap();
        let tags = [index.intern_tag(&tag).0];
        if n % 2 == 0 {
            index.push_frame(4096 + n * 100, 150);
        }
        let revision = revisions[stream as usize];
        revisions[stream as usize] += 1;
        let id = Uuid::from_u128(n.into());
        let event = Indexed { stream: stream_number, event_type, tags: &tags, revision, id };
        index.push(n, event).unwrap();
    }
    index
}

fn file_of(index: &MemoryIndex) -> (tempfile::TempDir, IndexFile) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.idx");
    let file = OsDisk.open(&path, Mode::Create).unwrap();
    file.write_at(&build(index, SEED), 0).unwrap();
    let file = IndexFile::open(file, path, SEED, &PageCache::new(0)).unwrap();
    (dir, file)
}

#[test]
fn streams_names_frames_and_ids_are_the_same() {
    let memory = filled();
    let (_dir, file) = file_of(&memory);
    assert_eq!((file.next(), file.frames()), (memory.next(), memory.frames()));
    for n in 0..52u32 {
        let name = StreamName::new(&format!("c{}-{n}", n % 3)).unwrap();
        for until in [0, 7, 250, u32::MAX] {
            assert_eq!(file.span(&name, until).unwrap(), memory.span(&name, until));
        }
        for (from, backward, max) in [(0, false, 99), (3, false, 2), (3, true, 99), (99, true, 3)] {
            let part = StreamPart { from, backward, max };
            assert_eq!(file.of_stream(&name, part).unwrap(), memory.of_stream(&name, part));
        }
        let number = memory.stream_name(n);
        let text = file.name(super::TermKind::Stream, n).unwrap();
        assert_eq!(text.as_deref(), number.as_ref().map(StreamName::as_str));
    }
    for ordinal in 0..505 {
        let holding = |frames: Vec<super::FrameRef>| {
            frames.into_iter().rfind(|frame| frame.ordinal <= ordinal)
        };
        let of_file = holding(file.frames_near(ordinal).unwrap());
        assert_eq!(of_file, holding(memory.frames_near(ordinal)));
        assert_eq!(file.nth_frame(ordinal).unwrap(), memory.nth_frame(ordinal));
    }
    let mut others = 0;
    for n in 0..600u32 {
        let stream = (n * 7 + n / 11) % 50;
        let name = StreamName::new(&format!("c{}-{stream}", stream % 3)).unwrap();
        let key = id_key(name.as_str(), Uuid::from_u128(n.into()));
        let (found, expected) = (file.with_id(key).unwrap(), memory.with_id(key));
        assert!(expected.iter().all(|ordinal| found.contains(ordinal)), "{n}");
        // Fewer bits of a key are kept: some others are found too.
        others += found.len() - expected.len();
    }
    assert!(others < 600 / 50, "{others} too many");
    assert!(file.has_type("t2").unwrap() && !file.has_type("t3").unwrap());
}

#[test]
fn queries_select_the_same() {
    let memory = filled();
    let (_dir, file) = file_of(&memory);
    let tag = |name: &str| vec![Tag::new(name).unwrap()];
    let types = |names: &[&str]| names.iter().map(|name| EventType::new(name).unwrap()).collect();
    let items = [
        Item { types: types(&["t1", "t9"]), ..Item::default() },
        Item { tags: tag("k:3"), types: types(&["t0", "t2"]), ..Item::default() },
        Item { categories: vec!["c1".into()], tags: tag("k:5"), ..Item::default() },
        Item { tags: tag("k:none"), ..Item::default() },
    ];
    let mut queries: Vec<Query> = items.iter().cloned().map(Query::from).collect();
    queries.extend([Query::All, Query::AnyOf(items.to_vec())]);
    for query in queries {
        for (from, until) in [(0, 499), (100, 200), (499, 0), (300, 30)] {
            let window = Window { from, until, backward: from > until, max: 1000 };
            let found = file.lists(&query).unwrap().select(window);
            assert_eq!(found, memory.select(&query, window), "{query:?}");
        }
    }
}

#[test]
fn names_learnt_after_a_loss_keep_their_numbers() {
    let mut index = MemoryIndex::default();
    let name =
        |number, name: &'static str| NewName { kind: NameKind::Stream, number, name: name.into() };
    assert!(index.learn(&name(2, "late-1")).is_some());
    assert!(index.learn(&name(1, "taken")).is_none());
    assert_eq!(index.stream_name(2).unwrap().as_str(), "late-1");
    let event = |stream| Indexed { stream, event_type: 0, tags: &[], revision: 0, id: Uuid::max() };
    index.intern_type(&EventType::new("t").unwrap());
    assert!(index.knows(event(2)) && !index.knows(event(0)) && !index.knows(event(3)));
}

#[test]
fn every_flipped_bit_of_an_index_is_an_error_or_no_index() {
    let memory = filled();
    let good = build(&memory, SEED);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.idx");
    let name = StreamName::new("c1-1").unwrap();
    for byte in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[byte] ^= 0x10;
        let file = OsDisk.open(&path, Mode::Create).unwrap();
        file.write_at(&bad, 0).unwrap();
        let Some(file) = IndexFile::open(file, path.clone(), SEED, &PageCache::new(0)) else {
            continue;
        };
        if let Ok(span) = file.span(&name, u32::MAX) {
            assert_eq!(span, memory.span(&name, u32::MAX), "byte {byte}");
        }
        if let Ok(frames) = file.frames_near(77) {
            let frame = |frames: Vec<super::FrameRef>| {
                frames.into_iter().rfind(|frame| frame.ordinal <= 77)
            };
            assert_eq!(frame(frames), frame(memory.frames_near(77)), "byte {byte}");
        }
    }
    let file = OsDisk.open(&path, Mode::Create).unwrap();
    file.write_at(&good, 0).unwrap();
    assert!(
        IndexFile::open(file, path, SEED + 1, &PageCache::new(0)).is_none(),
        "another segment's"
    );
}

#[test]
fn hashes_spread_over_all_bits() {
    let mut counts = [0u32; 64];
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..4096u32 {
        let hash = super::hash(format!("order-{n:08}").as_bytes());
        (0..64).for_each(|bit| counts[bit] += u32::from(hash >> bit & 1 == 1));
        seen.insert(super::hash32(format!("order-{n:08}").as_bytes()));
    }
    // Half of 4,096, within six deviations of 32.
    assert!(counts.iter().all(|count| count.abs_diff(2048) < 192), "{counts:?}");
    assert!(seen.len() > 4090, "{} of 4096", seen.len());
    assert_ne!(super::hash(b"a"), super::hash(b"a\0"), "zeroes at the end count");
    assert_eq!(super::hash(b"order-1"), 0x5b81_5aa0_ec22_2cf7, "it is part of the format");
}
