//! Backups and what is restored from them: exactly what the store held, then or at a moment before.

use crate::tools::*;
use factum_core::{Append, Change, Limits, Position, Query, Read, RecordedEvent, Revision, Select};
use factum_log::{
    Job, LogStore, OpenError, Reader, World, Writer,
    backup::{BackupError, Restore, RestoreError, Restored, Taken, Upto, backup, restore},
    rewrite::{EraseRequest, ScavengeOptions, Stop},
    verify::{Defect, verify},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder for a store, one for its backup, and one for what is restored.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn restore(&self, upto: Upto) -> Result<Restored, RestoreError> {
        let _ = fs::remove_dir_all(self.at("restored"));
        let (from, dir) = (self.at("backup"), self.at("restored"));
        let what = Restore { backup: &from, dir: &dir, upto, is_new_store: false };
        restore(&what, &World::default(), &mut |_| true)
    }

    /// What is in the restored store, which must be whole and take appends.
    fn restored(&self) -> (Vec<RecordedEvent>, Option<u64>) {
        whole(&self.at("restored"));
        let (mut writer, reader) = open(&self.at("restored"), &small());
        assert_eq!(writer.read_only(), None);
        let found = (everything(&reader), reader.tracked("orders").unwrap());
        let next = writer.step(vec![append("next-1", [event(1 << 80, "t", "{}")])]);
        assert_eq!(next[0].as_ref().unwrap().position.0, found.0.len() as u64 + 1);
        found
    }
}

#[track_caller]
fn whole(dir: &Path) {
    let report = verify(dir, &World::default(), &mut |_| true).unwrap();
    assert!(!report.is_damaged(), "{:?}", report.findings);
}

/// Appends of one to three events, some with a tracked position, and one such without events.
fn fill(writer: &mut Writer, from: u64, count: u64) {
    for id in from..from + count {
        let data = format!("{{\"n\":\"{}\"}}", "x".repeat(700));
        let event = |nth: u64| event(u128::from(id << 8 | nth), "t", &data);
        let mut append = Append::to(name(&format!("s-{}", id % 3)), (0..=id % 3).map(event));
        append = if id % 4 == 0 { append.tracking("orders", id) } else { append };
        step(writer, append);
        if id % 16 == 0 {
            step(writer, Append::default().tracking("orders", id + 1));
        }
    }
}

fn step(writer: &mut Writer, append: Append) {
    let job = Job::append(append, &Limits::default()).unwrap();
    writer.step(vec![job]).pop().unwrap().unwrap();
    for segment in writer.take_unindexed() {
        segment.write().unwrap();
    }
}

fn take(reader: &Reader, dir: &Path) -> Result<Taken, BackupError> {
    backup(reader, dir, &World::default(), &mut |_| true)
}

#[test]
fn a_backup_has_all_and_the_next_one_copies_what_is_new() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    fill(&mut writer, 1, 80);
    let first = take(&reader, &place.at("backup")).unwrap();
    assert_eq!(first.manifest.head, reader.head());
    assert!(first.segments_copied >= 2 && first.bytes_copied > 100_000, "{first:?}");
    whole(&place.at("backup"));
    place.restore(Upto::End).unwrap();
    assert_eq!(place.restored(), (everything(&reader), reader.tracked("orders").unwrap()));

    let same = take(&reader, &place.at("backup")).unwrap();
    assert_eq!((same.segments_copied, same.bytes_copied), (0, 0));
    fill(&mut writer, 81, 30);
    let next = take(&reader, &place.at("backup")).unwrap();
    assert!(next.bytes_copied < first.bytes_copied / 2, "{next:?}");
    assert_eq!(next.manifest.head, reader.head());
    whole(&place.at("backup"));
    place.restore(Upto::End).unwrap();
    assert_eq!(place.restored().0, everything(&reader));
    assert_eq!(place.restore(Upto::End).unwrap().store, next.manifest.store);
}

