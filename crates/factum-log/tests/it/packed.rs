//! Compressed segments: read as before, brought back, and damage in them is named.

mod damage;

use crate::tools::{all, append, block_on, event, everything, name, open};
use factum_core::{Append, Change, EventStore, Position, RecordedEvent};
use factum_log::{
    LogStore, OpenError, Options, Reader, World, Writer,
    disk::{Disk, Mode, OsDisk},
    packed::{Compression, PackedDisk, PackedOptions},
    quarantine,
    rewrite::{ScavengeOptions, Stop},
    tier::{Keep, TierDisk, TierOptions},
    verify::verify,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// A folder of several segments, closed, and what is in it.
struct Folder {
    dir: tempfile::TempDir,
    events: Vec<RecordedEvent>,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, reader) = open(dir.path(), &small());
        for id in 1..=60 {
            let job = append(&format!("a-{}", id % 5), [event(id, "t", &data(id))]);
            writer.step(vec![job]).into_iter().for_each(|reply| drop(reply.unwrap()));
            writer.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
        }
        writer.close().unwrap();
        let events = everything(&reader);
        assert_eq!(events.len(), 60);
        Self { dir, events }
    }

    /// The same, compressed.
    fn packed() -> Self {
        let folder = Self::new();
        folder.compress(&packed());
        folder
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn open(&self, disk: &PackedDisk) -> (Writer, Reader) {
        open(self.path(), &on(disk))
    }

    fn compress(&self, disk: &PackedDisk) -> usize {
        disk.compress(self.path(), 3, &mut |_| true).unwrap().segments
    }

    fn names(&self, end: &str) -> Vec<String> {
        let mut names = OsDisk.list(self.path()).unwrap();
        names.retain(|name| name.ends_with(end));
        names.sort();
        names
    }

    fn file(&self, end: &str) -> PathBuf {
        self.path().join(&self.names(end)[0])
    }
}

/// Segments of three blocks.
fn small() -> Options {
    Options { segment_bytes: 192 << 10, ..Options::default() }
}

/// JSON that is different each time, and takes half of its bytes when it is compressed.
fn data(id: u128) -> String {
    let mut state = id as u64;
    let digit = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from_digit((state >> 33) as u32 % 16, 16).unwrap()
    };
    format!("{{\"{}\":{id}}}", (0..15_000).map(digit).collect::<String>())
}

fn packed() -> PackedDisk {
    PackedDisk::new(Arc::new(OsDisk), PackedOptions::default())
}

fn on(disk: &PackedDisk) -> Options {
    Options { world: World { disk: Arc::new(disk.clone()), ..World::default() }, ..small() }
}

fn plain() -> World {
    World { disk: Arc::new(OsDisk), ..World::default() }
}

/// Waits for a condition; 20 seconds at most.
fn wait(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed().as_secs() < 20, "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn compressed_segments_are_read_as_before_while_open_and_after() {
    let folder = Folder::new();
    let disk = packed();
    let (mut writer, reader) = folder.open(&disk);
    let segments = folder.names(".log").len();
    assert!(segments > 3);
    let done = disk.compress(folder.path(), 3, &mut |_| true).unwrap();
    assert_eq!((done.segments, folder.names(".log").len()), (segments - 1, 1));
    assert_eq!(folder.names(".zst").len(), segments - 1);
    assert!(done.stored * 10 < done.bytes * 6, "{done:?}");
    assert_eq!(everything(&reader), folder.events, "the store is open, and goes on");
    writer.step(vec![append("a-1", [event(99, "t", "{}")])]).remove(0).unwrap();
    assert_eq!(folder.compress(&disk), 0, "all are compressed");
    writer.close().unwrap();
    drop((writer, reader));
    let (_writer, reader) = open(folder.path(), &small());
    assert_eq!(everything(&reader).len(), 61, "the usual disk reads them");
    assert!(reader.verify(&mut |_| true).unwrap().findings.is_empty());
    let told = disk.segments(folder.path()).unwrap();
    assert_eq!(told.iter().filter(|one| one.is_packed).count(), segments - 1);
    let all = reader.statistics();
    assert!(all.get("segment_disk_bytes") < all.get("segment_bytes"));
    let stored: u64 = told.iter().rev().skip(1).map(|one| one.stored).sum();
    assert!(all.get("segment_disk_bytes") > Some(stored as f64));
}

