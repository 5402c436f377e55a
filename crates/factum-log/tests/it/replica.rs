//! Replicas: what one store has, another serves, byte for byte; nothing is mixed that is not one
//! history.

use crate::tools::*;
use factum_core::{
    Append, AppendError, Change, EventStore, Limits, Position, Query, Read, ReadError, Select,
    Stream, Subscribe,
};
use factum_log::{
    Job, LogStore, Options, Reader, Writer,
    copy::{Held, Inventory, Length, Source, SourceError},
    quarantine::{Quarantine, quarantine},
    replica::{Replica, ReplicaError},
    rewrite::{EraseError, EraseRequest, MaintenanceError, ScavengeOptions, Stop},
    store::Follow,
    verify::verify,
};
use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A folder for a store, and some for replicas.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Appends of one event of this many bytes, each a group.
fn fill(writer: &mut Writer, ids: Range<u128>, bytes: usize) {
    for id in ids {
        let data = format!("\"{}\"", "x".repeat(bytes));
        let job = append(&format!("s-{}", id % 3), [event(id + 1, "t", &data)]);
        writer.step(vec![job]).pop().unwrap().unwrap();
    }
    writer.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
}

fn replica(dir: &Path, source: &dyn Source) -> Result<(Replica, Reader), ReplicaError> {
    Replica::open((dir, small()), source, "write elsewhere".into())
}

/// Follows to the end; how many things were done.
fn follow(replica: &mut Replica, source: &dyn Source) -> Result<usize, ReplicaError> {
    let mut steps = 0;
    while replica.step(source, &source.inventory()?)? {
        steps += 1;
        replica.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
    }
    Ok(steps)
}

/// A replica that has all, and is closed.
fn copied(dir: &Path, source: &Reader) {
    let (mut replica, reader) = replica(dir, source).unwrap();
    follow(&mut replica, source).unwrap();
    assert_eq!(everything(&reader), everything(source));
    replica.close();
}

/// The bytes of the folder's segments, without zeroes at their ends.
fn segments(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(dir).unwrap().map(|one| one.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".log"));
    names.sort();
    let content = |name: String| {
        let mut bytes = fs::read(dir.join(&name)).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(end);
        (name, bytes)
    };
    names.into_iter().map(content).collect()
}

#[test]
fn a_replica_is_its_source_byte_for_byte_and_goes_on_where_it_was() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &small());
    fill(&mut writer, 0..150, 900);
    copied(&place.at("copy"), &source);
    assert_eq!(segments(&place.at("copy")), segments(&place.at("store")));
    // Opened again it has lost nothing, added nothing, and goes on.
    fill(&mut writer, 150..260, 900);
    copied(&place.at("copy"), &source);
    writer.close().unwrap();
    copied(&place.at("copy"), &source);
    assert!(segments(&place.at("copy")).len() > 3);
    assert_eq!(segments(&place.at("copy")), segments(&place.at("store")));
    let report = verify(&place.at("copy"), &small().world, &mut |_| true).unwrap();
    assert!(!report.is_damaged(), "{:?}", report.findings);
}

#[test]
fn tracked_positions_and_appends_without_events_come_too() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &small());
    let (mut replica, reader) = replica(&place.at("copy"), &source).unwrap();
    for position in [3, 9] {
        let append = Append::default().tracking("orders", position);
        let job = Job::append(append, &Limits::default()).unwrap();
        writer.step(vec![job]).pop().unwrap().unwrap();
        follow(&mut replica, &source).unwrap();
        assert_eq!(reader.tracked("orders").unwrap(), Some(position));
    }
    assert_eq!(reader.head(), Position(0));
}

/// Cause to look: a frame says that what is before it is durable, which a replica has to make true
/// before it writes that frame; one sync a group of the source is the price.
#[test]
fn a_replica_that_is_near_grows_and_one_that_is_far_behind_is_written_anew() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &small());
    let (mut replica, reader) = replica(&place.at("copy"), &source).unwrap();
    let syncs = || reader.statistics().get("syncs_total").unwrap();
    fill(&mut writer, 0..2, 900);
    follow(&mut replica, &source).unwrap();
    assert_eq!(syncs(), 2.0, "one for each group");
    fill(&mut writer, 2..40, 900);
    assert_eq!(follow(&mut replica, &source).unwrap(), 1);
    assert_eq!(syncs(), 2.0, "the file was written anew");
    assert_eq!(everything(&reader), everything(&source));
}

