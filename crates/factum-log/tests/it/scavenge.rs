//! Scavenging: what is hidden goes, and everything else answers as before.

use crate::tools::*;
use factum_core::{
    Change, Direction, Position, Query, Read, RecordedEvent, Revision, Select, StreamMetadata,
    StreamState, Subscribe, Timestamp,
};
use factum_log::{
    Job, Options, Reader, World, Writer,
    clock::Clock,
    disk::{Disk, File, Mode, OsDisk},
    rewrite::{MaintenanceError, ScavengeOptions, ScavengeReport, Stop},
};
use std::{
    any::Any,
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

/// Takes out all there is to take out.
fn thorough() -> ScavengeOptions {
    ScavengeOptions { grace_s: 0, threshold_percent: 0, ..ScavengeOptions::default() }
}

fn scavenge(reader: &Reader, options: &ScavengeOptions) -> ScavengeReport {
    reader.maintenance().scavenge(options, &Stop::default(), &mut |_| {}).unwrap()
}

fn change(writer: &mut Writer, stream: &str, change: Change) {
    let job = Job::change(name(stream), change, None, &Options::default().limits).unwrap();
    writer.step(vec![job]).pop().unwrap().unwrap();
}

fn put(writer: &mut Writer, stream: &str, id: u128) -> Revision {
    let job = append(stream, [event(id, "t", &"x".repeat(500))]);
    writer.step(vec![job]).pop().unwrap().unwrap().streams[0].last
}

/// Appends to a stream of its own until the segment is sealed.
fn seal(writer: &mut Writer, id: u128) {
    for n in 0.. {
        put(writer, "fill", id + n);
        if !writer.take_unindexed().is_empty() {
            return;
        }
    }
}

fn stream(reader: &Reader, stream: &str) -> (Option<StreamState>, Vec<RecordedEvent>) {
    let read = Read::select(Select::Stream(name(stream)));
    let state = reader.read(read.clone()).unwrap().state;
    let events = all(reader, read.clone());
    let mut reversed = all(reader, Read { direction: Direction::Backward, ..read });
    reversed.reverse();
    assert_eq!(reversed, events);
    (state, events)
}

const STREAMS: [&str; 7] = ["kept", "gone", "tomb", "cut", "few", "again", "fill"];

/// Two sealed segments with something of everything, and a newest one.
fn filled(dir: &Path, options: &Options) -> (Writer, Reader) {
    let (mut writer, reader) = open(dir, options);
    for n in 0..8 {
        for (stream, id) in STREAMS.iter().zip(1u128..).take(6) {
            put(&mut writer, stream, id * 1000 + n);
        }
    }
    change(&mut writer, "again", Change::Delete);
    seal(&mut writer, 50_000);
    let set = |metadata| Change::SetMetadata(metadata);
    let none = StreamMetadata::default;
    change(&mut writer, "gone", Change::Delete);
    change(&mut writer, "tomb", Change::Tombstone);
    change(&mut writer, "cut", set(StreamMetadata { truncate_before: Some(5), ..none() }));
    change(&mut writer, "few", set(StreamMetadata { max_count: Some(5), ..none() }));
    change(&mut writer, "few", set(StreamMetadata { max_count: Some(2), ..none() }));
    put(&mut writer, "again", 6_100);
    seal(&mut writer, 60_000);
    put(&mut writer, "kept", 1_100);
    (writer, reader)
}

fn answers(reader: &Reader) -> Vec<(Option<StreamState>, Vec<RecordedEvent>, StreamMetadata)> {
    let of = |one: &&str| {
        let (state, events) = stream(reader, one);
        (state, events, reader.metadata(&name(one)).unwrap())
    };
    STREAMS.iter().map(of).collect()
}

/// (stream, revision) of everything, read in both directions.
fn places(reader: &Reader) -> Vec<(String, u64)> {
    let read = Read::query(Query::All);
    let events = all(reader, read.clone());
    let mut reversed = all(reader, Read { direction: Direction::Backward, ..read });
    reversed.reverse();
    assert_eq!(reversed, events);
    assert!(events.iter().map(RecordedEvent::position).is_sorted());
    let place = |event: &RecordedEvent| (event.stream().to_string(), event.revision().0);
    events.iter().map(place).filter(|(stream, _)| stream != "fill").collect()
}

#[test]
fn what_is_hidden_goes_and_every_stream_answers_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = filled(dir.path(), &small());
    let before = answers(&reader);
    let everything_before = all(&reader, Read::query(Query::All));
    let report = scavenge(&reader, &thorough());
    assert_eq!((report.segments, report.segments_rewritten), (2, 2));
    assert_eq!(report.events_emptied, 1, "the last of `gone`");
    assert!(report.bytes_freed > 15_000, "{report:?}");
    let check = |reader: &Reader| {
        assert_eq!(answers(reader), before);
        let left = places(reader);
        let of = |one: &str| -> Vec<u64> {
            left.iter().filter(|(stream, _)| stream == one).map(|(_, at)| *at).collect()
        };
        assert_eq!(of("kept"), (0..=8).collect::<Vec<_>>());
        assert_eq!(of("gone"), [7], "its place: the stream goes on from here");
        assert_eq!(of("tomb"), [8], "the tombstone");
        assert_eq!(of("cut"), [5, 6, 7]);
        assert_eq!(of("few"), [6, 7]);
        assert_eq!(of("again"), [8]);
        assert_eq!((of("$$few"), of("$$again")), (vec![1], vec![1]), "what was said last");
        let all_left = all(reader, Read::query(Query::All));
        let emptied = all_left.iter().find(|one| one.stream().as_str() == "gone").unwrap();
        assert_eq!((emptied.event_type().as_str(), emptied.data()), ("$scavenged", &b"{}"[..]));
        for event in all_left.iter().filter(|one| one.stream().as_str() != "gone") {
            assert!(everything_before.contains(event), "{event:?} is as it was");
        }
    };
    check(&reader);
    let verified = reader.verify(&mut |_| true).unwrap();
    assert_eq!(verified.findings, []);
    let again = scavenge(&reader, &thorough());
    assert_eq!((again.segments_rewritten, again.bytes_freed), (0, 0), "nothing is left to do");
    // Opened again, with and without index files.
    writer.close().unwrap();
    drop((writer, reader));
    drop(open(dir.path(), &small()));
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|one| one == "idx") {
            fs::remove_file(file).unwrap();
        }
    }
    let (mut writer, reader) = open(dir.path(), &small());
    assert_eq!(writer.read_only(), None);
    check(&reader);
    // Revisions and positions go on.
    assert_eq!(put(&mut writer, "gone", 77_001), Revision(8));
    assert_eq!(put(&mut writer, "cut", 77_002), Revision(8));
    assert_eq!(stream(&reader, "gone").1.len(), 1);
    assert_eq!(reader.head(), Position(everything_before.len() as u64 + 3));
}

