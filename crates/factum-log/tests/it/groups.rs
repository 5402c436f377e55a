//! Groups, syncs, and what happens when the disk refuses: told by a disk that counts and fails.

use crate::tools::*;
use factum_core::{Append, AppendError, Check, Expected, Position, Query, Revision};
use factum_log::{
    Job, Options, World, Writer,
    disk::{Disk, File, Mode, OsDisk},
};
use std::{
    any::Any,
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The disk of the system, which counts syncs and fails when told to.
#[derive(Debug, Default, Clone)]
struct Watched {
    syncs: Arc<AtomicU64>,
    fail_write: Arc<Mutex<Option<io::ErrorKind>>>,
    fail_sync: Arc<Mutex<Option<io::ErrorKind>>>,
}

impl Watched {
    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    fn options(&self) -> Options {
        let world = World { disk: Arc::new(self.clone()), ..World::default() };
        Options { world, ..Options::default() }
    }
}

impl Disk for Watched {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        let file = OsDisk.open(path, mode)?;
        Ok(Box::new(WatchedFile { file, disk: self.clone() }))
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

#[derive(Debug)]
struct WatchedFile {
    file: Box<dyn File>,
    disk: Watched,
}

impl File for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let kind = *self.disk.fail_write.lock().unwrap();
        // A full disk still takes what overwrites bytes that it has.
        let is_inside = offset + bytes.len() as u64 <= self.file.len()?;
        match kind {
            Some(io::ErrorKind::StorageFull) if is_inside => {}
            Some(kind) => return Err(kind.into()),
            None => {}
        }
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        let kind = *self.disk.fail_sync.lock().unwrap();
        kind.map_or_else(|| self.file.sync(), |kind| Err(kind.into()))
    }
}

fn one(writer: &mut Writer, id: u128) -> Result<Position, AppendError> {
    let job = append("s-1", [event(id, "t", "{}")]);
    writer.step(vec![job]).pop().unwrap().map(|receipt| receipt.position)
}

fn expecting(id: u128, revision: u64) -> Job {
    let check = Check::Stream { stream: name("s-1"), expected: Expected::At(Revision(revision)) };
    let append = Append::to(name("s-1"), [event(id, "t", "{}")]).checking(check);
    Job::append(append, &Options::default().limits).unwrap()
}

#[test]
fn a_group_has_one_sync_and_a_group_that_writes_nothing_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Watched::default();
    let (mut writer, _reader) = open(dir.path(), &disk.options());
    one(&mut writer, 1).unwrap();
    let before = disk.syncs();
    let jobs = (2..=50).map(|n| append("s-1", [event(n, "t", "{}")])).collect();
    assert!(writer.step(jobs).iter().all(Result::is_ok));
    assert_eq!(disk.syncs() - before, 1);
    // A retry and a refusal.
    let replies = writer.step(vec![append("s-1", [event(1, "t", "{}")]), expecting(99, 3)]);
    assert!(replies[0].as_ref().unwrap().replayed);
    assert!(matches!(replies[1], Err(AppendError::Conflict { .. })));
    assert_eq!(disk.syncs() - before, 1);
}

#[test]
fn a_failed_sync_answers_unknown_and_nothing_more_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Watched::default();
    let (mut writer, reader) = open(dir.path(), &disk.options());
    one(&mut writer, 1).unwrap();
    *disk.fail_sync.lock().unwrap() = Some(io::ErrorKind::Other);
    // The third is refused because of the second, which may never have been: no answer from that.
    let replies = writer.step(vec![append("s-1", [event(2, "t", "{}")]), expecting(3, 0)]);
    assert!(matches!(replies[0], Err(AppendError::Unknown { .. })), "{replies:?}");
    assert!(matches!(replies[1], Err(AppendError::ReadOnly { .. })), "{replies:?}");
    *disk.fail_sync.lock().unwrap() = None;
    let syncs = disk.syncs();
    let refused = one(&mut writer, 4).unwrap_err();
    let AppendError::ReadOnly { why } = &refused else { panic!("{refused}") };
    assert!(why.contains(".log") && why.contains("until the store is opened again"), "{why}");
    assert_eq!(disk.syncs(), syncs, "a sync is never tried again");
    assert_eq!(everything(&reader).len(), 1, "reads go on, up to what is durable");
    drop((writer, reader));
    let (mut writer, reader) = open(dir.path(), &disk.options());
    let found = everything(&reader).len();
    assert!((1..=2).contains(&found), "the unknown one is there, or is not");
    let retried = one(&mut writer, 2).unwrap();
    assert_eq!(retried, Position(2), "its retry is answered as the first time either way");
    assert_eq!(everything(&reader).len(), 2);
}