#[test]
fn an_append_that_is_longer_than_a_piece_comes_whole() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &Options::default());
    let (mut replica, reader) =
        Replica::open((&place.at("copy"), Options::default()), &source, "".into()).unwrap();
    let data = format!("\"{}\"", "x".repeat(3 << 20));
    let job = append("s-1", [event(1, "t", &data), event(2, "t", "{}")]);
    writer.step(vec![job]).pop().unwrap().unwrap();
    follow(&mut replica, &source).unwrap();
    assert_eq!(everything(&reader), everything(&source));
    assert_eq!(reader.head(), Position(2));
}

#[test]
fn what_the_source_scavenges_and_erases_goes_here_too_and_reads_go_on() {
    let place = Place::new();
    let store = LogStore::open(&place.at("store"), small()).unwrap();
    let source = store.reader();
    let data = format!("\"{}\"", "x".repeat(900));
    for id in 0..150 {
        let stream = name(&format!("s-{}", id % 3));
        block_on(store.append(Append::to(stream, [event(id + 1, "t", &data)]))).unwrap();
    }
    let (mut replica, reader) = replica(&place.at("copy"), &source).unwrap();
    follow(&mut replica, &source).unwrap();
    let mut reading = reader.read(Read::query(Query::All)).unwrap().cursor;
    block_on(store.change(&name("s-1"), Change::Delete, None)).unwrap();
    let options = ScavengeOptions { grace_s: 0, threshold_percent: 0, ..Default::default() };
    source.maintenance().scavenge(&options, &Stop::default(), &mut |_| ()).unwrap();
    let request = EraseRequest {
        stream: name("s-2"),
        revision: factum_core::Revision(3),
        reason: "why".into(),
        by: "test".into(),
    };
    block_on(store.erase(request)).unwrap();
    follow(&mut replica, &source).unwrap();
    assert_eq!(segments(&place.at("copy")), segments(&place.at("store")));
    let all_of = |reader: &Reader| all(reader, Read::query(Query::All));
    assert_eq!(all_of(&reader), all_of(&source));
    assert!(all_of(&reader).iter().any(|event| event.event_type().as_str() == "$erased"));
    // What had begun goes on, in the old file or the new one.
    let mut read = 0;
    while !reading.next_batch().unwrap().caught_up {
        read += 1;
    }
    assert!(read < 100);
}

/// A source that is away now and then.
struct Flaky {
    reader: Reader,
    is_away: AtomicBool,
}

impl Flaky {
    fn here<T>(&self, ask: impl FnOnce() -> Result<T, SourceError>) -> Result<T, SourceError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(SourceError::Unreachable { why: "it is away".into() }),
            false => ask(),
        }
    }
}

impl Source for Flaky {
    fn name(&self, of: &Held) -> PathBuf {
        self.reader.name(of)
    }

    fn inventory(&self) -> Result<Inventory, SourceError> {
        self.here(|| self.reader.inventory())
    }

    fn news(&self, seen: Length, from: u64) -> Result<Inventory, SourceError> {
        self.here(|| self.reader.news(seen, from))
    }

