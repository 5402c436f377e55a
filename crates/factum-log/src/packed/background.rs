//! Compressing sealed segments while the store serves, slowly, one after the other.
//!
//! Whatever is sealed gets its turn: what was there when the store was opened, what is sealed
//! later, what was written anew. Nobody waits for it, and what cannot be compressed stays as it is.

use super::{PackError, PackedDisk};
use crate::{
    rewrite::{Pace, Stop},
    shared::{Counters, Shared},
};
use std::{
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicU64},
    time::Duration,
};

/// How often it is looked whether there is a segment to compress.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after a failure: a full disk takes a while to become empty.
const RETRY: Duration = Duration::from_secs(60);

/// What came of it, since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    pub(crate) segments: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Why the last attempt failed, until one succeeds.
    trouble: Mutex<Option<Arc<str>>>,
}

impl Packing {
    pub(crate) fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trouble: Option<&PackError>) {
        if trouble.is_some() {
            Counters::add(&self.failures, 1);
        }
        let trouble = trouble.map(|error| error.to_string().into());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Compresses until it is stopped.
pub(crate) fn pack(shared: &Shared, (disk, level): (&PackedDisk, i32), stop: &Stop) {
    // Segments that were all looked at: the list is another one when one is sealed or replaced.
    let mut done = Weak::new();
    while !stop.is_stopped() {
        let segments = shared.segments();
        let list = Arc::downgrade(&segments);
        drop(segments);
        if Weak::ptr_eq(&done, &list) || shared.read_only().is_some() {
            stop.wait(LOOK);
            continue;
        }
        let passed = pass(shared, (disk, level), stop);
        shared.packing.note(passed.as_ref().err());
        match passed {
            Ok(()) => done = list,
            Err(_) => stop.wait(RETRY),
        }
    }
}

/// Compresses every sealed segment that is not.
fn pass(shared: &Shared, (disk, level): (&PackedDisk, i32), stop: &Stop) -> Result<(), PackError> {
    let mut pace = Pace::new(stop, Some(shared.options.compression_bytes_per_second));
    for base in shared.sealed_bases() {
        let Some(segment) = shared.sealed_segment(base).filter(|one| one.is_plain()) else {
            continue;
        };
        let watch = &mut |bytes| pace.spend(bytes).is_ok();
        if let Some(stored) = disk.compress_one(&shared.dir, (base, level), watch)? {
            segment.note_stored(stored);
            Counters::add(&shared.packing.segments, 1);
        }
        if stop.is_stopped() {
            break;
        }
    }
    Ok(())
}
