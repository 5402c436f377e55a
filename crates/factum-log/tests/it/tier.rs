//! Segments in object storage: read as before, whatever the storage does, and fetched back.

pub mod storage;

use crate::tools::*;
use factum_core::{EventStore, Position, Query, Read, ReadError, RecordedEvent};
use factum_log::{
    LogStore, OpenError, Options, Reader, World, Writer,
    disk::{Disk, Mode, OsDisk},
    tier::{Keep, MoveError, Moved, TierDisk, TierOptions},
    verify::verify,
};
use std::{path::Path, sync::Arc};
use storage::Storage;

const NOTHING: Keep = Keep { bytes: 0, segments: 0 };

/// A folder of several segments, closed, and what is in it.
struct Folder {
    dir: tempfile::TempDir,
    storage: Storage,
    events: Vec<RecordedEvent>,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, reader) = open(dir.path(), &small());
        for id in 1..=60 {
            let data = format!("{{\"{}\":{id}}}", "x".repeat(5_000));
            let job = append(&format!("a-{}", id % 5), [event(id, "t", &data)]);
            writer.step(vec![job]).into_iter().for_each(|reply| drop(reply.unwrap()));
            writer.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
        }
        writer.close().unwrap();
        let events = everything(&reader);
        assert_eq!(events.len(), 60);
        Self { dir, storage: Storage::default(), events }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn tier(&self) -> TierDisk {
        TierDisk::new(Arc::new(OsDisk), Arc::new(self.storage.clone()), TierOptions::default())
    }

    fn options(&self, tier: &TierDisk) -> Options {
        Options { world: World { disk: Arc::new(tier.clone()), ..World::default() }, ..small() }
    }

    fn open(&self) -> (TierDisk, Writer, Reader) {
        let tier = self.tier();
        let (writer, reader) = open(self.path(), &self.options(&tier));
        (tier, writer, reader)
    }

    fn move_all(&self, tier: &TierDisk) -> Moved {
        tier.move_out(self.path(), NOTHING, &mut || true).unwrap()
    }

    fn names(&self, end: &str) -> Vec<String> {
        let mut names = OsDisk.list(self.path()).unwrap();
        names.retain(|name| name.ends_with(end));
        names.sort();
        names
    }
}

#[test]
fn moved_segments_are_read_as_before_while_open_and_after() {
    let folder = Folder::new();
    let (tier, mut writer, reader) = folder.open();
    let segments = folder.names(".log").len();
    assert!(segments > 3);
    let moved = folder.move_all(&tier);
    assert_eq!((moved.segments, folder.names(".log").len()), (segments - 1, 1));
    assert_eq!(everything(&reader), folder.events, "the store is open, and goes on");
    writer.step(vec![append("a-1", [event(99, "t", "{}")])]).remove(0).unwrap();
    writer.close().unwrap();
    drop((writer, reader));
    let gets = folder.storage.gets();
    let (tier, _writer, reader) = folder.open();
    assert_eq!(folder.storage.gets(), gets, "opening asks the storage nothing");
    assert_eq!(everything(&reader).len(), 61);
    let told = tier.segments(folder.path()).unwrap();
    assert_eq!(told.iter().filter(|one| one.object.is_some()).count(), segments - 1);
    assert!(reader.verify(&mut |_| true).unwrap().findings.is_empty());
}

#[test]
fn what_is_to_be_kept_stays_and_moving_again_does_nothing() {
    let folder = Folder::new();
    let tier = folder.tier();
    let segments = folder.names(".log").len();
    let keep = Keep { bytes: u64::MAX, segments: 2 };
    let moved = tier.move_out(folder.path(), keep, &mut || true).unwrap();
    assert_eq!((moved.segments, folder.names(".log").len()), (segments - 3, 3));
    let again = tier.move_out(folder.path(), keep, &mut || true).unwrap();
    assert_eq!(again, Moved::default());
    let keep = Keep { bytes: 70 << 10, segments: 9 };
    tier.move_out(folder.path(), keep, &mut || true).unwrap();
    assert_eq!(folder.names(".log").len(), 2, "one sealed segment has 64 KiB");
    assert_eq!(tier.move_out(folder.path(), NOTHING, &mut || false).unwrap(), Moved::default());
}

#[test]
fn fetched_back_the_folder_needs_no_storage() {
    let folder = Folder::new();
    let (tier, writer, reader) = folder.open();
    let moved = folder.move_all(&tier);
    assert_eq!(everything(&reader), folder.events);
    assert_eq!(tier.fetch_back(folder.path(), &mut || true).unwrap(), moved);
    folder.storage.lose_all();
    assert_eq!(everything(&reader), folder.events, "who has them open reads them here");
    drop((writer, reader));
    assert!(folder.names(".tier").is_empty());
    let (_writer, reader) = open(folder.path(), &small());
    assert_eq!(everything(&reader), folder.events);
}