    fn piece(&self, of: &Held, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        self.here(|| self.reader.piece(of, range))
    }
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn serve(dir: &Path, source: Arc<Flaky>) -> Result<LogStore, ReplicaError> {
    LogStore::follow(dir, small(), Follow { source, name: "factum://source:1".into() })
}

#[test]
fn a_served_replica_is_live_outlives_its_source_and_takes_no_writes() {
    let place = Place::new();
    let store = LogStore::open(&place.at("store"), small()).unwrap();
    let source = Arc::new(Flaky { reader: store.reader(), is_away: AtomicBool::new(false) });
    let append = |id| Append::to(name("s-1"), [event(id, "t", "{}")]);
    block_on(store.append(append(1))).unwrap();
    let copy = serve(&place.at("copy"), source.clone()).unwrap();
    let subscribe = Subscribe { select: Select::Query(Query::All), after: None };
    let mut live = block_on(copy.subscribe(subscribe)).unwrap();
    let mut next = || {
        loop {
            let next = std::future::poll_fn(|context| Pin::new(&mut live).poll_next(context));
            let batch = block_on(next).unwrap().unwrap();
            if !batch.events.is_empty() {
                return batch.through;
            }
        }
    };
    assert_eq!(next(), Position(1));
    block_on(store.append(append(2))).unwrap();
    assert_eq!(next(), Position(2));
    eventually("it is level", || copy.lag().unwrap().behind.is_zero());

    let refused = block_on(copy.append(append(3))).unwrap_err();
    let AppendError::ReadOnly { why } = &refused else { panic!("{refused:?}") };
    let says = "this is a replica of factum://source:1: write to factum://source:1 instead";
    assert_eq!(&**why, says);
    let refused = block_on(copy.change(&name("s-1"), Change::Delete, None)).unwrap_err();
    assert_eq!(refused, AppendError::ReadOnly { why: says.into() });
    let options = ScavengeOptions::default();
    let scavenged = copy.reader().maintenance().scavenge(&options, &Stop::default(), &mut |_| ());
    assert!(matches!(scavenged, Err(MaintenanceError::ReadOnly { .. })), "{scavenged:?}");
    let (stream, revision) = (name("s-1"), factum_core::Revision(0));
    let request = EraseRequest { stream, revision, reason: "why".into(), by: String::new() };
    let erased = block_on(copy.erase(request));
    assert!(
        matches!(erased, Err(EraseError::Maintenance(MaintenanceError::ReadOnly { .. }))),
        "{erased:?}"
    );

    source.is_away.store(true, Ordering::SeqCst);
    block_on(store.append(append(4))).unwrap();
    eventually("it is missed", || copy.lag().unwrap().trouble.is_some());
    let lag = copy.lag().unwrap();
    assert!(lag.trouble.unwrap().starts_with("the source does not answer: it is away: start"));
    assert!(!lag.is_stopped && !copy.lag().unwrap().behind.is_zero());
    assert_eq!(block_on(copy.statistics()).unwrap().get("replica_connected"), Some(0.0));
    let seen = block_on(copy.head()).unwrap();
    drop(live);
    copy.close();
    // Without its source it opens, and serves what it has.
    let copy = serve(&place.at("copy"), source.clone()).unwrap();
    assert!(block_on(copy.head()).unwrap() >= seen);
    source.is_away.store(false, Ordering::SeqCst);
    eventually("it goes on", || block_on(copy.head()).unwrap() == Position(3));
    assert_eq!(
        block_on(copy.read(Read { at_least: Some(Position(3)), ..Read::query(Query::All) }))
            .unwrap()
            .head,
        Position(3)
    );
}

#[test]
fn a_replica_follows_a_replica_and_is_a_store_when_it_is_opened_as_one() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &small());
    fill(&mut writer, 0..100, 900);
    let (mut first, of_first) = replica(&place.at("first"), &source).unwrap();
    follow(&mut first, &source).unwrap();
    copied(&place.at("second"), &of_first);
    drop((first, of_first, writer, source));

    // The second one takes the place of the store; the first one follows it from then on.
    let (mut writer, promoted) = open(&place.at("second"), &small());
    assert_eq!(writer.read_only(), None);
    fill(&mut writer, 200..300, 900);
    copied(&place.at("first"), &promoted);
    // And the store that was, as it wrote nothing more.
    copied(&place.at("store"), &promoted);
}

#[test]
fn another_store_an_older_copy_and_another_history_are_refused_and_change_nothing() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &small());
    fill(&mut writer, 0..80, 900);
    copied(&place.at("copy"), &source);
    copied(&place.at("old"), &source);
    fill(&mut writer, 80..90, 900);
    copied(&place.at("copy"), &source);
    copied(&place.at("forked"), &source);
    drop((writer, source));
    let before = segments(&place.at("copy"));
    let refused = |source: &Reader| {
        let (mut replica, reader) = replica(&place.at("copy"), source).unwrap();
        let error = follow(&mut replica, source).unwrap_err();
        assert!(error.is_unlike() && !error.is_final(), "{error:?}");
        assert_eq!(everything(&reader).len(), 90, "it serves what it has");
        drop((replica, reader));
        assert_eq!(segments(&place.at("copy")), before);
        error
    };
    let (_writer, old) = open(&place.at("old"), &small());
    let error = refused(&old);
    assert!(matches!(error, ReplicaError::Ahead { here: Position(90), .. }), "{error:?}");

    let (mut writer, other) = open(&place.at("other"), &small());
    fill(&mut writer, 0..95, 900);
    assert!(matches!(refused(&other), ReplicaError::OtherStore { .. }));

    // One event is another, of the same length, and then they are as long as each other.
    let (mut writer, forked) = open(&place.at("forked"), &small());
    fill(&mut writer, 500..501, 900);
    let (mut of_copy, here) = open(&place.at("copy"), &small());
    fill(&mut of_copy, 600..601, 900);
    drop((of_copy, here));
    let (mut replica, _) = replica(&place.at("copy"), &forked).unwrap();
    let error = follow(&mut replica, &forked).unwrap_err();
    assert!(matches!(error, ReplicaError::Diverged { .. }), "{error:?}");
    fill(&mut writer, 501..600, 900);
    let error = follow(&mut replica, &forked).unwrap_err();
    assert!(matches!(error, ReplicaError::Diverged { .. }), "{error:?}");
    let seen = Follow { source: Arc::new(forked), name: "factum://other:1".into() };
    drop(replica);
    let error = LogStore::follow(&place.at("copy"), small(), seen).unwrap_err();
    assert!(error.is_unlike(), "{error:?}");
}