#[test]
fn a_backup_is_taken_while_the_store_grows() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    std::thread::scope(|scope| {
        let growing = scope.spawn(|| fill(&mut writer, 1, 250));
        let mut heads = vec![0];
        while !growing.is_finished() || heads.len() < 3 {
            heads.push(take(&reader, &place.at("backup")).unwrap().manifest.head.0);
            whole(&place.at("backup"));
        }
        assert!(heads.is_sorted(), "{heads:?}");
    });
    take(&reader, &place.at("backup")).unwrap();
    place.restore(Upto::End).unwrap();
    assert_eq!(place.restored().0, everything(&reader));
}

#[test]
fn a_position_or_a_moment_is_restored_in_whole_appends() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    fill(&mut writer, 1, 90);
    let store = take(&reader, &place.at("backup")).unwrap().manifest.store;
    let events = everything(&reader);
    // What is an append has one recorded time.
    let end_of = |at: usize| {
        let of_next = events.get(at).map(RecordedEvent::recorded_at);
        let is_inside = at > 0 && of_next == Some(events[at - 1].recorded_at());
        if is_inside {
            events.iter().position(|event| Some(event.recorded_at()) == of_next).unwrap()
        } else {
            at
        }
    };
    for at in (0..events.len()).step_by(7).chain([1, 2, 3, events.len()]) {
        let restored = place.restore(Upto::Position(Position(at as u64))).unwrap();
        let end = end_of(at);
        assert_eq!(restored.head.0, end as u64, "at {at}");
        assert_ne!(restored.store, store, "it is another store from there on");
        let (found, tracked) = place.restored();
        assert_eq!(found, events[..end], "at {at}");
        // Append `n` has data of its id, and tracks its number if that divides by four.
        let last = found.last().map_or(0, |event| (event.id().as_u128() >> 8) as u64);
        let expected = if last % 16 == 0 { last + 1 } else { last / 4 * 4 };
        let expected = if last / 4 * 4 % 16 == 0 { last / 4 * 4 + 1 } else { expected };
        assert_eq!(tracked, Some(expected).filter(|at| *at > 1), "at {at}");
    }
    for at in (0..events.len()).step_by(31) {
        let moment = events[at].recorded_at();
        let by_then = events.iter().filter(|event| event.recorded_at() <= moment).count();
        assert_eq!(place.restore(Upto::Time(moment)).unwrap().head.0, by_then as u64);
        assert_eq!(place.restored().0, events[..by_then]);
    }
    let beyond = place.restore(Upto::Position(Position(events.len() as u64 + 1)));
    assert!(matches!(beyond, Err(RestoreError::Beyond { .. })), "{beyond:?}");
}

#[test]
fn what_would_be_lost_or_mixed_up_is_refused() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    fill(&mut writer, 1, 5);
    fs::create_dir(place.at("full")).unwrap();
    fs::write(place.at("full/notes.txt"), "mine").unwrap();
    let refused = take(&reader, &place.at("full"));
    assert!(matches!(refused, Err(BackupError::NotEmpty { .. })), "{refused:?}");
    assert_eq!(fs::read_dir(place.at("full")).unwrap().count(), 1);
    for inside in ["store", "store/backup", "."] {
        let refused = take(&reader, &place.at(inside));
        assert!(matches!(refused, Err(BackupError::Inside { .. })), "{inside}: {refused:?}");
    }
    take(&reader, &place.at("backup")).unwrap();
    let (mut other, of_other) = open(&place.at("other"), &small());
    fill(&mut other, 1, 9);
    let refused = take(&of_other, &place.at("backup"));
    drop((other, of_other));
    assert!(matches!(refused, Err(BackupError::OtherStore { .. })), "{refused:?}");
    let held = open(&place.at("backup"), &small());
    let refused = take(&reader, &place.at("backup"));
    assert!(matches!(refused, Err(BackupError::Locked { .. })), "{refused:?}");
    let refused = place.restore(Upto::End);
    assert!(matches!(refused, Err(RestoreError::Locked { .. })), "{refused:?}");
    drop(held);
    place.restore(Upto::End).unwrap();
    let what = Restore {
        backup: &place.at("backup"),
        dir: &place.at("restored"),
        upto: Upto::End,
        is_new_store: true,
    };
    let over = restore(&what, &World::default(), &mut |_| true);
    assert!(matches!(over, Err(RestoreError::NotEmpty { .. })), "{over:?}");
    let none = Restore { backup: &place.at("other"), dir: &place.at("new"), ..what };
    let none = restore(&none, &World::default(), &mut |_| true);
    assert!(matches!(none, Err(RestoreError::NoBackup { .. })), "{none:?}");
}

