//! What opening a folder says of it: in use, of a newer release, torn, damaged.

use crate::tools::*;
use factum_core::{Append, AppendError, EventStore, Query, Read, ReadError};
use factum_log::{LogStore, OpenError, Options};
use std::{fs, path::Path};

const FIRST: &str = "00000000000000000001.log";
/// Where the first frame after the carry begins: the head, and a frame with an empty carry.
const FRAMES: usize = 4096 + 17 + 1;

/// A closed store of three events, 80 bytes or so each.
fn three(dir: &Path) -> Vec<u64> {
    let (mut writer, _reader) = open(dir, &Options::default());
    let mut ends = Vec::new();
    for n in 1..=3u128 {
        writer.step(vec![append("s-1", [event(n, "t", "some data")])]).pop().unwrap().unwrap();
        let bytes = fs::read(dir.join(FIRST)).unwrap();
        ends.push(bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1);
    }
    ends
}

fn change(dir: &Path, at: usize, flip: u8) {
    let path = dir.join(FIRST);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= flip;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_folder_in_use_is_refused_and_the_error_names_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    let refused = LogStore::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { holder: None, .. }), "{refused}");
    store.advertise("factum://127.0.0.1:2113").unwrap();
    let refused = LogStore::open(dir.path(), Options::default()).unwrap_err().to_string();
    assert!(refused.contains("use factum://127.0.0.1:2113 instead, or stop it"), "{refused}");
    store.close();
    let again = LogStore::open(dir.path(), Options::default()).unwrap();
    let refused = LogStore::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { holder: None, .. }), "the old server is gone");
    again.close();
}

#[test]
fn a_newer_format_is_refused_with_what_to_do_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    let path = dir.path().join(FIRST);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..128]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let refused = factum_log::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { version: 9, unknown: 0, .. }));
    assert!(refused.to_string().contains("use the release that wrote it"), "{refused}");
    assert_eq!(fs::read(path).unwrap(), bytes, "nothing was changed");
}

#[test]
fn a_torn_tail_is_cut_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let ends = three(dir.path());
    // The crash kept the head of the third append only.
    let path = dir.path().join(FIRST);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[2] as usize - 5..].fill(0);
    fs::write(&path, bytes).unwrap();
    let (mut writer, reader) = open(dir.path(), &Options::default());
    assert_eq!(writer.read_only(), None);
    assert_eq!(everything(&reader).len(), 2);
    let after = fs::read(&path).unwrap();
    assert!(after[ends[1] as usize..].iter().all(|byte| *byte == 0), "the tail is zeroes");
    let receipt = writer.step(vec![append("s-1", [event(9, "t", "x")])]).pop().unwrap().unwrap();
    assert_eq!(receipt.position.0, 3);
}

#[test]
fn damage_in_the_middle_opens_to_read_only_and_names_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let ends = three(dir.path());
    change(dir.path(), ends[0] as usize + 40, 1);
    let before = fs::read(dir.path().join(FIRST)).unwrap();
    let (mut writer, reader) = open(dir.path(), &Options::default());
    let why = writer.read_only().unwrap();
    assert!(why.contains(FIRST) && why.contains(&format!("offset {}", ends[0])), "{why}");
    assert!(why.contains("position 2 cannot be read"), "{why}");
    let refused = writer.step(vec![append("s-1", [event(9, "t", "x")])]).pop().unwrap();
    assert!(matches!(refused, Err(AppendError::ReadOnly { .. })));
    // What is whole is served up to the damage, and the damage is reported, not passed over.
    let mut cursor = reader.read(Read::query(Query::All)).unwrap().cursor;
    assert_eq!(cursor.next_batch().unwrap().events.len(), 1);
    let error = cursor.next_batch().unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { what } if what.contains(FIRST)), "{error}");
    let from_behind = Read { from: Some(3), ..Read::query(Query::All) };
    assert_eq!(all(&reader, from_behind).len(), 1);
    drop((writer, reader));
    assert_eq!(fs::read(dir.path().join(FIRST)).unwrap(), before, "nothing was changed");
}

#[test]
fn damage_to_the_last_append_of_a_closed_store_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let ends = three(dir.path());
    let (mut writer, _reader) = open(dir.path(), &Options::default());
    writer.close().unwrap();
    drop((writer, _reader));
    change(dir.path(), ends[2] as usize - 1, 1);
    let (writer, _reader) = open(dir.path(), &Options::default());
    assert!(writer.read_only().unwrap().contains("position 3 cannot be read"));
}

#[test]
fn a_damaged_head_opens_to_read_only() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    change(dir.path(), 20, 1);
    let (writer, reader) = open(dir.path(), &Options::default());
    let why = writer.read_only().unwrap();
    assert!(why.contains("head is damaged") && why.contains("offset 0"), "{why}");
    let mut cursor = reader.read(Read::query(Query::All)).unwrap().cursor;
    assert!(cursor.next_batch().is_err(), "an empty answer would hide the damage");
}

