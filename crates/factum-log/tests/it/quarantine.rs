//! Damaged segments put aside: what is lost is said exactly, everything else goes on, and what was
//! put aside comes back where it still fits.

use crate::tools::*;
use factum_core::{
    Append, AppendError, Expected, Limits, Position, Query, Read, ReadError, Revision, Select,
};
use factum_log::{
    Job, Options, Reader, World, Writer,
    backup::{Restore, Upto, backup, restore},
    disk::{Disk, File, Mode, OsDisk},
    format::header::HEADER_BYTES,
    quarantine::{
        Loss, Quarantine, QuarantineError, Undo, UndoError, Undone, quarantine, survey, undo,
    },
    rewrite::{EraseRequest, ScavengeOptions, Stop},
    verify::{Severity, verify},
};
use std::{
    any::Any,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Appends one event after the other; stream `s-N` for the Nth modulo 3.
fn fill(writer: &mut Writer, from: u64, count: u64) {
    for id in from..from + count {
        let data = format!("{{\"n\":\"{}\"}}", "x".repeat(700));
        let job = append(&format!("s-{}", id % 3), [event(id.into(), "t", &data)]);
        writer.step(vec![job]).pop().unwrap().unwrap();
        writer.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
    }
}

/// A closed store of 250 events in three segments or more; the base of each.
fn store(dir: &Path) -> Vec<u64> {
    let (mut writer, reader) = open(dir, &small());
    fill(&mut writer, 1, 250);
    writer.close().unwrap();
    drop((writer, reader));
    bases(dir)
}

fn bases(dir: &Path) -> Vec<u64> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut bases: Vec<u64> =
        names.filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
    bases.sort_unstable();
    assert!(bases.len() >= 3, "{bases:?}");
    bases
}

fn log(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

fn idx(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.idx"))
}

/// Changes bytes in the data of the event at a position, and gives the file as it was.
fn damage(dir: &Path, base: u64, position: u64) -> Vec<u8> {
    let whole = fs::read(log(dir, base)).unwrap();
    let mut bytes = whole.clone();
    let id = uuid::Uuid::from_u128(position.into());
    // Not in the head: its zeroes and the first checksum may look like an id.
    let frames = &bytes[HEADER_BYTES..];
    let at = frames.windows(16).position(|window| window == id.as_bytes()).unwrap();
    bytes[HEADER_BYTES + at + 30] ^= 1;
    fs::write(log(dir, base), bytes).unwrap();
    whole
}

fn all_damaged(dir: &Path) -> Quarantine<'_> {
    Quarantine { dir, segments: &[], keeps_whole: true }
}

/// Puts aside, having told the same before.
fn put_aside(what: &Quarantine<'_>) -> Vec<Loss> {
    let told = survey(what, &World::default()).unwrap();
    let done = quarantine(what, &World::default()).unwrap();
    let as_told = done.iter().map(|loss| Loss { aside: None, ..loss.clone() });
    assert_eq!(as_told.collect::<Vec<_>>(), told);
    done
}

/// What is lost, as ranges of positions, and whether it is known.
fn lost(losses: &[Loss]) -> Vec<(u64, u64, bool)> {
    let all = losses.iter().flat_map(|loss| &loss.lost);
    all.map(|lost| (*lost.positions.start(), *lost.positions.end(), lost.is_known)).collect()
}

fn open_to_write(dir: &Path) -> (Writer, Reader) {
    let (writer, reader) = open(dir, &small());
    assert_eq!(writer.read_only(), None);
    (writer, reader)
}

fn read(reader: &Reader, read: Read) -> (Vec<u64>, Option<ReadError>) {
    let mut positions = Vec::new();
    let mut cursor = match reader.read(read) {
        Ok(begun) => begun.cursor,
        Err(error) => return (positions, Some(error)),
    };
    loop {
        match cursor.next_batch() {
            Err(error) => return (positions, Some(error)),
            Ok(batch) => {
                positions.extend(batch.events.iter().map(|event| event.position().0));
                if batch.caught_up {
                    return (positions, None);
                }
            }
        }
    }
}

fn stream(stream: &str) -> Read {
    Read::select(Select::Stream(name(stream)))
}

/// What verifying says is lost; nothing may be damaged.
fn verified(dir: &Path) -> Vec<(u64, u64)> {
    let report = verify(dir, &World::default(), &mut |_| true).unwrap();
    assert!(!report.is_damaged(), "{:?}", report.findings);
    let lost = report.findings.iter().filter(|one| one.severity == Severity::Lost);
    let lost = lost.filter_map(|one| one.lost.as_ref());
    lost.map(|lost| (*lost.start(), *lost.end())).collect()
}