#[test]
fn what_the_source_has_lost_stays_where_it_is_not_lost() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &small());
    fill(&mut writer, 0..150, 900);
    writer.close().unwrap();
    copied(&place.at("copy"), &source);
    drop((writer, source));
    let path = place.at("store").join("00000000000000000001.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let what = Quarantine { dir: &place.at("store"), segments: &[], keeps_whole: true };
    assert_eq!(quarantine(&what, &small().world).unwrap().len(), 1);

    let (mut writer, source) = open(&place.at("store"), &small());
    assert_eq!(writer.read_only(), None);
    fill(&mut writer, 200..210, 900);
    let (mut kept, reader) = replica(&place.at("copy"), &source).unwrap();
    for _ in 0..2 {
        let error = follow(&mut kept, &source).unwrap_err();
        assert!(matches!(error, ReplicaError::SourceLost { .. }), "{error:?}");
        assert!(error.cure().contains("take the source's place"));
    }
    // What comes is followed, and what was there is there.
    assert_eq!(everything(&reader).len(), 160);
    // A new one has what there is: the loss too.
    let (mut anew, reader) = replica(&place.at("anew"), &source).unwrap();
    follow(&mut anew, &source).unwrap();
    assert_eq!(reader.head(), Position(160));
    assert_eq!(segments(&place.at("anew")), segments(&place.at("store")));
}

#[test]
fn a_torn_end_is_fetched_again_and_damage_is_refused() {
    let place = Place::new();
    let (mut writer, source) = open(&place.at("store"), &small());
    fill(&mut writer, 0..30, 900);
    let (mut first, reader) = replica(&place.at("copy"), &source).unwrap();
    follow(&mut first, &source).unwrap();
    drop((first, reader));
    let path = place.at("copy").join("00000000000000000001.log");
    let whole = fs::read(&path).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut torn = whole.clone();
    torn[end - 100..=end].fill(7);
    fs::write(&path, torn).unwrap();
    copied(&place.at("copy"), &source);
    assert_eq!(segments(&place.at("copy")), segments(&place.at("store")));

    let mut bad = whole;
    bad[6000] ^= 1;
    fs::write(&path, bad).unwrap();
    let error = replica(&place.at("copy"), &source).unwrap_err();
    let ReplicaError::Damaged { why, .. } = &error else { panic!("{error:?}") };
    assert!(why.contains("00000000000000000001.log at offset"), "{why}");
    assert!(error.is_final() && error.cure().contains("move the folder away"));
}

#[test]
fn without_its_source_a_folder_that_is_empty_stays_so() {
    let place = Place::new();
    let store = LogStore::open(&place.at("store"), small()).unwrap();
    let source = Arc::new(Flaky { reader: store.reader(), is_away: AtomicBool::new(true) });
    let error = serve(&place.at("copy"), source.clone()).unwrap_err();
    assert!(matches!(error, ReplicaError::Source(SourceError::Unreachable { .. })), "{error:?}");
    source.is_away.store(false, Ordering::SeqCst);
    let copy = serve(&place.at("copy"), source).unwrap();
    let (dir, again) = (place.at("copy"), place.at("again"));
    assert!(matches!(
        replica(&dir, &store.reader()),
        Err(ReplicaError::Open(factum_log::OpenError::Locked { .. }))
    ));
    drop(copy);
    assert!(!again.exists());
    let closed = block_on(store.read(Read::query(Query::All)));
    assert!(!matches!(closed, Err(ReadError::Damaged { .. })));
}