#[test]
fn without_the_storage_the_folder_is_not_opened_and_says_where_it_is() {
    let folder = Folder::new();
    folder.move_all(&folder.tier());
    let refused = factum_log::open(folder.path(), small()).unwrap_err();
    let OpenError::Tiered { location, .. } = &refused else { panic!("{refused}") };
    assert_eq!(location.as_deref(), Some("memory://test"));
    assert!(refused.to_string().contains("were moved to memory://test"), "{refused}");
}

#[test]
fn another_storage_is_refused_while_segments_are_in_the_first() {
    let folder = Folder::new();
    let keep = Keep { bytes: u64::MAX, segments: 2 };
    folder.tier().move_out(folder.path(), keep, &mut || true).unwrap();
    let other = Arc::new(Storage::at("memory://other"));
    let tier = TierDisk::new(Arc::new(OsDisk), other, TierOptions::default());
    let refused = tier.move_out(folder.path(), NOTHING, &mut || true).unwrap_err();
    assert!(matches!(refused, MoveError::Elsewhere { .. }), "{refused}");
    folder.tier().fetch_back(folder.path(), &mut || true).unwrap();
    assert!(tier.move_out(folder.path(), NOTHING, &mut || true).unwrap().segments > 0);
}

/// Reads the events of one stream from the first on; what came before an error.
fn read_from(reader: &Reader, from: u64) -> Result<usize, ReadError> {
    let read = Read { from: Some(from), limit: Some(1), ..Read::query(Query::All) };
    let mut cursor = reader.read(read)?.cursor;
    Ok(cursor.next_batch()?.events.len())
}

#[test]
fn an_object_that_is_gone_is_named_and_all_else_goes_on() {
    let folder = Folder::new();
    let (tier, mut writer, reader) = folder.open();
    folder.move_all(&tier);
    let told = tier.segments(folder.path()).unwrap();
    let key = told[1].object.clone().unwrap();
    folder.storage.lose(&key);
    let error = read_from(&reader, told[1].base).unwrap_err();
    let ReadError::Unavailable { why } = &error else { panic!("{error}") };
    for part in [&*key, "memory://test", "gone", &format!("{:020}.log", told[1].base)] {
        assert!(why.contains(part), "{part} is not in {why}");
    }
    assert_eq!(read_from(&reader, told[0].base), Ok(1));
    assert_eq!(read_from(&reader, told[2].base), Ok(1));
    writer.step(vec![append("a-1", [event(99, "t", "{}")])]).remove(0).unwrap();
}

#[test]
fn a_damaged_object_is_damage_and_is_named() {
    let folder = Folder::new();
    let (tier, _writer, reader) = folder.open();
    folder.move_all(&tier);
    let told = tier.segments(folder.path()).unwrap();
    let key = told[0].object.clone().unwrap();
    folder.storage.damage(&key, 30_000);
    let error = read_from(&reader, told[0].base).unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { what } if what.contains(&key)), "{error}");
    let report = reader.verify(&mut |_| true);
    assert!(report.is_err() || report.is_ok_and(|report| report.is_damaged()));
}