fn say(error: Option<ReadError>) -> String {
    match error {
        Some(ReadError::Damaged { what }) => what.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_index_knows_is_said_and_counted_on() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    let position = bases[1] + 4;
    damage(dir.path(), bases[1], position);
    let losses = put_aside(&all_damaged(dir.path()));
    assert_eq!(lost(&losses), [(position, position, true)]);
    let event = &losses[0].events[0];
    let of = format!("s-{}", position % 3);
    assert_eq!((event.stream.as_str(), event.event_type.as_str()), (&*of, "t"));
    assert_eq!((losses[0].kept, losses[0].damage.len()), (bases[2] - bases[1] - 1, 1));
    let aside = losses[0].aside.as_ref().unwrap();
    assert!(aside.exists() && aside.with_extension("idx").exists());
    let note = fs::read_to_string(aside.with_extension("txt")).unwrap();
    assert!(note.contains(&format!("lost {position} {position} known")), "{note}");
    assert_eq!(survey(&all_damaged(dir.path()), &World::default()).unwrap(), []);

    let (mut writer, reader) = open_to_write(dir.path());
    // Everything before it, then what is lost; then everything behind it.
    let (before, error) = read(&reader, Read::query(Query::All));
    assert_eq!(before, (1..position).collect::<Vec<_>>());
    let said = say(error);
    assert!(said.contains(&format!("position {position} are lost")), "{said}");
    assert!(said.contains(&format!("go on after position {position}")), "{said}");
    let rest = Read { from: Some(position + 1), ..Read::query(Query::All) };
    assert_eq!(read(&reader, rest), ((position + 1..=250).collect(), None));
    // Its stream says which revision; the others are whole.
    let said = say(read(&reader, stream(&of)).1);
    assert!(said.contains(&format!("revision {} of {of} is lost", event.revision)), "{said}");
    for other in (0..3).map(|n| format!("s-{n}")).filter(|other| *other != of) {
        assert_eq!(read(&reader, stream(&other)).1, None, "{other}");
    }
    let after = Read { from: Some(event.revision + 1), ..stream(&of) };
    assert_eq!(read(&reader, after).1, None);
    // Revisions go on, and a retry of what is lost is not written again.
    let again = append(&of, [crate::tools::event(position.into(), "t", "{}")]);
    let error = writer.step(vec![again]).pop().unwrap().unwrap_err();
    assert!(
        matches!(&error, AppendError::Unsupported { what } if what.contains("lost")),
        "{error}"
    );
    let last = Revision(of_count(&of) - 1);
    let next = Append::to(name(&of), [crate::tools::event(1 << 70, "t", "{}")]);
    let next = next.expecting(name(&of), Expected::At(last));
    let receipt = writer.step(vec![Job::append(next, &Limits::default()).unwrap()]).pop().unwrap();
    assert_eq!(receipt.unwrap().position.0, 251);
    let all = reader.statistics();
    let lost = all.numbers.iter().find(|one| one.name == "positions_lost").unwrap();
    assert!((lost.value - 1.0).abs() < 0.1);
    writer.close().unwrap();
    drop((writer, reader));
    assert_eq!(verified(dir.path()), [(position, position)]);
}

/// How many of 250 events a stream has.
fn of_count(stream: &str) -> u64 {
    let n: u64 = stream[2..].parse().unwrap();
    (1..=250).filter(|id| id % 3 == n).count() as u64
}

#[test]
fn without_an_index_streams_go_on_from_what_is_left_and_never_over_a_jump() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    let position = bases[1] + 4;
    damage(dir.path(), bases[1], position);
    fs::remove_file(idx(dir.path(), bases[1])).unwrap();
    let losses = put_aside(&all_damaged(dir.path()));
    assert_eq!(lost(&losses), [(position, position, false)]);
    assert_eq!(losses[0].events, []);
    let (writer, reader) = open_to_write(dir.path());
    let of = format!("s-{}", position % 3);
    let (before, error) = read(&reader, stream(&of));
    assert_eq!(before.last(), Some(&(position - 3)));
    assert!(say(error).contains("is lost, or one before it"));
    for other in (0..3).map(|n| format!("s-{n}")).filter(|other| *other != of) {
        assert_eq!(read(&reader, stream(&other)).1, None, "{other}");
    }
    // Backwards, and from behind it, the stream is there.
    let revision = before.len() as u64;
    let after = Read { from: Some(revision + 1), ..stream(&of) };
    assert_eq!(read(&reader, after).1, None);
    drop((writer, reader));
    assert_eq!(verified(dir.path()), [(position, position)]);
}