#[test]
fn a_failed_write_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Watched::default();
    let (mut writer, reader) = open(dir.path(), &disk.options());
    one(&mut writer, 1).unwrap();
    *disk.fail_write.lock().unwrap() = Some(io::ErrorKind::Other);
    assert!(matches!(one(&mut writer, 2), Err(AppendError::Unknown { .. })));
    *disk.fail_write.lock().unwrap() = None;
    assert!(matches!(one(&mut writer, 2), Err(AppendError::ReadOnly { .. })));
    assert_eq!(everything(&reader).len(), 1);
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Watched::default();
    let (mut writer, reader) = open(dir.path(), &disk.options());
    *disk.fail_write.lock().unwrap() = Some(io::ErrorKind::StorageFull);
    let refused = one(&mut writer, 1).unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    assert!(refused.to_string().contains("free some space and retry"), "{refused}");
    assert_eq!(reader.head(), Position(0));
    *disk.fail_write.lock().unwrap() = None;
    assert_eq!(one(&mut writer, 1), Ok(Position(1)));
    assert_eq!(everything(&reader).len(), 1);
}

#[test]
fn a_full_disk_at_the_end_of_a_segment_is_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Watched::default();
    let options = Options { segment_bytes: 64 << 10, ..disk.options() };
    let (mut writer, reader) = open(dir.path(), &options);
    let fill = |writer: &mut Writer, id| {
        let job = append("s-1", [event(id, "t", &"x".repeat(900))]);
        writer.step(vec![job]).pop().unwrap()
    };
    let (mut id, mut refused) = (0, 0);
    while std::fs::read_dir(dir.path()).unwrap().count() < 3 {
        id += 1;
        // All of the segment is zeroed by now, so that only the next segment needs space.
        *disk.fail_write.lock().unwrap() = (id > 50).then_some(io::ErrorKind::StorageFull);
        let reply = fill(&mut writer, id);
        *disk.fail_write.lock().unwrap() = None;
        if let Err(error) = reply {
            refused += 1;
            assert!(error.is_retryable(), "{error}");
            // A small one still finds room in the old segment.
            let small = append("s-1", [event(1000, "t", "")]);
            writer.step(vec![small]).pop().unwrap().unwrap();
            fill(&mut writer, id).unwrap();
        }
        assert!(id < 100, "the segment never ends");
    }
    assert_eq!(refused, 1);
    let before = everything(&reader);
    assert_eq!(before.len(), id as usize + 1);
    drop((writer, reader));
    let (_writer, reader) = open(dir.path(), &options);
    assert_eq!(everything(&reader), before);
}

#[test]
fn a_query_condition_sees_the_appends_of_its_own_group() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _reader) = open(dir.path(), &Options::default());
    let seat = |id: u128| {
        let tag = factum_core::Tag::new("seat:1").unwrap();
        let query = Query::tag(tag.clone());
        let event = event(id, "taken", "{}").with_tags([tag]);
        let append = Append::to(name(&format!("u-{id}")), [event])
            .checking(Check::NoMatch { query, after: Position(0) });
        Job::append(append, &Options::default().limits).unwrap()
    };
    let replies = writer.step((1..=8).map(seat).collect());
    assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 1);
}

/// Cause: opening wrote the index files that were missing, and gave up where it could not, so that
/// a disk that had filled up kept the store from opening at all. Fix: without its file an index
/// stays in memory.
#[test]
fn a_full_disk_does_not_keep_a_store_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Watched::default();
    let options = Options { segment_bytes: 64 << 10, ..disk.options() };
    let (mut writer, reader) = open(dir.path(), &options);
    for n in 1..=200 {
        // Index files are not written: nobody takes what is to be indexed.
        let job = append("s-1", [event(n, "t", &"x".repeat(900))]);
        writer.step(vec![job]).pop().unwrap().unwrap();
    }
    let before = everything(&reader);
    drop((writer, reader));
    *disk.fail_write.lock().unwrap() = Some(io::ErrorKind::StorageFull);
    let (writer, reader) = open(dir.path(), &options);
    assert_eq!(everything(&reader), before);
    assert_eq!(writer.read_only(), None);
}

/// Cause: the update of a source that is known was counted as one more source. Fix: only new ones
/// are counted.
#[test]
fn a_known_source_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { sources_max: 3, ..Options::default() };
    let (mut writer, _reader) = open(dir.path(), &options);
    let track = |source: &str, position| {
        let append = Append::default().tracking(source, position);
        Job::append(append, &Options::default().limits).unwrap()
    };
    let jobs = vec![track("a", 1), track("b", 1), track("a", 2), track("b", 2), track("c", 1)];
    assert!(writer.step(jobs).iter().all(Result::is_ok));
    let replies = writer.step(vec![track("a", 3), track("b", 3), track("d", 1), track("c", 2)]);
    let refused = replies.iter().map(Result::is_err).collect::<Vec<_>>();
    assert_eq!(refused, [false, false, true, false]);
}
