//! A bare group commit: threads that each want one record durable at a time. Whoever finds no sync
//! under way leads one, for all that wait.

use super::{FILE_BYTES, RECORD_BYTES, zeroed};
use crate::sample::{Label, Sample};
use anyhow::{Result, anyhow};
use serde_json::json;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

const THREADS: [usize; 3] = [1, 16, 64];

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Of the last record that was added, of the last that is durable.
    added: u64,
    durable: u64,
    syncing: bool,
    end: u64,
}

struct Group {
    file: File,
    pending: Mutex<Pending>,
    synced: Condvar,
}

pub(super) fn run(path: &Path, time: Duration, label: &Label) -> Result<()> {
    let file = zeroed(path)?;
    for threads in THREADS {
        let (pending, file) = (Mutex::default(), file.try_clone()?);
        let group = Group { file, pending, synced: Condvar::new() };
        let start = Instant::now();
        let samples = thread::scope(|scope| {
            let append = || group.append_until(start + time);
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(append)).collect();
            let join = all
                .into_iter()
                .map(|one| one.join().map_err(|_| anyhow!("a thread of the group panicked"))?);
            join.collect::<Result<Vec<_>>>()
        })?;
        Sample::sum(&samples)?.print(label, &json!({ "threads": threads }), start)?;
    }
    Ok(())
}

impl Group {
    fn append_until(&self, stop: Instant) -> Result<Sample> {
        let mut sample = Sample::new();
        while Instant::now() < stop {
            let began = Instant::now();
            self.append()?;
            sample.ended(began, 1, RECORD_BYTES as u64);
        }
        Ok(sample)
    }

    fn append(&self) -> Result<()> {
        let mut pending = self.lock();
        pending.bytes.extend_from_slice(&[7; RECORD_BYTES]);
        pending.added += 1;
        let mine = pending.added;
        while pending.durable < mine {
            if pending.syncing {
                pending = self.synced.wait(pending).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            pending.syncing = true;
            let bytes = std::mem::take(&mut pending.bytes);
            let (upto, at) = (pending.added, pending.end % (FILE_BYTES - bytes.len() as u64));
            pending.end = at + bytes.len() as u64;
            drop(pending);
            self.file.write_all_at(&bytes, at)?;
            self.file.sync_data()?;
            pending = self.lock();
            (pending.durable, pending.syncing) = (upto, false);
            self.synced.notify_all();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
