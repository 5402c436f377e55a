//! Opening after a crash at an awkward moment: what the simulation found, each as its own test.

use crate::tools::*;
use factum_core::{Append, Limits};
use factum_log::{
    Job, Options, World, Writer,
    disk::{Disk, File, Mode, OsDisk},
};
use std::{
    any::Any,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Cause: loading listed the unfinished file of a segment, then made that segment under the same
/// unfinished name and renamed it; removing what had been listed failed, and so did opening.
/// Fix: a file that is gone needs no removing.
#[test]
fn an_unfinished_segment_that_opening_makes_anew_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00000000000000000001.log.tmp"), "half a head").unwrap();
    let (mut writer, reader) = open(dir.path(), &Options::default());
    writer.step(vec![append("s-1", [event(1, "t", "x")])]).pop().unwrap().unwrap();
    assert_eq!(everything(&reader).len(), 1);
}

/// Notes which folders are made durable and where files are written; refuses a folder if told to.
#[derive(Debug, Default, Clone)]
struct Noting {
    synced: Arc<Mutex<Vec<PathBuf>>>,
    written: Arc<Mutex<Vec<u64>>>,
    refused: Option<PathBuf>,
}

impl Noting {
    fn options(&self) -> Options {
        let world = World { disk: Arc::new(self.clone()), ..World::default() };
        Options { world, ..Options::default() }
    }
}

#[derive(Debug)]
struct NotingFile(Box<dyn File>, Noting);

impl File for NotingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.written.lock().unwrap().push(offset);
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Disk for Noting {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        Ok(Box::new(NotingFile(OsDisk.open(path, mode)?, self.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.refused.as_deref() == Some(dir) {
            return Err(io::Error::other("a broken disk"));
        }
        self.synced.lock().unwrap().push(dir.to_owned());
        OsDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        OsDisk.lock(path)
    }
}

/// Cause: only the folder right above a new one was made durable, so that a power cut could lose
/// `a` of a store made in `a/b/c`, with every acknowledged event. Fix: all of them are.
#[test]
fn every_folder_above_a_new_one_is_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Noting::default();
    let store = dir.path().join("a/b/c");
    let _open = open(&store, &disk.options());
    let synced = disk.synced.lock().unwrap().clone();
    for above in [&store, &dir.path().join("a/b"), &dir.path().join("a"), dir.path()] {
        assert!(synced.iter().any(|one| one == above), "{above:?} of {synced:?}");
    }
}

/// Cause: a disk error for a folder above was passed over as if the system did not know how.
/// Fix: only refusals are.
#[test]
fn a_folder_that_cannot_be_made_durable_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Some(dir.path().to_owned());
    let disk = Noting { refused, ..Noting::default() };
    let error = factum_log::open(&dir.path().join("a/b"), disk.options()).unwrap_err();
    assert!(error.to_string().contains("a broken disk"), "{error}");
}

/// Cause: after a failed sync the system may hold bytes for written that are not; the store, opened
/// again, found them in the cache, synced nothing, served them, and a power cut took them.
/// Fix: what no later frame proves to be durable is written again before it is synced.
#[test]
fn what_may_be_in_the_cache_only_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &Options::default());
    let mut ends = Vec::new();
    for n in 1..=3 {
        let job = append("s-1", [event(n, "t", "x")]);
        writer.step(vec![job]).pop().unwrap().unwrap();
        let bytes = fs::read(newest(dir.path())).unwrap();
        ends.push(bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1);
    }
    drop((writer, reader));
    let disk = Noting::default();
    let (_writer, reader) = open(dir.path(), &disk.options());
    let written = disk.written.lock().unwrap().clone();
    assert_eq!(written, [ends[1]], "the last append, and nothing before it");
    assert_eq!(everything(&reader).len(), 3);
}

fn newest(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|one| one == "log")).max().unwrap()
}

fn track(writer: &mut Writer, position: u64) {
    let job = Job::append(Append::default().tracking("orders", position), &Limits::default());
    writer.step(vec![job.unwrap()]).pop().unwrap().unwrap();
}

/// A store whose first segment is sealed, and whose second was not made yet when the crash came.
fn without_a_second_segment(dir: &Path) {
    let (mut writer, _reader) = open(dir, &small());
    track(&mut writer, 7);
    for n in 1.. {
        let job = append("s-1", [event(n, "t", &"x".repeat(1000))]);
        writer.step(vec![job]).pop().unwrap().unwrap();
        if !writer.take_unindexed().is_empty() {
            break;
        }
    }
    fs::remove_file(newest(dir)).unwrap();
}

fn check_after(dir: &Path, fill: impl FnOnce(&mut Writer)) {
    without_a_second_segment(dir);
    let (mut writer, reader) = open(dir, &small());
    fill(&mut writer);
    let (before, tracked) = (everything(&reader), reader.tracked("orders"));
    drop((writer, reader));
    let (writer, reader) = open(dir, &small());
    assert_eq!(writer.read_only(), None);
    assert_eq!((everything(&reader), reader.tracked("orders")), (before, tracked));
}

/// Cause: a segment without events was sealed, and the next one got its name and the number after
/// it: at the next opening the numbers did not follow each other, and the store was read-only.
/// Fix: the new segment takes the place of the one without events, its number too.
#[test]
fn an_append_that_does_not_fit_a_segment_without_events() {
    let dir = tempfile::tempdir().unwrap();
    check_after(dir.path(), |writer| {
        let job = append("s-1", [event(1000, "t", &"y".repeat(70_000))]);
        writer.step(vec![job]).pop().unwrap().unwrap();
    });
}

/// As above, filled by tracked positions alone.
#[test]
fn tracked_positions_that_fill_a_segment_without_events() {
    let dir = tempfile::tempdir().unwrap();
    check_after(dir.path(), |writer| (8..3000).for_each(|at| track(writer, at)));
    let len = fs::metadata(newest(dir.path())).unwrap().len();
    assert!(len <= 64 << 10, "it was begun anew: {len} bytes");
}
