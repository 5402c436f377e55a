//! Damage after the store was closed in good order: a right answer, an error that names file and
//! offset, or a store that is read-only; never fewer events without a word.

use crate::tools::*;
use factum_core::{Append, AsOf, Limits, Query, Read, ReadError, RecordedEvent};
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
    check_read_only(dir.path(), at + 28);
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
