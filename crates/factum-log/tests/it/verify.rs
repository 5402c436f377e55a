//! Verifying a folder and an open store: whole ones have no finding, damage has one in the right
//! file at the right offset, and not a byte changes.

use crate::tools::*;
use factum_log::{
    OpenError, Options, Reader, World, Writer,
    format::{
        frame::{FrameHeader, FramePlace},
        header::HEADER_BYTES,
    },
    verify::{Defect, Finding, Report, Severity, verify},
};
use std::{collections::BTreeMap, fs, path::Path};

fn fill(writer: &mut Writer, from: u128, count: u128) {
    for id in from..from + count {
        let stream = format!("s-{}", id % 3);
        let data = format!("{{\"n\":\"{}\"}}", "x".repeat(500));
        writer.step(vec![append(&stream, [event(id, "t", &data)])]).pop().unwrap().unwrap();
        write_indexes(writer);
    }
}

fn write_indexes(writer: &mut Writer) {
    for segment in writer.take_unindexed() {
        segment.write().unwrap();
    }
}

/// A closed store of three segments; the base of each.
fn store(dir: &Path) -> Vec<u64> {
    let (mut writer, reader) = open(dir, &small());
    fill(&mut writer, 1, 150);
    writer.close().unwrap();
    drop((writer, reader));
    let (mut writer, reader) = open(dir, &small());
    fill(&mut writer, 151, 100);
    writer.close().unwrap();
    drop((writer, reader));
    let bases: Vec<u64> =
        files(dir).keys().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
    assert_eq!(bases.len(), 3);
    bases
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

fn verified(dir: &Path) -> Report {
    let before = files(dir);
    let report = verify(dir, &World::default(), &mut |_| true).unwrap();
    assert!(files(dir) == before, "verifying changes nothing");
    report
}

fn log(base: u64) -> String {
    format!("{base:020}.log")
}

fn idx(base: u64) -> String {
    format!("{base:020}.idx")
}

#[test]
fn a_whole_store_has_no_finding() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let report = verified(dir.path());
    assert_eq!(report.findings, []);
    assert_eq!((report.segments, report.events, report.head.0), (3, 250, 250));
    assert!(report.store.is_some() && !report.is_damaged() && !report.is_partial);
    let bytes = files(dir.path())
        .iter()
        // The directory is derived of what is derived, and passed over.
        .filter(|(name, _)| name.ends_with(".log") || name.ends_with(".idx"))
        .map(|(_, b)| b.len() as u64)
        .sum::<u64>();
    assert_eq!(report.bytes, bytes);
}