/// A storage that does not answer is asked once, then left alone: nobody waits again and again.
#[test]
fn an_outage_is_told_at_once_and_appends_go_on() {
    let folder = Folder::new();
    let (tier, mut writer, reader) = folder.open();
    folder.move_all(&tier);
    folder.storage.be_out(true);
    let gets = folder.storage.gets();
    for _ in 0..10 {
        let error = read_from(&reader, 1).unwrap_err();
        let ReadError::Unavailable { why } = &error else { panic!("{error}") };
        assert!(why.contains("does not answer: out of order"), "{why}");
    }
    assert_eq!(folder.storage.gets(), gets + 1);
    writer.step(vec![append("new-1", [event(99, "t", "{}")])]).remove(0).unwrap();
    folder.storage.be_out(false);
    let began = std::time::Instant::now();
    while read_from(&reader, 1).is_err() {
        assert!(began.elapsed().as_secs() < 20, "the storage is there again");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(everything(&reader).len(), 61);
}

#[test]
fn a_move_that_fails_leaves_the_segment_here() {
    let folder = Folder::new();
    let (tier, _writer, reader) = folder.open();
    let logs = folder.names(".log");
    folder.storage.be_out(true);
    let error = tier.move_out(folder.path(), NOTHING, &mut || true).unwrap_err();
    assert!(matches!(error, MoveError::Cold { .. }), "{error}");
    folder.storage.be_out(false);
    folder.storage.garble(true);
    let error = tier.move_out(folder.path(), NOTHING, &mut || true).unwrap_err();
    assert!(matches!(error, MoveError::Different { .. }), "{error}");
    assert_eq!(folder.names(".log"), logs);
    assert_eq!(everything(&reader), folder.events);
    folder.storage.garble(false);
    assert_eq!(folder.move_all(&tier).segments, logs.len() - 1);
}

#[test]
fn a_segment_whose_head_is_damaged_is_not_moved() {
    let folder = Folder::new();
    let path = folder.path().join(&folder.names(".log")[0]);
    OsDisk.open(&path, Mode::Write).unwrap().write_at(b"no head", 0).unwrap();
    let error = folder.tier().move_out(folder.path(), NOTHING, &mut || true).unwrap_err();
    assert!(matches!(error, MoveError::Head { .. }), "{error}");
    assert!(path.exists());
}

/// Each pass would fetch the whole store.
#[test]
fn scrubbing_leaves_moved_segments_alone() {
    let folder = Folder::new();
    let (tier, _writer, reader) = folder.open();
    folder.move_all(&tier);
    let gets = folder.storage.gets();
    assert!(reader.scrub(&factum_log::rewrite::Stop::default()));
    assert_eq!(folder.storage.gets(), gets);
    assert!(reader.damage_found().is_empty());
    reader.verify(&mut |_| true).unwrap();
    assert!(folder.storage.gets() > gets, "verifying reads all of it");
}

/// The local file is the segment where both are there: a marker from before says nothing.
#[test]
fn a_marker_beside_its_segment_says_nothing() {
    let folder = Folder::new();
    let copies: Vec<_> = folder
        .names(".log")
        .iter()
        .map(|name| std::fs::read(folder.path().join(name)).unwrap())
        .collect();
    folder.move_all(&folder.tier());
    let names = folder.names(".tier");
    for (name, bytes) in names.iter().zip(copies) {
        std::fs::write(folder.path().join(name).with_extension("log"), bytes).unwrap();
    }
    folder.storage.lose_all();
    let (_tier, _writer, reader) = folder.open();
    assert_eq!(everything(&reader), folder.events);
    assert!(factum_log::open(folder.path(), small()).is_err(), "it is open");
}

#[test]
fn indexes_that_are_gone_are_made_anew_from_the_storage() {
    let folder = Folder::new();
    folder.move_all(&folder.tier());
    for name in folder.names(".idx") {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let (_tier, _writer, reader) = folder.open();
    assert_eq!(everything(&reader), folder.events);
    assert!(!folder.names(".idx").is_empty());
}

#[test]
fn a_damaged_marker_is_named() {
    let folder = Folder::new();
    folder.move_all(&folder.tier());
    let path = folder.path().join(&folder.names(".tier")[0]);
    std::fs::write(&path, "nonsense").unwrap();
    let error = factum_log::open(folder.path(), folder.options(&folder.tier())).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[test]
fn a_folder_of_moved_segments_is_verified_through_the_storage() {
    let folder = Folder::new();
    let tier = folder.tier();
    folder.move_all(&tier);
    let report = verify(folder.path(), &folder.options(&tier).world, &mut |_| true).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.head, Position(60));
}

/// Moving goes on while the store is written to and read: nothing is missed, nothing is twice.
#[test]
fn segments_move_while_the_store_works() {
    let folder = Folder::new();
    let tier = folder.tier();
    let store = LogStore::open(folder.path(), folder.options(&tier)).unwrap();
    std::thread::scope(|scope| {
        let moving =
            scope.spawn(|| (0..50).map(|_| folder.move_all(&tier).segments).sum::<usize>());
        for id in 100..160 {
            let data = format!("\"{}\"", "y".repeat(5_000));
            let append = factum_core::Append::to(name("b-1"), [event(id, "t", &data)]);
            block_on(store.append(append)).unwrap();
        }
        assert!(moving.join().unwrap() > 3);
    });
    let mut reading = block_on(store.read(Read::query(Query::All))).unwrap();
    let mut seen = 0;
    while let Some(batch) = block_on(factum_core::next_batch(&mut reading.batches)) {
        for event in batch.unwrap().events {
            seen += 1;
            assert_eq!(event.position(), Position(seen));
        }
    }
    assert_eq!(seen, 120);
}