#[test]
fn a_file_that_is_gone_is_a_segment_that_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    let newest = *bases.last().unwrap();
    fs::remove_file(log(dir.path(), bases[1])).unwrap();
    fs::remove_file(log(dir.path(), newest)).unwrap();
    let losses = put_aside(&all_damaged(dir.path()));
    // The newest has no index: that there was an event is all that is known.
    assert_eq!(lost(&losses), [(bases[1], bases[2] - 1, true), (newest, newest, false)],);
    assert_eq!(losses.iter().map(|loss| loss.is_newest).collect::<Vec<_>>(), [false, true]);
    assert!(losses.iter().all(|loss| loss.aside.is_none()));
    let (mut writer, reader) = open_to_write(dir.path());
    assert_eq!(reader.head().0, newest);
    let receipt = writer.step(vec![append("new-1", [event(1 << 70, "t", "{}")])]).pop().unwrap();
    assert_eq!(receipt.unwrap().position.0, newest + 1);
}

/// The last file that is there was taken for the newest, though the log went on behind it: it was
/// told, and put aside, a second time as a file that is gone, and what was whole in it was lost.
#[test]
fn damage_in_front_of_a_newest_segment_that_is_gone_is_told_once() {
    for is_indexed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let bases = store(dir.path());
        let [.., damaged, gone] = *bases else { panic!("{bases:?}") };
        damage(dir.path(), damaged, damaged + 2);
        fs::remove_file(log(dir.path(), gone)).unwrap();
        if !is_indexed {
            fs::remove_file(idx(dir.path(), damaged)).unwrap();
        }
        let losses = put_aside(&all_damaged(dir.path()));
        let told: Vec<_> = losses.iter().map(|loss| (loss.base.0, loss.is_newest)).collect();
        assert_eq!(told, [(damaged, false), (gone, true)]);
        let told = lost(&losses);
        assert_eq!(told.last(), Some(&(gone, gone, false)));
        assert!(told.is_sorted() && told[0] == (damaged + 2, damaged + 2, is_indexed), "{told:?}");
        // The name of its stream went with the event, unless the index knows it.
        assert!(losses[0].kept > 50 && (told.len() == 2) == is_indexed, "{told:?}");
        assert_eq!(verified(dir.path()).len(), told.len());
    }
}

/// Two segments at the end are gone, of which the first has no index any more: no position between
/// those that are known is forgotten.
#[test]
fn of_several_segments_that_are_gone_every_position_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    fill(&mut writer, 1, 330);
    writer.close().unwrap();
    drop((writer, reader));
    let bases = bases(dir.path());
    let [.., first, second, newest] = *bases else { panic!("{bases:?}") };
    for gone in [first, second, newest] {
        fs::remove_file(log(dir.path(), gone)).unwrap();
    }
    fs::remove_file(idx(dir.path(), second)).unwrap();
    let losses = put_aside(&all_damaged(dir.path()));
    assert_eq!(lost(&losses), [(first, newest - 1, false), (newest, newest, false)]);
}

/// A head that was made anew did not know how late the segment before had been recorded, where that
/// one is gone: it did not fit any more, though nothing had come since.
#[test]
fn a_segment_comes_back_in_front_of_one_whose_head_was_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    let (gone, headless) = (bases[1], bases[2]);
    let kept = tempfile::tempdir().unwrap();
    fs::rename(log(dir.path(), gone), log(kept.path(), gone)).unwrap();
    let mut bytes = fs::read(log(dir.path(), headless)).unwrap();
    bytes[60] ^= 1;
    fs::write(log(dir.path(), headless), bytes).unwrap();
    put_aside(&all_damaged(dir.path()));
    bring_back(dir.path(), gone, Some(&log(kept.path(), gone))).unwrap();
    assert_eq!(verified(dir.path()), []);
    let (_writer, reader) = open_to_write(dir.path());
    assert_eq!(read(&reader, Read::query(Query::All)).0.len(), 250);
}