#[test]
fn a_missing_segment_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    for n in 1..=300u128 {
        let job = append("s-1", [event(n, "t", &"x".repeat(1000))]);
        writer.step(vec![job]).pop().unwrap().unwrap();
    }
    drop((writer, reader));
    fs::remove_file(dir.path().join(FIRST)).unwrap();
    let (writer, _reader) = open(dir.path(), &small());
    assert!(writer.read_only().unwrap().contains("does not follow"));
    // Cause: asking for what was in it panicked. Fix: it is damage like any other.
    let mut cursor = _reader.read(Read::query(Query::All)).unwrap().cursor;
    assert!(matches!(cursor.next_batch(), Err(ReadError::Damaged { .. })));
}

/// Cause: of a segment that belongs to another store one event was taken for lost, and the others
/// were served. Fix: nothing of it is.
#[test]
fn nothing_of_another_stores_segment_is_served() {
    let write = |dir: &Path, kind: &str| {
        let (mut writer, _reader) = open(dir, &small());
        for n in 1..=200u128 {
            writer.step(vec![append("s-1", [event(n, kind, &"x".repeat(900))])]);
        }
    };
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(ours.path(), "ours");
    write(theirs.path(), "gone");
    let mut names: Vec<_> = fs::read_dir(ours.path()).unwrap().map(|f| f.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    names.sort();
    let second = names[1].file_name().unwrap();
    fs::copy(theirs.path().join(second), ours.path().join(second)).unwrap();
    let _ = fs::remove_file(names[1].with_extension("idx"));
    let (writer, reader) = open(ours.path(), &small());
    assert!(writer.read_only().unwrap().contains("does not follow"));
    for from in 1..=200 {
        let read = Read { from: Some(from), limit: Some(1), ..Read::query(Query::All) };
        let answer = reader.read(read).unwrap().cursor.next_batch();
        if let Ok(batch) = answer {
            let is_ours = |e: &factum_core::RecordedEvent| e.event_type().as_str() == "ours";
            assert!(batch.events.iter().all(is_ours), "{from}");
        }
    }
}

/// Cause: an event from behind lost ones was delivered with those before them, and a consumer who
/// went on from there was told that it had caught up. Fix: nothing from behind a hole is delivered.
#[test]
fn a_stream_with_a_hole_is_read_up_to_it_and_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let ends = three(dir.path());
    let (mut writer, reader) = open(dir.path(), &Options::default());
    for n in 4..=5 {
        writer.step(vec![append("s-1", [event(n, "t", "x")])]).pop().unwrap().unwrap();
    }
    writer.step(vec![metadata("s-1")]).pop().unwrap().unwrap();
    drop((writer, reader));
    change(dir.path(), ends[1] as usize + 40, 1);
    let (_writer, reader) = open(dir.path(), &Options::default());
    let mut cursor = reader.read(Read::stream(name("s-1"))).unwrap().cursor;
    let revisions = |batch: factum_core::Batch| {
        batch.events.iter().map(|event| event.revision().0).collect::<Vec<_>>()
    };
    assert_eq!(revisions(cursor.next_batch().unwrap()), [0, 1]);
    assert!(matches!(cursor.next_batch(), Err(ReadError::Damaged { .. })));
    let select = factum_core::Select::Stream(name("s-1"));
    let behind = factum_core::Subscribe { select, after: Some(2) };
    let answer = reader.subscribe(behind).unwrap().next_batch();
    let told = answer.map(revisions);
    assert!(matches!(&told, Ok(found) if *found == [3, 4]) || told.is_err(), "{told:?}");
}

fn metadata(stream: &str) -> factum_log::Job {
    let change = factum_core::Change::SetMetadata(factum_core::StreamMetadata::default());
    let limits = Options::default().limits;
    factum_log::Job::change(name(stream), change, None, &limits).unwrap()
}

/// Cause: metadata that was lost read as none, so that what it hid came back, and a tracked
/// position that was lost as never given. Fix: both are reported as damaged.
#[test]
fn lost_metadata_and_tracking_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let ends = three(dir.path());
    let (mut writer, _reader) = open(dir.path(), &Options::default());
    writer.step(vec![append("other-1", [event(9, "t", "x")])]).pop().unwrap().unwrap();
    drop((writer, _reader));
    change(dir.path(), ends[1] as usize + 40, 1);
    let (_writer, reader) = open(dir.path(), &Options::default());
    let damaged = |error: ReadError| matches!(error, ReadError::Damaged { .. });
    assert!(damaged(reader.metadata(&name("other-1")).unwrap_err()));
    assert!(damaged(reader.tracked("source").unwrap_err()));
    let mut cursor = reader.read(Read::stream(name("other-1"))).unwrap().cursor;
    assert!(damaged(cursor.next_batch().unwrap_err()));
}

