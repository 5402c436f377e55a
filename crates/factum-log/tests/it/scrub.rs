//! Scrubbing: what rots in sealed files is found while the store is open, and an index is mended.

use crate::tools::*;
use factum_core::EventStore;
use factum_log::{LogStore, Options, Reader, rewrite::Stop};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Three segments, the last of them not sealed; everything at once.
fn fast() -> Options {
    Options { scrub_bytes_per_second: 1 << 30, ..small() }
}

fn store(dir: &Path) -> Vec<PathBuf> {
    let (mut writer, reader) = open(dir, &fast());
    for id in 1..=250 {
        let data = format!("{{\"n\":\"{}\"}}", "x".repeat(500));
        writer.step(vec![append("s-1", [event(id, "t", &data)])]).pop().unwrap().unwrap();
        for segment in writer.take_unindexed() {
            segment.write().unwrap();
        }
    }
    writer.close().unwrap();
    drop((writer, reader));
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> =
        names.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    logs.sort();
    assert_eq!(logs.len(), 3);
    logs
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn scrubbed(reader: &Reader) -> Vec<String> {
    assert!(reader.scrub(&Stop::default()));
    reader.damage_found().iter().map(ToString::to_string).collect()
}

fn number(reader: &Reader, name: &str) -> u64 {
    reader.statistics().get(name).unwrap() as u64
}

#[test]
fn a_whole_store_is_read_again_and_nothing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let (_writer, reader) = open(dir.path(), &fast());
    assert_eq!(scrubbed(&reader), Vec::<String>::new());
    assert!(number(&reader, "scrub_bytes_total") > 120_000);
    assert_eq!(number(&reader, "scrub_passes_total"), 1);
    assert!(number(&reader, "scrub_last_pass_seconds") > 1_700_000_000);
}

#[test]
fn damage_to_the_log_is_found_in_its_file_and_gone_when_it_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let logs = store(dir.path());
    let (mut writer, reader) = open(dir.path(), &fast());
    flip(&logs[1], 9_000);
    let found = scrubbed(&reader);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains(logs[1].file_name().unwrap().to_str().unwrap()), "{found:?}");
    assert_eq!(
        (number(&reader, "scrub_damage_total"), number(&reader, "scrub_damaged_files")),
        (1, 1)
    );
    writer.step(vec![append("s-2", [event(999, "t", "{}")])]).pop().unwrap().unwrap();
    flip(&logs[1], 9_000);
    assert_eq!(scrubbed(&reader), Vec::<String>::new());
}

#[test]
fn a_damaged_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let logs = store(dir.path());
    let index = logs[0].with_extension("idx");
    let before = fs::read(&index).unwrap();
    let (_writer, reader) = open(dir.path(), &fast());
    for at in (0..before.len()).step_by(1_111) {
        flip(&index, at);
        assert_eq!(scrubbed(&reader), Vec::<String>::new(), "byte {at}");
        assert!(fs::read(&index).unwrap() == before, "byte {at}");
    }
    assert!(number(&reader, "scrub_mended_total") > 3);
    assert_eq!(everything(&reader).len(), 250);
    // Not where the segment itself is damaged.
    flip(&index, 5);
    flip(&logs[0], 9_000);
    assert_eq!(scrubbed(&reader).len(), 2);
}

#[test]
fn an_open_store_scrubs_by_itself_and_closes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let logs = store(dir.path());
    flip(&logs[0].with_extension("idx"), 70);
    let store = LogStore::open(dir.path(), fast()).unwrap();
    let begun = Instant::now();
    loop {
        let statistics = block_on(store.statistics()).unwrap();
        if statistics.get("scrub_passes_total").unwrap() > 0.0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no pass");
        std::thread::sleep(Duration::from_millis(2));
    }
    store.close();
    // Slower than the test may take: closing does not wait for it.
    let slow = Options { scrub_bytes_per_second: 1, ..small() };
    let begun = Instant::now();
    LogStore::open(dir.path(), slow).unwrap().close();
    assert!(begun.elapsed() < Duration::from_secs(20));
    let off = Options { scrub_bytes_per_second: 0, ..small() };
    let store = LogStore::open(dir.path(), off).unwrap();
    assert_eq!(number(&store.reader(), "scrub_bytes_total"), 0);
}
