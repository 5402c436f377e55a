//! What opening a folder says of it: in use, of a newer release, torn, damaged.

use crate::tools::*;
use factum_core::{Append, AppendError, EventStore, Query, Read, ReadError};
use factum_log::{LogStore, OpenError, Options};
use std::{fs, path::Path};

const FIRST: &str = "00000000000000000001.log";
/// Where the first frame after the carry begins: the head, and a frame with an empty carry.
const FRAMES: usize = 4096 + 28 + 1;

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