#[test]
fn brought_back_every_byte_is_as_it_was() {
    let folder = Folder::new();
    let read = |name: &String| fs::read(folder.path().join(name)).unwrap();
    let before: Vec<_> = folder.names(".log").iter().map(read).collect();
    let disk = packed();
    let (writer, reader) = folder.open(&disk);
    let packed = folder.compress(&disk);
    assert_eq!(everything(&reader), folder.events);
    let back = disk.expand(folder.path(), &mut |_| true).unwrap();
    assert_eq!((back.segments, folder.names(".zst").len()), (packed, 0));
    assert_eq!(everything(&reader), folder.events, "who has them open reads them here");
    drop((writer, reader));
    assert_eq!(folder.names(".log").iter().map(read).collect::<Vec<_>>(), before);
    assert!(verify(folder.path(), &plain(), &mut |_| true).unwrap().findings.is_empty());
    assert_eq!(disk.expand(folder.path(), &mut |_| true).unwrap().segments, 0);
}

/// In ten years there may be no build of this, but there will be a zstd.
#[test]
fn any_tool_for_zstd_makes_the_plain_segment() {
    let folder = Folder::new();
    let before = fs::read(folder.file(".log")).unwrap();
    folder.compress(&packed());
    let stored = fs::read(folder.file(".zst")).unwrap();
    assert_eq!(zstd::stream::decode_all(&stored[..]).unwrap(), before);
}

#[test]
fn told_to_stop_it_leaves_nothing_unfinished() {
    let folder = Folder::packed();
    let disk = packed();
    disk.expand(folder.path(), &mut |_| false).unwrap();
    assert!(folder.names(".tmp").is_empty());
    let logs = folder.names(".log").len();
    let mut left = 1;
    let mut watch = |bytes: u64| {
        left = i64::max(left, 1) - i64::from(bytes > 0);
        left > 0
    };
    assert_eq!(disk.compress(folder.path(), 3, &mut watch).unwrap().segments, 0);
    assert_eq!((folder.names(".tmp").len(), folder.names(".log").len()), (0, logs));
    assert_eq!(everything(&folder.open(&disk).1), folder.events);
}

/// A crash came between the two names: the plain one counts, and the other goes.
#[test]
fn where_both_are_there_the_plain_one_is_the_segment() {
    let folder = Folder::new();
    let copies: Vec<_> = folder
        .names(".log")
        .iter()
        .map(|name| (name.clone(), fs::read(folder.path().join(name)).unwrap()))
        .collect();
    folder.compress(&packed());
    for (name, bytes) in copies {
        fs::write(folder.path().join(&name), bytes).unwrap();
    }
    for name in folder.names(".zst") {
        fs::write(folder.path().join(name), "no segment at all").unwrap();
    }
    let found = verify(folder.path(), &World::default(), &mut |_| true).unwrap();
    assert_eq!(found.findings.len(), folder.names(".zst").len());
    assert!(!found.is_damaged(), "{:?}", found.findings);
    let (_writer, reader) = folder.open(&packed());
    assert_eq!(everything(&reader), folder.events);
    assert!(folder.names(".zst").is_empty(), "opening clears what a crash left");
}

#[test]
fn a_disk_that_does_not_read_them_says_so_and_names_the_cure() {
    let folder = Folder::packed();
    let options = Options { world: plain(), ..small() };
    let refused = factum_log::open(folder.path(), options.clone()).unwrap_err();
    assert!(matches!(&refused, OpenError::Packed { file } if *file == folder.file(".zst")));
    assert!(refused.to_string().contains("feature `zstd`"), "{refused}");
    assert!(matches!(
        verify(folder.path(), &plain(), &mut |_| true),
        Err(OpenError::Packed { .. })
    ));
    // They would pass for gone.
    let what = quarantine::Quarantine { dir: folder.path(), segments: &[], keeps_whole: true };
    let refused = quarantine::quarantine(&what, &plain()).unwrap_err();
    assert!(refused.to_string().contains("feature `zstd`"), "{refused}");
    let compression = Compression::Zstd { level: 3 };
    let dir = tempfile::tempdir().unwrap();
    let refused = LogStore::open(dir.path(), Options { compression, ..options }).unwrap_err();
    assert!(refused.to_string().contains("put `PackedDisk` in front"), "{refused}");
}

fn put(store: &LogStore, id: u128) {
    let append = Append::to(name(&format!("b-{}", id % 3)), [event(id, "t", &data(id))]);
    block_on(store.append(append)).unwrap();
}