/// A store that was restored from an older copy does not write over a backup that has more, nor
/// over one of another history.
#[test]
fn a_store_that_went_back_does_not_replace_its_backup() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    fill(&mut writer, 1, 10);
    take(&reader, &place.at("backup")).unwrap();
    place.restore(Upto::End).unwrap();
    fill(&mut writer, 11, 10);
    take(&reader, &place.at("backup")).unwrap();
    let (mut old, of_old) = open(&place.at("restored"), &small());
    let refused = take(&of_old, &place.at("backup"));
    assert!(matches!(refused, Err(BackupError::Ahead { .. })), "{refused:?}");
    fill(&mut old, 100, 40);
    let refused = take(&of_old, &place.at("backup"));
    assert!(matches!(refused, Err(BackupError::Ahead { .. })), "{refused:?}");
    // Copied by hand, the seed is the same; the bytes are not.
    fill(&mut writer, 21, 1);
    copy_by_hand(&place.at("store"), &place.at("copy"));
    fill(&mut writer, 30, 3);
    take(&reader, &place.at("backup")).unwrap();
    let (mut copy, of_copy) = open(&place.at("copy"), &small());
    fill(&mut copy, 200, 8);
    let refused = take(&of_copy, &place.at("backup"));
    assert!(matches!(refused, Err(BackupError::Ahead { .. })), "{refused:?}");
    place.restore(Upto::End).unwrap();
    assert_eq!(place.restored().0, everything(&reader));
}

fn copy_by_hand(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

const FIRST: &str = "00000000000000000001.log";

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_in_the_store_is_not_backed_up_and_the_backup_before_is_whole() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    fill(&mut writer, 1, 20);
    take(&reader, &place.at("backup")).unwrap();
    let events = everything(&reader);
    fill(&mut writer, 21, 5);
    let end = fs::read(place.at("backup").join(FIRST)).unwrap().len();
    flip(&place.at("store").join(FIRST), end + 40);
    let error = take(&reader, &place.at("backup")).unwrap_err();
    assert!(matches!(error, BackupError::Source(_)), "{error:?}");
    assert!(error.to_string().contains("store/00000000000000000001.log at offset"), "{error}");
    whole(&place.at("backup"));
    place.restore(Upto::End).unwrap();
    assert_eq!(place.restored().0, events);
}

#[test]
fn damage_in_the_backup_is_found_and_mended_by_the_next_one() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    fill(&mut writer, 1, 20);
    take(&reader, &place.at("backup")).unwrap();
    for at in [60, 1000, 9000] {
        flip(&place.at("backup").join(FIRST), at);
        let error = place.restore(Upto::End).unwrap_err();
        assert!(matches!(error, RestoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(FIRST), "{error}");
        let opened = factum_log::open(&place.at("restored"), small());
        assert!(matches!(opened, Err(OpenError::Unfinished { .. })), "half a store is none");
        let report = verify(&place.at("backup"), &World::default(), &mut |_| true).unwrap();
        assert!(report.is_damaged());
        fill(&mut writer, at as u64, 1);
        take(&reader, &place.at("backup")).unwrap();
        if at == 1000 {
            // No frame has it: only the checksum of the whole tells.
            let found = |defect| report.findings.iter().any(|one| one.defect == defect);
            assert!(found(Defect::NotZero) && found(Defect::NotAsBackedUp), "{report:?}");
        }
    }
    place.restore(Upto::End).unwrap();
    assert_eq!(place.restored().0, everything(&reader));
    fs::remove_file(place.at("backup").join(FIRST)).unwrap();
    let error = place.restore(Upto::End).unwrap_err().to_string();
    assert!(error.contains("00000000000000000001.log is gone"), "{error}");
    flip(&place.at("backup").join("BACKUP"), 30);
    let refused = take(&reader, &place.at("backup"));
    assert!(matches!(refused, Err(BackupError::Manifest { .. })), "{refused:?}");
    let refused = place.restore(Upto::End);
    assert!(matches!(refused, Err(RestoreError::Manifest { .. })), "{refused:?}");
}

