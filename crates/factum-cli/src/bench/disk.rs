//! What one sync costs on a disk, through the same door that the engine uses.

use super::measured::{Measured, Times};
use factum::log::disk::{Disk, File, Mode, OsDisk};
use serde::Serialize;
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Bytes of one write: about an append of one event.
const WRITE_BYTES: usize = 512;
/// A file of zeroes, written over and over.
const FILE_BYTES: usize = 16 << 20;

/// The two ways to write what is to be durable.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Syncs {
    /// Over zeroes that are durable already, as the engine does.
    pub(super) zero_filled: Measured,
    /// At the end of a file, so that each sync writes its new length too.
    pub(super) growing: Measured,
}

/// Ends the measurement when it is dropped: its thread is not left behind.
#[derive(Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Measures both, each for so long, unless it is stopped.
pub(super) fn syncs(dir: &Path, each: Duration, stopped: &AtomicBool) -> io::Result<Syncs> {
    let goes_on = |began: Instant| began.elapsed() < each && !stopped.load(Ordering::Relaxed);
    let file = OsDisk.open(&dir.join("zeroes"), Mode::Create)?;
    file.write_at(&vec![0; FILE_BYTES], 0)?;
    file.sync()?;
    let zero_filled = write_and_sync(&*file, FILE_BYTES, &goes_on)?;
    let file = OsDisk.open(&dir.join("growing"), Mode::Create)?;
    let growing = write_and_sync(&*file, usize::MAX, &goes_on)?;
    Ok(Syncs { zero_filled, growing })
}

/// Writes and syncs, begun anew at the end of so many bytes.
fn write_and_sync(
    file: &dyn File,
    until: usize,
    goes_on: &dyn Fn(Instant) -> bool,
) -> io::Result<Measured> {
    let bytes = [b'x'; WRITE_BYTES];
    let (began, mut times, mut at) = (Instant::now(), Times::default(), 0);
    while goes_on(began) {
        let write = Instant::now();
        file.write_at(&bytes, at as u64)?;
        file.sync()?;
        times.add(write.elapsed());
        at = if at + 2 * WRITE_BYTES > until { 0 } else { at + WRITE_BYTES };
    }
    Ok(times.measured(began.elapsed(), 0))
}