/// What is sealed before, while it is served, and written anew: each gets its turn.
#[test]
fn a_store_that_serves_compresses_in_the_background() {
    let folder = Folder::new();
    let options = Options { compression: Compression::Zstd { level: 1 }, ..small() };
    let store = LogStore::open(folder.path(), options).unwrap();
    let all_but_one = || folder.names(".log").len() == 1 && folder.names(".zst").len() > 3;
    wait("what was sealed before", all_but_one);
    for id in 100..160 {
        put(&store, id);
    }
    wait("what is sealed meanwhile", || {
        folder.names(".log").len() == 1 && folder.names(".zst").len() > 7
    });
    let sealed = folder.names(".zst").len() as f64;
    wait("its numbers", || {
        let all = store.reader().statistics();
        all.get("compressed_segments_total") == Some(sealed)
            && all.get("segment_disk_bytes") < all.get("segment_bytes")
    });
    assert_eq!(everything(&store.reader()).len(), 120);
    block_on(store.change(&name("a-1"), Change::Delete, None)).unwrap();
    let scavenge = ScavengeOptions { grace_s: 0, threshold_percent: 0, ..Default::default() };
    let maintenance = store.reader().maintenance();
    let report = maintenance.scavenge(&scavenge, &Stop::default(), &mut |_| ()).unwrap();
    drop(maintenance);
    assert!(report.segments_rewritten > 2, "{report:?}");
    wait("what was written anew", all_but_one);
    assert_eq!(store.reader().compression_trouble(), None);
    let left = all(&store.reader(), factum_core::Read::query(factum_core::Query::All));
    store.close();
    let (_writer, reader) = open(folder.path(), &small());
    assert_eq!(all(&reader, factum_core::Read::query(factum_core::Query::All)), left);
    assert!(reader.verify(&mut |_| true).unwrap().findings.is_empty());
}

/// Readers that hold a segment go on while its file becomes another, and back.
#[test]
fn segments_change_their_files_while_the_store_works() {
    let folder = Folder::new();
    let disk = packed();
    let options = Options { open_files_max: 3, ..on(&disk) };
    let store = LogStore::open(folder.path(), options).unwrap();
    std::thread::scope(|scope| {
        let turning = scope.spawn(|| {
            (0..20)
                .map(|_| {
                    let there = folder.compress(&disk);
                    there + disk.expand(folder.path(), &mut |_| true).unwrap().segments
                })
                .sum::<usize>()
        });
        for id in 100..160 {
            put(&store, id);
            assert_eq!(everything(&store.reader()).len(), id as usize - 39);
        }
        assert!(turning.join().unwrap() > 3);
    });
}

/// A segment that is compressed here is moved as it is read, and fetched back as it was.
#[test]
fn compressed_segments_move_to_object_storage_and_back() {
    let folder = Folder::packed();
    let storage = crate::tier::storage::Storage::default();
    let tier = TierDisk::new(Arc::new(packed()), Arc::new(storage.clone()), TierOptions::default());
    let nothing = Keep { bytes: 0, segments: 0 };
    let sealed = folder.names(".zst").len();
    let moved = tier.move_out(folder.path(), nothing, &mut || true).unwrap();
    assert_eq!((moved.segments, folder.names(".zst").len()), (sealed, 0));
    let world = World { disk: Arc::new(tier.clone()), ..World::default() };
    let (writer, reader) = open(folder.path(), &Options { world, ..small() });
    assert_eq!(everything(&reader), folder.events);
    tier.fetch_back(folder.path(), &mut || true).unwrap();
    assert_eq!(everything(&reader), folder.events);
    drop((writer, reader));
    assert_eq!(folder.names(".log").len(), sealed + 1);
    assert_eq!(folder.compress(&packed()), sealed);
    assert_eq!(everything(&folder.open(&packed()).1), folder.events);
}

/// Whoever sets a segment aside, by another name, sets aside what it is.
#[test]
fn a_compressed_segment_is_renamed_and_removed_as_a_file() {
    let folder = Folder::packed();
    let disk = packed();
    let segment = folder.path().join(folder.names(".zst")[0].strip_suffix(".zst").unwrap());
    let bytes = fs::read(folder.file(".zst")).unwrap();
    let aside = folder.path().join("aside");
    disk.rename(&segment, &aside).unwrap();
    assert_eq!(fs::read(folder.path().join("aside.zst")).unwrap(), bytes);
    assert!(disk.open(&segment, Mode::Read).is_err());
    disk.rename(&folder.path().join("aside.zst"), &folder.path().join("x")).unwrap();
    fs::rename(folder.path().join("x"), format!("{}.zst", segment.display())).unwrap();
    disk.remove(&segment).unwrap();
    assert!(disk.remove(&segment).is_err(), "it is gone");
}

#[test]
fn a_backup_of_a_compressed_store_has_plain_segments() {
    let folder = Folder::packed();
    let (_writer, reader) = folder.open(&packed());
    let target = tempfile::tempdir().unwrap();
    factum_log::backup::backup(&reader, target.path(), &World::default(), &mut |_| true).unwrap();
    let names = OsDisk.list(target.path()).unwrap();
    assert!(names.iter().all(|name| !name.ends_with(".zst")), "{names:?}");
    let report = verify(target.path(), &plain(), &mut |_| true).unwrap();
    assert!(!report.is_damaged(), "{:?}", report.findings);
    assert_eq!(Position(60), reader.head());
}
