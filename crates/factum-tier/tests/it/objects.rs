//! Objects: whole and in parts, found, gone, and a storage that is not there.

use crate::emulator::{Emulator, at_port};
use factum_log::{
    disk::{Disk, File, Mode, OsDisk},
    tier::{ColdError, ColdStore},
};
use std::{net::TcpListener, time::Instant};

fn file(dir: &tempfile::TempDir, len: usize) -> (Box<dyn File>, Vec<u8>) {
    let bytes: Vec<u8> = (0..len).map(|at| (at * 31 + at / 977) as u8).collect();
    let file = OsDisk.open(&dir.path().join("file"), Mode::Create).unwrap();
    file.write_at(&bytes, 0).unwrap();
    (file, bytes)
}

#[test]
fn objects_come_back_byte_for_byte_whole_and_in_parts() {
    let Some(emulator) = Emulator::start("objects::objects_come_back") else { return };
    let (tier, dir) = (emulator.tier("segments"), tempfile::tempdir().unwrap());
    for len in [1_000, 20 << 20] {
        let (file, bytes) = file(&dir, len);
        tier.put("a/1.log", &*file, len as u64).unwrap();
        assert_eq!(tier.get("a/1.log", 10..900).unwrap(), bytes[10..900]);
        let end = len as u64;
        assert_eq!(tier.get("a/1.log", end - 100..end).unwrap(), bytes[len - 100..]);
        assert_eq!(tier.list().unwrap(), [("a/1.log".to_owned(), len as u64)]);
    }
    tier.delete("a/1.log").unwrap();
    tier.delete("a/1.log").unwrap();
    assert!(tier.list().unwrap().is_empty());
    assert!(matches!(tier.get("a/1.log", 0..10), Err(ColdError::Gone)));
}

#[test]
fn a_bucket_that_is_not_there_takes_nothing() {
    let Some(emulator) = Emulator::start("objects::a_bucket_that_is_not_there") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = file(&dir, 100);
    assert!(emulator.tier("nowhere").put("a", &*file, 100).is_err());
}

#[test]
fn nobody_there_is_told_and_does_not_take_for_ever() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tier = at_port(port, "segments");
    let began = Instant::now();
    let error = tier.get("a", 0..10).unwrap_err();
    assert!(matches!(error, ColdError::Unavailable { .. }), "{error}");
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// Somebody who listens and never answers.
#[test]
fn silence_is_told_after_the_time_that_a_read_may_take() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let tier = at_port(silent.local_addr().unwrap().port(), "segments");
    let began = Instant::now();
    let error = tier.get("a", 0..10).unwrap_err();
    assert!(error.to_string().contains("nothing came within 10 s"), "{error}");
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
}