#[test]
fn a_head_that_is_gone_takes_nothing_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    for base in [bases[0], *bases.last().unwrap()] {
        let mut bytes = fs::read(log(dir.path(), base)).unwrap();
        bytes[..4096].fill(0);
        fs::write(log(dir.path(), base), bytes).unwrap();
    }
    let losses = put_aside(&all_damaged(dir.path()));
    assert_eq!(lost(&losses), [], "the index of one, and closing, have said the seed");
    let (writer, reader) = open_to_write(dir.path());
    assert_eq!(everything(&reader).len(), 250);
    drop((writer, reader));
    assert_eq!(verified(dir.path()), []);
}

#[test]
fn nothing_stays_where_nothing_is_to_stay() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    damage(dir.path(), bases[1], bases[1] + 4);
    let what = Quarantine { keeps_whole: false, ..all_damaged(dir.path()) };
    let losses = put_aside(&what);
    assert_eq!(lost(&losses), [(bases[1], bases[2] - 1, true)]);
    assert_eq!(losses[0].kept, 0);
}

#[test]
fn segments_are_named_by_their_first_position() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    damage(dir.path(), bases[1], bases[1] + 4);
    let named = |base: u64| {
        let segments = [Position(base)];
        let what = Quarantine { segments: &segments, ..all_damaged(dir.path()) };
        quarantine(&what, &World::default())
    };
    let whole = named(bases[0]).unwrap_err();
    assert!(matches!(whole, QuarantineError::Whole { base } if base.0 == bases[0]), "{whole}");
    let none = named(bases[1] + 1).unwrap_err();
    assert!(matches!(none, QuarantineError::NoSegment { .. }), "{none}");
    assert_eq!(named(bases[1]).unwrap().len(), 1);
    let empty = tempfile::tempdir().unwrap();
    let none = survey(&all_damaged(empty.path()), &World::default()).unwrap_err();
    assert!(matches!(none, QuarantineError::Open(_)), "{none}");
}

#[test]
fn holes_are_scavenged_backed_up_and_restored_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let [dir, copy, back] = ["store", "copy", "back"].map(|name| place.path().join(name));
    let bases = store(&dir);
    let position = bases[1] + 4;
    damage(&dir, bases[1], position);
    put_aside(&all_damaged(&dir));
    let (mut writer, reader) = open_to_write(&dir);
    let other = name(&format!("s-{}", (position + 1) % 3));
    let delete = Job::change(other, factum_core::Change::Delete, None, &Limits::default());
    writer.step(vec![delete.unwrap()]).pop().unwrap().unwrap();
    let options = ScavengeOptions { grace_s: 0, threshold_percent: 0, ..Default::default() };
    let report = reader.maintenance().scavenge(&options, &Stop::default(), &mut |_| {}).unwrap();
    assert!(report.events_removed > 50 && report.unreadable.is_empty(), "{report:?}");
    backup(&reader, &copy, &World::default(), &mut |_| true).unwrap();
    drop((writer, reader));
    for (upto, expected) in [
        (Upto::End, vec![(position, position)]),
        (Upto::Position(Position(position + 2)), vec![(position, position)]),
        (Upto::Position(Position(position)), vec![(position, position)]),
        (Upto::Position(Position(position - 1)), vec![]),
    ] {
        let _ = fs::remove_dir_all(&back);
        let what = Restore { backup: &copy, dir: &back, upto, is_new_store: false };
        let restored = restore(&what, &World::default(), &mut |_| true).unwrap();
        assert_eq!(verified(&back), expected, "{upto:?}");
        let (_writer, reader) = open_to_write(&back);
        assert_eq!(reader.head(), restored.head, "{upto:?}");
    }
    assert_eq!(verified(&dir), [(position, position)]);
}

fn bring_back(dir: &Path, base: u64, from: Option<&Path>) -> Result<Undone, UndoError> {
    undo(&Undo { dir, segment: Position(base), from }, &World::default())
}