#[test]
fn a_restore_that_was_stopped_begins_anew() {
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    fill(&mut writer, 1, 100);
    let stopped = backup(&reader, &place.at("backup"), &World::default(), &mut |_| false);
    assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
    let none = place.restore(Upto::End);
    assert!(matches!(none, Err(RestoreError::NoBackup { .. })), "{none:?}");
    let mut calls = 0;
    let mut some = |_| {
        calls += 1;
        calls < 3
    };
    let stopped = backup(&reader, &place.at("backup"), &World::default(), &mut some);
    assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
    take(&reader, &place.at("backup")).unwrap();
    let what = Restore {
        backup: &place.at("backup"),
        dir: &place.at("restored"),
        upto: Upto::End,
        is_new_store: true,
    };
    let mut calls = 0;
    let mut some = |_| {
        calls += 1;
        calls < 3
    };
    let stopped = restore(&what, &World::default(), &mut some);
    assert!(matches!(stopped, Err(RestoreError::Stopped)), "{stopped:?}");
    let opened = factum_log::open(&place.at("restored"), small());
    assert!(matches!(opened, Err(OpenError::Unfinished { .. })));
    let looked = verify(&place.at("restored"), &World::default(), &mut |_| true);
    assert!(matches!(looked, Err(OpenError::Unfinished { .. })));
    let restored = restore(&what, &World::default(), &mut |_| true).unwrap();
    assert_eq!(restored.head, reader.head());
    assert_eq!(place.restored().0, everything(&reader));
}

/// What is gone from the store is gone from the next backup, and what is restored is what is left.
#[test]
fn what_was_scavenged_and_erased_is_restored_as_it_is() {
    const SECRET: &str = "jane.doe@example.org";
    let place = Place::new();
    let (mut writer, reader) = open(&place.at("store"), &small());
    step(&mut writer, Append::to(name("secret-1"), [event(7, "t", SECRET)]));
    fill(&mut writer, 1, 80);
    take(&reader, &place.at("backup")).unwrap();
    let delete = Job::change(name("s-1"), Change::Delete, None, &Limits::default());
    writer.step(vec![delete.unwrap()]).pop().unwrap().unwrap();
    let options = ScavengeOptions { grace_s: 0, threshold_percent: 0, ..Default::default() };
    let report = reader.maintenance().scavenge(&options, &Stop::default(), &mut |_| {}).unwrap();
    assert!(report.events_removed > 20, "{report:?}");
    drop((writer, reader));
    let store = LogStore::open(&place.at("store"), small()).unwrap();
    let (stream, revision) = (name("secret-1"), Revision(0));
    let (reason, by) = ("asked for".into(), "jo".into());
    block_on(store.erase(EraseRequest { stream, revision, reason, by })).unwrap();
    store.close();
    let (writer, reader) = open(&place.at("store"), &small());
    take(&reader, &place.at("backup")).unwrap();
    whole(&place.at("backup"));
    for file in fs::read_dir(place.at("backup")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
    place.restore(Upto::End).unwrap();
    whole(&place.at("restored"));
    let (mut restored, there) = open(&place.at("restored"), &small());
    let everything = Read::query(Query::All);
    assert_eq!(all(&there, everything.clone()), all(&reader, everything));
    for stream in ["s-0", "s-1", "s-2", "secret-1", "$erasures"] {
        let read = Read::select(Select::Stream(name(stream)));
        let state = |reader: &Reader| reader.read(read.clone()).unwrap().state;
        assert_eq!(
            (state(&there), all(&there, read.clone())),
            (state(&reader), all(&reader, read))
        );
    }
    let next = restored.step(vec![append("s-1", [event(1 << 80, "t", "{}")])]).pop().unwrap();
    assert_eq!(next.unwrap().streams[0].last, writer_says(writer));
}

/// The revision that the stream `s-1` goes on with.
fn writer_says(mut writer: Writer) -> Revision {
    let next = writer.step(vec![append("s-1", [event(1 << 80, "t", "{}")])]).pop().unwrap();
    next.unwrap().streams[0].last
}