/// The only finding after a change to a whole store, which must be in this file.
#[track_caller]
fn only(file: &str, change: impl FnOnce(&Path)) -> Finding {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    change(dir.path());
    let report = verified(dir.path());
    let [finding] = &*report.findings else { panic!("{:?}", report.findings) };
    assert_eq!(finding.file, dir.path().join(file), "{finding}");
    assert_eq!(report.is_damaged(), finding.severity <= Severity::Derived);
    finding.clone()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Offsets and heads of the frames of a segment.
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

#[test]
fn damage_is_found_where_it_is() {
    let bases = store(tempfile::tempdir().unwrap().path());
    let (first, second, third) = (bases[0], bases[1], bases[2]);

    let found = only(&log(second), |dir| flip(&dir.join(log(second)), 60));
    assert_eq!((found.offset, found.lost), (0, Some(second..=third - 1)), "the head");
    let found = only(&log(second), |dir| flip(&dir.join(log(second)), 1000));
    assert_eq!((found.offset, found.defect), (1000, Defect::NotZero), "beside the head");

    let mut at = 0;
    let found = only(&log(first), |dir| {
        at = frames(&dir.join(log(first)))[5].0;
        flip(&dir.join(log(first)), at + 40);
    });
    // The carry is the first frame; each append here is one frame of one event.
    assert_eq!((found.offset, found.lost), (at as u64, Some(5..=5)), "a frame");

    let found = only(&log(first), |dir| {
        let path = dir.join(log(first));
        let len = fs::read(&path).unwrap().len();
        assert!(frames(&path).last().unwrap().0 + 28 < len);
        flip(&path, len - 1);
    });
    assert_eq!((found.defect, found.lost), (Defect::NotZero, None), "behind the seal");

    let found = only(&idx(second), |dir| flip(&dir.join(idx(second)), 2000));
    assert_eq!((found.severity, found.offset), (Severity::Derived, 0), "a page");

    let found = only("CLOSED", |dir| flip(&dir.join("CLOSED"), 9));
    assert_eq!(found.severity, Severity::Derived);
}

#[test]
fn what_is_gone_is_found() {
    let bases = store(tempfile::tempdir().unwrap().path());
    let (first, second, third) = (bases[0], bases[1], bases[2]);

    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    fs::remove_file(dir.path().join(log(second))).unwrap();
    let findings = verified(dir.path()).findings;
    let lost = |finding: &Finding| finding.lost.clone() == Some(second..=third - 1);
    assert!(findings.iter().any(lost), "{findings:?}");

    let found = only(&log(second), |dir| {
        fs::remove_file(dir.join(log(first))).unwrap();
        fs::remove_file(dir.join(idx(first))).unwrap();
    });
    assert_eq!((found.offset, found.lost), (0, Some(1..=second - 1)));
    let found = only(&log(third), |dir| {
        let path = dir.join(log(third));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..frames(&path)[3].0]).unwrap();
    });
    assert!(found.to_string().contains("its end is gone"), "{found}");
}

#[test]
fn what_does_no_harm_is_said_too() {
    let newest = store(tempfile::tempdir().unwrap().path())[2];
    let found = only("notes.txt", |dir| fs::write(dir.join("notes.txt"), "x").unwrap());
    assert_eq!(found.severity, Severity::Foreign);
    let found = only("1.log.tmp", |dir| fs::write(dir.join("1.log.tmp"), "x").unwrap());
    assert_eq!(found.severity, Severity::Leftover);
    let found = only(&idx(1), |dir| fs::remove_file(dir.join(idx(1))).unwrap());
    assert_eq!((found.severity, found.defect), (Severity::Leftover, Defect::NoIndex));
    let found = only(&log(newest), |dir| {
        let path = dir.join(log(newest));
        let (at, header) = *frames(&path).last().unwrap();
        flip(&path, at + header.frame_bytes() + 9);
    });
    assert_eq!((found.severity, found.defect), (Severity::Leftover, Defect::Torn));
}

/// Writes another byte into a frame of the first segment, with a right checksum.
fn forge(path: &Path, nth: usize, change: impl FnOnce(&mut FrameHeader, &mut [u8])) {
    let (at, mut header) = frames(path)[nth];
    let mut bytes = fs::read(path).unwrap();
    let seed = u64::from_le_bytes(bytes[88..96].try_into().unwrap());
    let frame = &mut bytes[at..at + header.frame_bytes()];
    change(&mut header, frame);
    header.seal(frame, FramePlace { seed, offset: at as u64 });
    fs::write(path, bytes).unwrap();
}

#[test]
fn whole_frames_that_contradict_each_other_are_found() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let path = dir.path().join(log(1));
    let at = frames(&path)[9].0 as u64;
    forge(&path, 9, |header, _| header.recorded_at_ns = 0);
    let findings = verified(dir.path()).findings;
    let is_time = |one: &Finding| (one.offset, &one.defect) == (at, &Defect::Times);
    assert!(findings.iter().any(is_time), "{findings:?}");

    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let path = dir.path().join(log(1));
    let at = frames(&path)[9].0 as u64;
    // No name, then the event: length (2 bytes), flags, id, stream, type, and its revision.
    // Behind the head: how many names, flags, id, two numbers, and then the revision.
    forge(&path, 9, |header, frame| frame[header.head_bytes() + 1 + 1 + 16 + 2] += 1);
    let findings = verified(dir.path()).findings;
    assert!(!findings.is_empty());
    let goes_on = |one: &Finding| matches!(one.defect, Defect::Revisions { .. });
    assert!(findings.iter().all(goes_on) && findings[0].offset == at, "{findings:?}");
}

