//! One bit flipped in each byte of a closed store: verifying says so, of the right file, at the
//! beginning of the append or page that it is in; and says nothing of a whole store.

use super::{Find, Meter, store::Closed};
use crate::{
    dice::Dice,
    disk::{Fs, SimDisk},
    work::{Stage, folder},
};
use factum_log::{
    format::{frame::FrameHeader, header::HEADER_BYTES},
    rewrite::Stop,
    verify::{Report, verify},
};
use std::path::{Path, PathBuf};

/// Bytes of a segment's head that its checksum covers.
const HEADER_CHECKED: usize = 128;
/// Bytes of the head and the table of a compressed segment, at most.
const PACKED_HEAD: usize = 4300;
/// Bytes of a page of an index.
const PAGE: usize = 4096;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let store = Closed::new(seed)?;
    let whole = report(&store.disk)?;
    if !whole.findings.is_empty() {
        return Err(format!("a whole store: {:?}", whole.findings));
    }
    let mut dice = Dice::new(seed);
    let newest = store.files.iter().rfind(|(path, _)| is_log(path));
    let newest = newest.expect("there is a segment").0.clone();
    while !meter.is_over() && meter.done < PLACES {
        let (path, content) = &store.files[dice.index(store.files.len())];
        let bytes = store.disk.bytes(store.disk.find(path).expect("it is there")).to_vec();
        let at = if dice.one_in(8) { dice.index(bytes.len()) } else { dice.index(*content) };
        let bit = dice.below(8);
        let mut damaged = store.disk.clone();
        damaged.damage(path, |bytes| bytes[at] ^= 1 << bit);
        meter.done += 1;
        let found = report(&damaged)?;
        let checked = match plain(path) {
            Some(plain) => check_packed(&found, &plain),
            None => check(&found, path, place(path, &bytes, at, *path == newest)),
        };
        checked.map_err(|find| format!("bit {bit} of byte {at} of {}: {find}", path.display()))?;
        if dice.one_in(4) && *path != newest && at < *content {
            let is_frame = match plain(path) {
                // The first block has most of the frames.
                Some(_) => (PACKED_HEAD..*content / 2).contains(&at),
                None => is_log(path) && at >= HEADER_BYTES,
            };
            scrub(&store.disk, path, is_frame, |bytes| bytes[at] ^= 1 << bit)
                .map_err(|find| format!("byte {at} of {} scrubbed: {find}", path.display()))?;
        }
    }
    Ok(())
}

/// Scrubbing an open store finds damage to sealed frames, and mends index files.
fn scrub(
    disk: &Fs,
    path: &Path,
    is_frame: bool,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<(), Find> {
    let stage = Stage::new(SimDisk::new(disk.clone()), 0);
    let (_writer, reader) = stage.open().map_err(|error| error.to_string())?;
    stage.disk.with_fs(|fs| fs.damage(path, change));
    if !reader.scrub(&Stop::default()) {
        return Err("it was stopped".into());
    }
    let found = reader.damage_found();
    if is_frame && !found.iter().any(|one| one.to_string().starts_with(&*path.to_string_lossy())) {
        return Err(format!("found {found:?}"));
    }
    let report = reader.verify(&mut |_| true).map_err(|error| error.to_string())?;
    match report.findings.iter().find(|one| !is_log(&one.file)) {
        Some(left) => Err(format!("an index is damaged still: {left}")),
        None => Ok(()),
    }
}

/// Bytes looked at of one store.
const PLACES: u64 = 500;

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|one| one == "log")
}

/// The segment that a compressed file is of.
fn plain(path: &Path) -> Option<PathBuf> {
    let path = path.to_str().expect("names are plain").strip_suffix(".zst")?;
    Some(path.into())
}

/// Every byte of a compressed file counts, and events of that segment are lost by it, or none.
fn check_packed(report: &Report, plain: &Path) -> Result<(), Find> {
    let is_of_it = report.findings.iter().all(|one| one.file == plain);
    match is_of_it && report.is_damaged() {
        true => Ok(()),
        false => Err(format!("expected damage, found {:?}", report.findings)),
    }
}

fn report(disk: &Fs) -> Result<Report, Find> {
    let stage = Stage::new(SimDisk::new(disk.clone()), 0);
    stage.disk.record();
    let report = verify(&folder(), &stage.world(), &mut |_| true);
    if !stage.disk.take_trace().is_empty() {
        return Err("verifying changed the disk".into());
    }
    report.map_err(|error| error.to_string())
}

/// Where a finding about a byte must point, and whether bytes that count are damaged.
fn place(path: &Path, bytes: &[u8], at: usize, is_newest: bool) -> (usize, bool) {
    if !is_log(path) {
        return (at / PAGE * PAGE, true);
    }
    if at < HEADER_BYTES {
        return if at < HEADER_CHECKED { (0, true) } else { (at, true) };
    }
    let mut append = HEADER_BYTES;
    let mut next = HEADER_BYTES;
    loop {
        let header = bytes.get(next..).and_then(FrameHeader::decode);
        // Zeroes would make a head.
        let header = header.filter(|_| bytes[next..next + 4] != [0; 4]);
        match header {
            // What follows the newest segment's frames was never written.
            None => return if is_newest { (next, false) } else { (at, true) },
            Some(header) => {
                append = if header.first { next } else { append };
                next += header.frame_bytes();
            }
        }
        if at < next {
            return (append, true);
        }
    }
}

fn check(report: &Report, path: &Path, (offset, counts): (usize, bool)) -> Result<(), Find> {
    let points = |one: &factum_log::verify::Finding| {
        one.file == path && one.offset == offset as u64 && (!counts || one.severity.is_damage())
    };
    let of_others = report.findings.iter().filter(|one| one.file != path).count();
    if !report.findings.iter().any(points) || of_others > 0 || report.is_damaged() != counts {
        return Err(format!("expected offset {offset}, found {:?}", report.findings));
    }
    Ok(())
}
