//! Damage after the store was closed in good order: a right answer, an error that names file and
//! offset, or a store that is read-only; never fewer events without a word.

use crate::tools::*;
use factum_core::{
    Append, AsOf, Change, Limits, Query, Read, ReadError, RecordedEvent, Select, StreamMetadata,
    StreamState,
};
use factum_log::{
    Job, Options, Reader, Writer,
    format::{
        frame::{FrameHeader, Kind},
        header::HEADER_BYTES,
    },
};
use std::{fs, path::Path};

const FIRST: &str = "00000000000000000001.log";

fn track(writer: &mut Writer, position: u64) {
    let job = Job::append(Append::default().tracking("orders", position), &Limits::default());
    writer.step(vec![job.unwrap()]).pop().unwrap().unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Offset and head of each frame.
fn frames(path: &Path) -> Vec<(usize, FrameHeader)> {
    let bytes = fs::read(path).unwrap();
    let mut at = HEADER_BYTES;
    let mut found = Vec::new();
    while let Some(header) = bytes.get(at..).and_then(FrameHeader::decode) {
        if bytes[at..at + 4] == [0; 4] {
            break;
        }
        found.push((at, header));
        at += header.frame_bytes();
    }
    found
}

fn check_read_only(dir: &Path, at: usize) {
    flip(&dir.join(FIRST), at);
    let (writer, _reader) = open(dir, &Options::default());
    let why = writer.read_only().expect("it must not be taken for a torn write");
    assert!(why.contains(FIRST) && why.contains("offset"), "{why}");
}

/// Cause: closing wrote its frame only where the segment had events, so that damage to a tracked
/// position looked like a torn write, and was cut. Fix: a tracked position is something too.
#[test]
fn tracked_positions_alone_are_closed_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &Options::default());
    track(&mut writer, 7);
    writer.close().unwrap();
    drop((writer, reader));
    let (at, header) = frames(&dir.path().join(FIRST))[1];
    assert!(header.tracking);
    check_read_only(dir.path(), at + 30);
}

/// Cause: a damaged carry with nothing after it was taken for a torn write, and every tracked
/// position was forgotten. Fix: a segment has its name only once its carry is durable.
#[test]
fn a_damaged_carry_is_no_torn_write() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &Options::default()));
    let (at, header) = frames(&dir.path().join(FIRST))[0];
    assert_eq!(header.kind, Kind::Carry);
    check_read_only(dir.path(), at + 10);
}

fn as_of(reader: &Reader, event: &RecordedEvent) -> Result<usize, ReadError> {
    let read = Read { as_of: AsOf::Recorded(event.recorded_at()), ..Read::query(Query::All) };
    let mut cursor = reader.read(read)?.cursor;
    let mut count = 0;
    loop {
        let batch = cursor.next_batch()?;
        count += batch.events.len();
        if batch.caught_up {
            return Ok(count);
        }
    }
}

/// Cause: the search for a moment looked at the recorded times of frames without checking them; a
/// flipped bit sent it astray, and a read as of that moment ended early without a word.
/// Fix: a frame is checked whole before its time is used.
#[test]
fn a_damaged_recorded_time_never_hides_events() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    for n in 1..=100 {
        let job = append("s-1", [event(n, "t", &"x".repeat(1000))]);
        writer.step(vec![job]).pop().unwrap().unwrap();
        writer.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
    }
    let events = everything(&reader);
    drop((writer, reader));
    let (at, _) = frames(&dir.path().join(FIRST))[32];
    flip(&dir.path().join(FIRST), at + 12 + 7);
    let (_writer, reader) = open(dir.path(), &small());
    let mut errors = 0;
    for event in &events[..50] {
        match as_of(&reader, event) {
            Ok(count) => assert_eq!(count as u64, event.position().0),
            Err(ReadError::Damaged { what }) => {
                assert!(what.contains(FIRST) && what.contains(&at.to_string()), "{what}");
                errors += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(errors > 0, "some search must meet the damage");
}

fn of_stream(reader: &Reader) -> Result<(Option<StreamState>, usize), ReadError> {
    let begun = reader.read(Read::select(Select::Stream(name("s-1"))))?;
    let mut cursor = begun.cursor;
    let mut count = 0;
    loop {
        let batch = cursor.next_batch()?;
        count += batch.events.len();
        if batch.caught_up {
            return Ok((begun.state, count));
        }
    }
}

/// Appends, sets metadata, appends; then damages the nth frame after the carry.
fn damaged(dir: &Path, max_count: u64, nth: usize) -> Reader {
    let (mut writer, reader) = open(dir, &Options::default());
    let one = |n| append("s-1", [event(n, "t", "x")]);
    let metadata = StreamMetadata { max_count: Some(max_count), ..StreamMetadata::default() };
    let change = Change::SetMetadata(metadata);
    let change = Job::change(name("s-1"), change, None, &Limits::default()).unwrap();
    let jobs = (1..=4).map(one).chain([change]).chain((5..=7).map(one)).collect::<Vec<_>>();
    for job in jobs {
        writer.step(vec![job]).pop().unwrap().unwrap();
    }
    writer.close().unwrap();
    drop((writer, reader));
    let (at, _) = frames(&dir.join(FIRST))[nth];
    flip(&dir.join(FIRST), at + 40);
    let (writer, reader) = open(dir, &Options::default());
    assert!(writer.read_only().is_some());
    reader
}

/// Cause: a stream was read with what was left of its metadata, so that what the lost metadata had
/// hidden came back. Fix: damage after the last metadata known is an error, as it may be metadata.
#[test]
fn what_was_hidden_does_not_come_back_where_metadata_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let reader = damaged(dir.path(), 2, 5);
    let error = of_stream(&reader).unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { what } if what.contains(FIRST)), "{error}");
    assert!(reader.metadata(&name("s-1")).is_err());
}

/// Cause: a stream's last revision was counted from its first, so that events lost between made it
/// too small, and a limit of visible events showed older ones. Fix: it is read from the last event.
#[test]
fn a_hole_does_not_change_the_last_revision() {
    let dir = tempfile::tempdir().unwrap();
    let reader = damaged(dir.path(), 5, 3);
    let read = Read { from: Some(5), ..Read::select(Select::Stream(name("s-1"))) };
    let state = reader.read(read).unwrap().state;
    assert_eq!(state, Some(StreamState::Live { last: factum_core::Revision(6) }));
    assert!(of_stream(&reader).is_err(), "an event that should be seen is lost");
}