fn misfit(dir: &Path, base: u64, from: &Path) -> String {
    match bring_back(dir, base, Some(from)) {
        Err(UndoError::Misfit { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_put_aside_comes_back_mended_or_from_a_backup() {
    let place = tempfile::tempdir().unwrap();
    let [dir, copy] = ["store", "copy"].map(|name| place.path().join(name));
    let bases = store(&dir);
    let (writer, reader) = open_to_write(&dir);
    backup(&reader, &copy, &World::default(), &mut |_| true).unwrap();
    drop((writer, reader));
    for from in [None, Some(&*copy)] {
        let whole = damage(&dir, bases[1], bases[1] + 4);
        let losses = put_aside(&all_damaged(&dir));
        let aside = losses[0].aside.clone().unwrap();
        let error = bring_back(&dir, bases[1], None).unwrap_err();
        assert!(matches!(error, UndoError::Misfit { .. }), "it is damaged still: {error}");
        if from.is_none() {
            fs::write(&aside, whole).unwrap();
        }
        let (mut writer, reader) = open_to_write(&dir);
        let receipt = writer.step(vec![append("s-0", [event(1 << 70, "t", "{}")])]);
        assert!(receipt[0].is_ok(), "revisions go on, so that it fits");
        drop((writer, reader));
        let undone = bring_back(&dir, bases[1], from).unwrap();
        assert_eq!(undone.positions, 1);
        assert_eq!(verified(&dir), []);
        let (_writer, reader) = open_to_write(&dir);
        assert_eq!(everything(&reader).len(), 251);
        fs::write(&aside, "spoilt").unwrap();
    }
    assert!(matches!(bring_back(&dir, bases[1], None), Err(UndoError::NothingLost { .. })));
}

#[test]
fn what_is_contradicted_does_not_come_back() {
    let place = tempfile::tempdir().unwrap();
    let [dir, other] = ["store", "other"].map(|name| place.path().join(name));
    let bases = store(&dir);
    let newest = *bases.last().unwrap();
    let whole = place.path().join("whole.log");
    // Of the newest segment nobody knows what is lost: its streams go on from what is left.
    fs::write(&whole, damage(&dir, newest, 249)).unwrap();
    let losses = put_aside(&all_damaged(&dir));
    assert_eq!(lost(&losses), [(249, 249, false)]);
    let (mut writer, reader) = open_to_write(&dir);
    let jobs = (0..3).map(|n| append(&format!("s-{n}"), [event((1 << 70) + n, "t", "{}")]));
    writer.step(jobs.collect());
    drop((writer, reader));
    let why = misfit(&dir, newest, &whole);
    assert!(why.contains("revision 82 of s-0 has been given to another event since"), "{why}");
    // A segment of another store, and a segment of another place.
    store(&other);
    let why = misfit(&dir, newest, &log(&other, newest));
    assert!(why.contains("another store"), "{why}");
    let why = misfit(&dir, newest, &log(&dir, bases[0]));
    assert!(why.contains("no whole head of this segment"), "{why}");
}

#[test]
fn what_was_erased_stays_erased() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    let whole = dir.path().join("quarantine/whole");
    let bytes = damage(dir.path(), bases[1], bases[1] + 4);
    put_aside(&all_damaged(dir.path()));
    fs::write(&whole, bytes).unwrap();
    let store = factum_log::LogStore::open(dir.path(), small()).unwrap();
    let position = bases[1] + 5;
    let stream = name(&format!("s-{}", position % 3));
    let revision = (1..position).filter(|id| id % 3 == position % 3).count() as u64;
    let (reason, by) = ("asked for".into(), "jo".into());
    let request = EraseRequest { stream, revision: Revision(revision), reason, by };
    block_on(store.erase(request)).unwrap();
    store.close();
    let why = misfit(dir.path(), bases[1], &whole);
    assert!(why.contains(&format!("position {position} is another one, or was erased")), "{why}");
}

#[test]
fn a_segment_may_be_damaged_again() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    for (nth, position) in [bases[1] + 4, bases[1] + 9].into_iter().enumerate() {
        damage(dir.path(), bases[1], position);
        if nth == 1 {
            fs::remove_file(idx(dir.path(), bases[1])).unwrap();
        }
        put_aside(&all_damaged(dir.path()));
    }
    let expected = [(bases[1] + 4, bases[1] + 4), (bases[1] + 9, bases[1] + 9)];
    assert_eq!(verified(dir.path()), expected);
    let aside = fs::read_dir(dir.path().join("quarantine")).unwrap();
    let logs = aside.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "log"));
    assert_eq!(logs.count(), 2);
}

/// A disk whose files have one name each.
#[derive(Debug)]
struct OneName;

impl Disk for OneName {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        OsDisk.open(path, mode)
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
fn where_files_have_one_name_the_damaged_one_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    damage(dir.path(), bases[1], bases[1] + 4);
    let damaged = fs::read(log(dir.path(), bases[1])).unwrap();
    let world = World { disk: Arc::new(OneName), ..World::default() };
    let losses = quarantine(&all_damaged(dir.path()), &world).unwrap();
    assert!(fs::read(losses[0].aside.as_ref().unwrap()).unwrap() == damaged);
    let options = Options { world, ..small() };
    assert_eq!(open(dir.path(), &options).0.read_only(), None);
}
