//! Compressed files that are not what they were: named, never served, and all else goes on.

use super::*;
use factum_core::{Query, Read, ReadError};

/// Bytes of the head.
const TABLE_AT: usize = 48 + 4096;
/// Somewhere in the first of three blocks.
const IN_FIRST: usize = TABLE_AT + 3 * 8 + 1000;

fn len(folder: &Folder) -> usize {
    fs::metadata(folder.file(".zst")).unwrap().len().try_into().unwrap()
}

/// Flips a bit of the first compressed file.
fn flip(folder: &Folder, at: usize) -> PathBuf {
    let path = folder.file(".zst");
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    path
}

fn read_from(reader: &Reader, from: u64) -> Result<usize, ReadError> {
    let read = Read { from: Some(from), limit: Some(1), ..Read::query(Query::All) };
    let mut cursor = reader.read(read)?.cursor;
    Ok(cursor.next_batch()?.events.len())
}

fn damaged(reader: &Reader, position: u64) -> String {
    match read_from(reader, position) {
        Err(ReadError::Damaged { what }) => what.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_block_is_named_with_its_file_and_offset_and_all_else_is_read() {
    let folder = Folder::packed();
    let second = packed().segments(folder.path()).unwrap()[1].base;
    let path = flip(&folder, IN_FIRST);
    let (mut writer, reader) = folder.open(&packed());
    let what = damaged(&reader, 1);
    assert!(what.contains(path.to_str().unwrap()) && what.contains("offset "), "{what}");
    assert_eq!(read_from(&reader, second), Ok(1));
    writer.step(vec![append("new-1", [event(99, "t", "{}")])]).remove(0).unwrap();
    assert!(reader.scrub(&Stop::default()));
    let found: Vec<_> = reader.damage_found().iter().map(ToString::to_string).collect();
    assert!(found.len() == 1 && found[0].contains(path.to_str().unwrap()), "{found:?}");
    let report = reader.verify(&mut |_| true).unwrap();
    assert!(report.is_damaged());
    let lost = report.findings[0].lost.clone().unwrap();
    assert!(lost.contains(&1) && !lost.contains(&second), "{:?}", report.findings);
}

/// Without an index a damaged block leaves a hole, and not the whole folder unread.
#[test]
fn without_its_index_the_store_opens_to_read_only_and_says_what_is_lost() {
    let folder = Folder::packed();
    let second = packed().segments(folder.path()).unwrap()[1].base;
    flip(&folder, len(&folder) - 1);
    for name in folder.names(".idx") {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let (writer, reader) = folder.open(&packed());
    let why = writer.read_only().unwrap();
    for part in [".log at offset ", "(.log.zst)", "cannot be read", "backup"] {
        assert!(why.contains(part), "{part} is not in {why}");
    }
    assert_eq!(read_from(&reader, 1), Ok(1), "the first block is whole");
    damaged(&reader, second - 1);
    assert_eq!(read_from(&reader, second), Ok(1));
}

#[test]
fn a_damaged_head_or_table_loses_that_segment_only() {
    for (at, is_writable) in [(8, false), (100, false), (TABLE_AT + 1, true)] {
        let folder = Folder::packed();
        let path = flip(&folder, at);
        let (writer, reader) = folder.open(&packed());
        let why = writer.read_only();
        assert_eq!(why.is_none(), is_writable, "byte {at}: {why:?}");
        let what = damaged(&reader, 1);
        let plain = path.to_str().unwrap().strip_suffix(".zst").unwrap();
        assert!(what.contains(plain) && what.contains(".log.zst"), "byte {at}: {what}");
        assert_eq!(read_from(&reader, 60), Ok(1), "byte {at}");
    }
}

#[test]
fn a_file_of_any_other_length_is_damaged() {
    let folder = Folder::packed();
    let last = packed().segments(folder.path()).unwrap()[1].base - 1;
    let path = folder.file(".zst");
    let whole = fs::read(&path).unwrap();
    let lengths = (0..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1]);
    for len in lengths {
        fs::write(&path, &whole[..len]).unwrap();
        let (_writer, reader) = folder.open(&packed());
        damaged(&reader, last);
        assert_eq!(read_from(&reader, 60), Ok(1), "{len} bytes");
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    damaged(&folder.open(&packed()).1, 1);
}

#[test]
fn bytes_of_another_segment_are_not_taken_for_this_ones() {
    let folder = Folder::packed();
    let names = folder.names(".zst");
    let (first, second) = (folder.path().join(&names[0]), folder.path().join(&names[1]));
    let (mut one, other) = (fs::read(&first).unwrap(), fs::read(second).unwrap());
    let from = TABLE_AT + 24;
    let len = (one.len() - from).min(other.len() - from);
    one[from..from + len].copy_from_slice(&other[from..from + len]);
    fs::write(&first, one).unwrap();
    damaged(&folder.open(&packed()).1, 1);
}

#[test]
fn what_a_later_release_compressed_is_refused_and_says_so() {
    let folder = Folder::packed();
    let path = folder.file(".zst");
    let mut bytes = fs::read(&path).unwrap();
    bytes[16] = 2;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..20]), &bytes[24..TABLE_AT]);
    bytes[20..24].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let refused = factum_log::open(folder.path(), on(&packed())).unwrap_err().to_string();
    assert!(refused.contains("version 2 of compressed segments"), "{refused}");
}

/// The compressed file is kept: it is all there is.
#[test]
fn a_damaged_file_is_not_brought_back_and_stays() {
    let folder = Folder::packed();
    let path = flip(&folder, IN_FIRST);
    let error = packed().expand(folder.path(), &mut |_| true).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert_eq!(folder.names(".zst"), [path.file_name().unwrap().to_str().unwrap()]);
    assert!(folder.names(".log").len() > 3, "the others are brought back");
    assert!(folder.names(".tmp").is_empty());
}

#[test]
fn a_segment_whose_head_is_damaged_is_not_compressed() {
    let folder = Folder::new();
    let path = folder.file(".log");
    OsDisk.open(&path, Mode::Write).unwrap().write_at(b"no head", 0).unwrap();
    let error = packed().compress(folder.path(), 3, &mut |_| true).unwrap_err();
    assert!(error.to_string().contains("no whole head"), "{error}");
    assert!(path.exists() && folder.names(".zst").is_empty() && folder.names(".tmp").is_empty());
}

/// What was damaged is put aside as it is, compressed, and what is whole goes on.
#[test]
fn a_damaged_file_can_be_put_aside() {
    use factum_log::quarantine::{Quarantine, quarantine};
    for (at, keeps) in [(IN_FIRST, true), (8, false)] {
        let folder = Folder::packed();
        let path = flip(&folder, at);
        let bytes = fs::read(&path).unwrap();
        let what = Quarantine { dir: folder.path(), segments: &[], keeps_whole: true };
        let losses = quarantine(&what, &on(&packed()).world).unwrap();
        assert_eq!((losses.len(), losses[0].kept > 0), (1, keeps), "byte {at}: {losses:?}");
        let aside = losses[0].aside.clone().unwrap();
        let aside = fs::read(format!("{}.zst", aside.display())).unwrap();
        assert_eq!(aside, bytes);
        assert!(!path.exists(), "the plain one that stands there is the segment");
        let (mut writer, reader) = folder.open(&packed());
        assert_eq!(writer.read_only(), None);
        writer.step(vec![append("new-1", [event(99, "t", "{}")])]).remove(0).unwrap();
        assert_eq!(read_from(&reader, 60), Ok(1));
        drop((writer, reader));
        assert_eq!(folder.compress(&packed()), 1, "the others are");
    }
}
