//! What was acknowledged is there after closing, after not closing, and without index files.

use crate::tools::*;
use factum_core::Position;

fn fill(writer: &mut factum_log::Writer, from: u128, count: u128) {
    for n in from..from + count {
        let stream = format!("s-{}", n % 7);
        let data = format!("{{\"n\": {n}, \"pad\": \"{}\"}}", "x".repeat((n % 500) as usize));
        let job = append(&stream, [event(n, &format!("t{}", n % 3), &data)]);
        let reply = writer.step(vec![job]).pop().unwrap();
        assert_eq!(reply.unwrap().position, Position(n as u64));
        writer.take_unindexed().iter().for_each(|segment| segment.write().unwrap());
    }
}

#[test]
fn events_come_back_in_the_same_order() {
    let dir = tempfile::tempdir().unwrap();
    let options = small();
    let (mut writer, reader) = open(dir.path(), &options);
    fill(&mut writer, 1, 1000);
    let before = everything(&reader);
    assert_eq!(before.len(), 1000);
    drop((writer, reader));
    for round in 0..3u128 {
        let (mut writer, reader) = open(dir.path(), &options);
        assert_eq!(everything(&reader)[..1000], before[..]);
        fill(&mut writer, 1001 + round * 100, 100);
        if round % 2 == 0 {
            writer.close().unwrap();
        }
    }
    let segments = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(segments > 6, "several segments, each with its index: {segments} files");
}

#[test]
fn deleting_every_index_file_changes_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    fill(&mut writer, 1, 800);
    let before = everything(&reader);
    drop((writer, reader));
    let mut removed = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "idx") {
            std::fs::remove_file(path).unwrap();
            removed += 1;
        }
    }
    assert!(removed > 2);
    let (_writer, reader) = open(dir.path(), &small());
    assert_eq!(everything(&reader), before);
}

#[test]
fn an_append_of_many_frames_and_a_group_of_many_appends() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    let big = "y".repeat(1000);
    let events = (1..=300).map(|n| event(n, "big", &big));
    let mut jobs = vec![append("a-1", events)];
    jobs.extend((301..=400).map(|n| append("b-1", [event(n, "small", "{}")])));
    assert!(writer.step(jobs).iter().all(Result::is_ok));
    let before = everything(&reader);
    assert_eq!(before.len(), 400);
    drop((writer, reader));
    let (_writer, reader) = open(dir.path(), &small());
    assert_eq!(everything(&reader), before);
}

/// Cause: read backwards as of a position at which every event of the stream was one that metadata
/// hides by now, a stream gave the last of them. Fix: below the first visible revision is the end.
#[test]
fn what_metadata_hides_is_hidden_backwards_as_of_the_past_too() {
    use factum_core::{AsOf, Change, Direction, Limits, Read, Select, StreamMetadata};
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    let metadata = StreamMetadata { max_count: Some(1), ..StreamMetadata::default() };
    let set = Change::SetMetadata(metadata);
    let set = factum_log::Job::change(name("s-1"), set, None, &Limits::default()).unwrap();
    let jobs = (1..=3).map(|n| append("s-1", [event(n, "t", "x")])).chain([set]);
    assert!(writer.step(jobs.collect()).iter().all(Result::is_ok));
    for (position, visible) in [(1, 0), (2, 0), (3, 1)] {
        let read = Read {
            direction: Direction::Backward,
            as_of: AsOf::Position(Position(position)),
            ..Read::select(Select::Stream(name("s-1")))
        };
        assert_eq!(all(&reader, read).len(), visible, "as of {position}");
    }
}
