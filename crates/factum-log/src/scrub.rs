//! Scrubbing: sealed segments and their index files are read again in the background, slowly, so
//! that what rots on the disk is found while there is still a good copy somewhere.
//!
//! Less than verifying, and without its memory: every checksum, and nothing that needs more than a
//! piece of a file at once. What must hold: it never changes a segment, never stops the store, and
//! never goes faster than it is told. A damaged index file is made anew, as it is derived.

use crate::{
    copy::Walk,
    disk::Mode,
    error::{Damage, Fault},
    index::{PAGE, is_whole},
    planted::{Bug, is_on},
    recovery::reindex_segment,
    rewrite::{Halt, Pace, Stop},
    segment::{Segment, index_path},
    shared::{Counters, Shared},
};
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes read at once.
const PIECE_BYTES: u64 = 256 << 10;
/// A store so large that it would take longer than this at the set pace is read faster.
const PASS_TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// From the beginning of one pass to that of the next, at least.
const PASS_TIME_MIN: Duration = Duration::from_secs(24 * 3600);
/// Files whose damage is remembered, at most.
const DAMAGED_MAX: usize = 1_000;

/// What scrubbing has done since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Scrubbed {
    pub(crate) bytes: AtomicU64,
    pub(crate) passes: AtomicU64,
    pub(crate) found: AtomicU64,
    pub(crate) mended: AtomicU64,
    /// When the last pass ended: seconds since 1970; 0 before.
    pub(crate) last_pass_s: AtomicU64,
    damaged: Mutex<BTreeMap<PathBuf, Fault>>,
}

impl Scrubbed {
    /// The damage that is known now, a file each.
    pub(crate) fn damaged(&self) -> Vec<Fault> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.values().cloned().collect()
    }

    fn note(&self, file: PathBuf, looked_at: Result<(), Fault>) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        match looked_at {
            Ok(()) => drop(damaged.remove(&file)),
            Err(fault) => {
                Counters::add(&self.found, 1);
                if damaged.len() < DAMAGED_MAX {
                    damaged.insert(file, fault);
                }
            }
        }
    }
}

/// Scrubs until it is stopped.
pub(crate) fn scrub(shared: &Shared, stop: &Stop) {
    while !stop.is_stopped() {
        let began_ns = shared.ticks_ns();
        if pass(shared, stop).is_err() {
            return;
        }
        let took = Duration::from_nanos(shared.since_ns(began_ns));
        stop.wait(PASS_TIME_MIN.saturating_sub(took));
    }
}

/// Reads everything that is sealed, once. What is found is noted; an error says that it was
/// stopped.
pub(crate) fn pass(shared: &Shared, stop: &Stop) -> Result<(), Halt> {
    let bytes: u64 = shared.segments().iter().map(|segment| segment.end()).sum();
    let rate = shared.options.scrub_bytes_per_second.max(bytes / PASS_TIME_MAX.as_secs());
    let mut pace = Pace::new(stop, Some(rate));
    for base in shared.sealed_bases() {
        // What is looked at is what is there when its turn comes: it may have been rewritten.
        let Some(segment) = shared.sealed_segment(base) else { continue };
        let mut scrubber = Scrubber { shared, segment: &segment, pace: &mut pace };
        // A moved segment was read back when it was moved; each pass would fetch all of it again.
        let log = if segment.file.is_remote() { Ok(()) } else { scrubber.log()? };
        let index = scrubber.index()?;
        shared.scrubbed.note(segment.path.clone(), log);
        let path = index_path(&shared.dir, base);
        let index = match index {
            Err(Fault::Damaged { .. }) if shared.has_segment(&segment) => {
                scrubber.mend_index().inspect(|()| Counters::add(&shared.scrubbed.mended, 1))
            }
            looked_at => looked_at,
        };
        shared.scrubbed.note(path, index);
    }
    let now_s = u64::try_from(shared.now().0 / 1_000_000_000).unwrap_or(0);
    shared.scrubbed.last_pass_s.store(now_s, Ordering::Relaxed);
    Counters::add(&shared.scrubbed.passes, 1);
    Ok(())
}

struct Scrubber<'a, 'b> {
    shared: &'a Shared,
    segment: &'a Segment,
    pace: &'a mut Pace<'b>,
}

impl Scrubber<'_, '_> {
    /// Every frame, up to the seal.
    fn log(&mut self) -> Result<Result<(), Fault>, Halt> {
        let segment = self.segment;
        // What opening found is known already.
        if let Some(missing) = segment.missing.first() {
            return Ok(Err(segment.fault(missing.offset, missing.what)));
        }
        let mut walk = Walk::new(&segment.header);
        let end = segment.end();
        let mut bytes = Vec::new();
        loop {
            let mut taken = 0;
            while !walk.is_sealed {
                match walk.step(bytes.get(taken..).unwrap_or_default()) {
                    Ok(Some(frame)) => taken += frame.frame_bytes(),
                    Ok(None) => break,
                    Err(what) => return Ok(Err(segment.fault(walk.at, what))),
                }
            }
            bytes.drain(..taken);
            let have = walk.at + bytes.len() as u64;
            if walk.is_sealed {
                return Ok(Ok(()));
            }
            if have >= end {
                return Ok(Err(segment.fault(walk.whole, Damage::Unsealed)));
            }
            let from = bytes.len();
            let piece = (end - have).min(PIECE_BYTES);
            bytes.resize(from + usize::try_from(piece).expect("a piece is small"), 0);
            let read = segment.file.read_at(bytes.get_mut(from..).unwrap_or_default(), have);
            if let Err(error) = read {
                return Ok(Err(match error.kind() {
                    io::ErrorKind::UnexpectedEof => segment.fault(have, Damage::Unsealed),
                    _ => Fault::io("read", &segment.path)(error),
                }));
            }
            self.spend(piece)?;
        }
    }

    /// Every page of the index file, if there is one.
    fn index(&mut self) -> Result<Result<(), Fault>, Halt> {
        if self.segment.index.as_file().is_none() || is_on(Bug::SkipIndexScrub) {
            return Ok(Ok(()));
        }
        let path = index_path(&self.shared.dir, self.segment.base());
        let damaged = |page: u64| Fault::Damaged {
            file: path.clone(),
            offset: page * PAGE as u64,
            what: Damage::Index,
        };
        let open = || {
            let file = self.shared.options.world.disk.open(&path, Mode::Read)?;
            let len = file.len()?;
            Ok((file, len))
        };
        let (file, len) = match open().map_err(Fault::io("open", &path)) {
            Ok(opened) => opened,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < len {
            let piece = (len - at).min(PIECE_BYTES);
            bytes.resize(usize::try_from(piece).expect("a piece is small"), 0);
            if let Err(error) = file.read_at(&mut bytes, at) {
                return Ok(Err(Fault::io("read", &path)(error)));
            }
            for (number, page) in (at / PAGE as u64..).zip(bytes.chunks(PAGE)) {
                if !is_whole(page, self.segment.seed(), number) {
                    return Ok(Err(damaged(number)));
                }
            }
            at += piece;
            self.spend(piece)?;
        }
        Ok(Ok(()))
    }

    fn mend_index(&self) -> Result<(), Fault> {
        let files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mended = reindex_segment(&self.shared.dir, &self.shared.options, self.segment);
        drop(files);
        mended
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Halt> {
        Counters::add(&self.shared.scrubbed.bytes, bytes);
        self.pace.spend(bytes)
    }
}