/// Cause: every byte of a torn payload that looked like the head of a frame cost a checksum of up
/// to 64 MiB. Fix: a head must fit its place, and there is an end to looking.
#[test]
fn a_torn_payload_that_looks_like_frames_is_opened_soon() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _reader) = open(dir.path(), &Options::default());
    writer.step(vec![append("s-1", [event(1, "t", "x")])]).pop().unwrap().unwrap();
    // No checksum, flags and time; 60 MiB, ordinal 1, ten bytes pending, no events.
    let mut head = vec![0u8; 4 + 1 + 8];
    head.extend_from_slice(&[0x80, 0x80, 0x80, 0x1e, 1, 10, 0]);
    let said = factum_log::format::frame::FrameHeader::decode(&head).unwrap();
    assert_eq!((said.len, said.head_bytes()), (60 << 20, head.len()));
    let payload = head.repeat((4 << 20) / head.len());
    let big = factum_core::EventData { data: payload.into(), ..event(2, "t", "") };
    writer.step(vec![append("s-1", [big])]).pop().unwrap().unwrap();
    drop((writer, _reader));
    let path = dir.path().join(FIRST);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end] ^= 1;
    fs::write(&path, bytes).unwrap();
    let start = std::time::Instant::now();
    let (writer, reader) = open(dir.path(), &Options::default());
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    assert!(writer.read_only().is_some() || everything(&reader).len() == 1);
}

#[test]
fn unfinished_files_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    let unfinished = dir.path().join("00000000000000000004.log.tmp");
    fs::write(&unfinished, "half a head").unwrap();
    let (_writer, reader) = open(dir.path(), &Options::default());
    assert!(!unfinished.exists());
    assert_eq!(everything(&reader).len(), 3);
}

#[test]
fn the_first_frame_is_where_the_format_says() {
    let dir = tempfile::tempdir().unwrap();
    let ends = three(dir.path());
    assert!(ends[0] as usize > FRAMES && ends[0] < FRAMES as u64 + 80, "{ends:?}");
}

#[test]
fn a_file_in_the_place_of_the_folder_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let error = factum_log::open(&path, Options::default()).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn the_store_is_dropped_in_good_order_while_reads_are_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    let append = Append::to(name("s-1"), [event(1, "t", "x")]);
    block_on(store.append(append)).unwrap();
    let select = factum_core::Select::Query(Query::All);
    let subscribe = factum_core::Subscribe { select, after: None };
    let mut batches = block_on(store.subscribe(subscribe)).unwrap();
    let first = block_on(factum_core::next_batch(&mut batches)).unwrap().unwrap();
    assert_eq!((first.events.len(), first.caught_up), (1, true));
    let closing = std::thread::spawn(move || store.close());
    let ended = block_on(factum_core::next_batch(&mut batches));
    assert!(matches!(ended, Some(Err(ReadError::Unavailable { .. }))), "{ended:?}");
    closing.join().unwrap();
    assert!(LogStore::open(dir.path(), Options::default()).is_err(), "a reader holds the folder");
    drop(batches);
    LogStore::open(dir.path(), Options::default()).unwrap();
}

/// Cause: a log that was closed in good order and then cut short between two frames looked like one
/// that a crash had ended there. Fix: closing says how far the log reached, in a file of its own.
#[test]
fn a_closed_log_that_is_cut_short_is_seen_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let ends = three(dir.path());
    let (mut writer, reader) = open(dir.path(), &Options::default());
    writer.close().unwrap();
    drop((writer, reader));
    let path = dir.path().join(FIRST);
    let whole = fs::read(&path).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for len in (4096..end).step_by(7).chain(ends.iter().map(|end| *end as usize)) {
        fs::write(&path, &whole[..len]).unwrap();
        let (writer, reader) = open(dir.path(), &Options::default());
        assert!(writer.read_only().is_some(), "cut at {len}");
        let mut cursor = reader.read(Read::query(Query::All)).unwrap().cursor;
        let mut found = 0;
        let told = loop {
            match cursor.next_batch() {
                Ok(batch) if batch.caught_up => break false,
                Ok(batch) => found += batch.events.len(),
                Err(_) => break true,
            }
        };
        assert!(told && found <= 3, "cut at {len}: an end of {found} events, and no error");
    }
    fs::write(&path, &whole).unwrap();
    let (writer, reader) = open(dir.path(), &Options::default());
    assert_eq!((writer.read_only(), everything(&reader).len()), (None, 3));
}

#[test]
fn a_closed_log_whose_newest_segment_is_gone_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(dir.path(), &small());
    for n in 1..=200u128 {
        writer.step(vec![append("s-1", [event(n, "t", &"x".repeat(900))])]);
    }
    writer.close().unwrap();
    drop((writer, reader));
    let mut logs: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.sort();
    let newest = logs.pop().unwrap();
    let bytes = fs::read(&newest).unwrap();
    fs::remove_file(&newest).unwrap();
    let (writer, reader) = open(dir.path(), &small());
    let why = writer.read_only().unwrap();
    assert!(why.contains("its end is gone"), "{why}");
    drop((writer, reader));
    // Put back, all is well: what was said is true for ever.
    fs::write(&newest, bytes).unwrap();
    for _ in 0..2 {
        let (mut writer, reader) = open(dir.path(), &small());
        assert_eq!((writer.read_only(), everything(&reader).len() >= 200), (None, true));
        let id = 1000 + u128::from(reader.head().0);
        writer.step(vec![append("s-1", [event(id, "t", "x")])]).pop().unwrap().unwrap();
    }
}