#[test]
fn reads_that_had_begun_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (_writer, reader) = filled(dir.path(), &small());
    let mut of_stream = reader.read(Read::select(Select::Stream(name("cut")))).unwrap().cursor;
    let subscribe = Subscribe { select: Select::Query(Query::All), after: None };
    let mut of_all = reader.subscribe(subscribe).unwrap();
    assert_eq!(scavenge(&reader, &thorough()).segments_rewritten, 2);
    assert_eq!(of_stream.next_batch().unwrap().events.len(), 3);
    let batch = of_all.next_batch().unwrap();
    assert_eq!(batch.through, reader.head());
    assert_eq!(batch.events, all(&reader, Read::query(Query::All)));
}

/// A clock that is set by hand.
#[derive(Debug, Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed) * 1_000_000_000)
    }
}

#[test]
fn what_was_recorded_within_the_grace_stays_and_age_counts_from_then() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Set::default());
    let world = World { clock: clock.clone(), ..World::default() };
    let (mut writer, reader) = open(dir.path(), &Options { world, ..small() });
    let day = 24 * 3600;
    for n in 0u8..10 {
        clock.0.store(i64::from(n) * day, Ordering::Relaxed);
        put(&mut writer, "old", 1 + u128::from(n));
    }
    let aged = StreamMetadata { max_age_s: Some(2 * 24 * 3600), ..StreamMetadata::default() };
    change(&mut writer, "old", Change::SetMetadata(aged));
    seal(&mut writer, 50_000);
    let before = stream(&reader, "old");
    assert_eq!(before.1.len(), 3, "recorded on the days 7, 8 and 9");
    let options = ScavengeOptions { threshold_percent: 0, ..ScavengeOptions::default() };
    let report = scavenge(&reader, &options);
    assert_eq!((report.events_removed, report.events_in_grace), (3, 4), "7 days of grace");
    let report = scavenge(&reader, &thorough());
    assert_eq!((report.events_removed, report.events_in_grace), (4, 0));
    assert_eq!(stream(&reader, "old"), before);
    clock.0.store(100 * day, Ordering::Relaxed);
    let report = scavenge(&reader, &thorough());
    assert_eq!((report.events_removed, report.events_emptied), (2, 1), "all are too old now");
    assert_eq!(put(&mut writer, "old", 99), Revision(10));
    assert_eq!(stream(&reader, "old").1.len(), 1);
}