#[test]
fn an_index_that_says_something_else_is_found() {
    let found = only(&idx(1), |dir| {
        let path = dir.join(idx(1));
        let mut bytes = fs::read(&path).unwrap();
        // The last ordinal of the last id: whole pages, and a wrong answer.
        let page = bytes.len() / 4096 - 1;
        let last = bytes[..bytes.len() - 4].iter().rposition(|byte| *byte != 0).unwrap();
        bytes[last] ^= 1;
        let mut sum = crc32c::crc32c(&fs::read(dir.join(log(1))).unwrap()[88..96]);
        sum = crc32c::crc32c_append(sum, &(page as u64).to_le_bytes());
        sum = crc32c::crc32c_append(sum, &bytes[page * 4096..page * 4096 + 4092]);
        bytes[page * 4096 + 4092..].copy_from_slice(&sum.to_le_bytes());
        fs::write(path, bytes).unwrap();
    });
    assert_eq!((found.severity, found.defect), (Severity::Derived, Defect::IndexDiffers));
}

#[test]
fn a_folder_that_is_in_use_is_not_looked_at_and_lookers_keep_writers_out() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let open = open(dir.path(), &small());
    let refused = verify(dir.path(), &World::default(), &mut |_| true);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
    drop(open);
    let mut tried = 0;
    let report = verify(dir.path(), &World::default(), &mut |_| {
        if tried == 0 {
            let opened = factum_log::open(dir.path(), Options::default());
            assert!(matches!(opened, Err(OpenError::Locked { .. })), "a writer must wait");
            assert!(verify(dir.path(), &World::default(), &mut |_| true).is_ok(), "two may look");
        }
        tried += 1;
        true
    });
    assert!(report.unwrap().findings.is_empty() && tried > 0);
}

#[test]
fn a_folder_without_a_store_and_a_stop_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let none = verify(dir.path(), &World::default(), &mut |_| true);
    assert!(matches!(none, Err(OpenError::NoStore { .. })), "{none:?}");
    store(dir.path());
    let report = verify(dir.path(), &World::default(), &mut |_| false).unwrap();
    assert!(report.is_partial && report.segments == 1);
}

fn live(reader: &Reader) -> Report {
    reader.verify(&mut |_| true).unwrap()
}

#[test]
fn an_open_store_is_verified_while_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let bases = store(dir.path());
    let (mut writer, reader) = open(dir.path(), &small());
    std::thread::scope(|scope| {
        let growing = scope.spawn(|| {
            fill(&mut writer, 251, 200);
        });
        loop {
            let over = growing.is_finished();
            let report = live(&reader);
            assert_eq!(report.findings, []);
            if over {
                assert_eq!((report.events, report.head.0), (450, 450));
                break;
            }
        }
    });
    let at = frames(&dir.path().join(log(bases[1])))[7].0;
    flip(&dir.path().join(log(bases[1])), at + 30);
    flip(&dir.path().join(idx(bases[0])), 20);
    let findings = live(&reader).findings;
    let found: Vec<_> = findings.iter().map(|one| (one.severity, one.offset)).collect();
    assert_eq!(found, [(Severity::Derived, 0), (Severity::Damage, at as u64)]);
    // The last append: no frame after it proves that it was acknowledged, but the store knows.
    let names = files(dir.path());
    let newest = names.keys().rfind(|name| name.ends_with(".log")).unwrap();
    let path = dir.path().join(newest);
    let at = frames(&path).last().unwrap().0;
    flip(&path, at + 30);
    let found = live(&reader).findings.pop().unwrap();
    assert_eq!((found.severity, found.offset), (Severity::Damage, at as u64));
}