#[test]
fn a_segment_that_would_free_little_is_left_alone_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let (_writer, reader) = filled(dir.path(), &small());
    let options = ScavengeOptions { threshold_percent: 90, ..thorough() };
    let report = scavenge(&reader, &options);
    assert_eq!((report.segments_rewritten, report.segments_below_threshold), (0, 2));
    assert!(report.bytes_below_threshold > 10_000, "{report:?}");
}

/// A segment all of whose events go keeps its place.
#[test]
fn a_segment_without_events_keeps_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    seal(&mut writer, 1);
    let sealed = reader.head().0 - 1;
    let cut = StreamMetadata { truncate_before: Some(sealed), ..StreamMetadata::default() };
    change(&mut writer, "fill", Change::SetMetadata(cut));
    let moment = all(&reader, Read::query(Query::All))[3].recorded_at();
    assert_eq!(scavenge(&reader, &thorough()).events_removed, sealed);
    let check = |reader: &Reader| {
        let events = all(reader, Read::query(Query::All));
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].position().0, sealed + 1);
        let read = Read { from: Some(3), ..Read::query(Query::All) };
        assert_eq!(all(reader, read.clone()), events);
        assert_eq!(all(reader, Read { direction: Direction::Backward, ..read }), []);
        let as_of = factum_core::AsOf::Recorded(moment);
        assert_eq!(all(reader, Read { as_of, ..Read::query(Query::All) }), []);
    };
    check(&reader);
    drop((writer, reader));
    let (writer, reader) = open(dir.path(), &small());
    assert_eq!(writer.read_only(), None);
    check(&reader);
}

#[test]
fn there_is_one_at_a_time_and_it_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (_writer, reader) = filled(dir.path(), &small());
    let before = places(&reader);
    let stop = Stop::default();
    let maintenance = reader.maintenance();
    let report = maintenance.scavenge(&thorough(), &stop, &mut |report| {
        let second = maintenance.scavenge(&thorough(), &stop, &mut |_| {});
        assert!(matches!(second, Err(MaintenanceError::Busy)), "{second:?}");
        if report.segments_done == 1 {
            stop.stop();
        }
    });
    let report = report.unwrap();
    assert!(report.stopped);
    assert_eq!((report.segments_done, report.segments_rewritten), (1, 1));
    let between = places(&reader);
    assert!(between.len() < before.len());
    assert_eq!(scavenge(&reader, &thorough()).segments_rewritten, 1, "the other");
    assert!(places(&reader).len() < between.len());
}

/// A disk that is full for new logs.
#[derive(Debug, Default)]
struct Full(AtomicBool);

#[derive(Debug)]
struct FullFile(Box<dyn File>);

impl File for FullFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Disk for Full {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        let file = OsDisk.open(path, mode)?;
        let is_new = mode == Mode::Create && self.0.load(Ordering::Relaxed);
        Ok(if is_new { Box::new(FullFile(file)) } else { file })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        OsDisk.lock(path)
    }
}

#[test]
fn a_full_disk_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Full::default());
    let world = World { disk: disk.clone(), ..World::default() };
    let (mut writer, reader) = filled(dir.path(), &Options { world, ..small() });
    let before = all(&reader, Read::query(Query::All));
    disk.0.store(true, Ordering::Relaxed);
    let error = reader.maintenance().scavenge(&thorough(), &Stop::default(), &mut |_| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains(".log.tmp"), "{error}");
    assert_eq!(all(&reader, Read::query(Query::All)), before);
    let names = OsDisk.list(dir.path()).unwrap();
    assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
    put(&mut writer, "kept", 1_200);
    disk.0.store(false, Ordering::Relaxed);
    assert_eq!(scavenge(&reader, &thorough()).segments_rewritten, 2);
}

/// A flipped bit in a sealed segment: it is left as it is, and named; the others are done.
#[test]
fn a_damaged_segment_is_left_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (_writer, reader) = filled(dir.path(), &small());
    let path = dir.path().join("00000000000000000001.log");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let report = scavenge(&reader, &thorough());
    assert_eq!((report.segments_done, report.segments_rewritten), (2, 1));
    assert!(report.unreadable[0].contains("00000000000000000001.log at offset"), "{report:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}
