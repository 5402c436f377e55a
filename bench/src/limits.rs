//! What the machine allows, with no event store in the way: syncs of one writer, a bare group
//! commit of many threads, a scan of a framed log.

mod group;
mod scan;
mod sync;

use crate::sample::Label;
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes of an event of 256 with its name, numbers and checksum.
const RECORD_BYTES: usize = 320;

/// Bytes of zeroes that a file is made of; a run goes through it again and again.
const FILE_BYTES: u64 = 256 << 20;
const PIECE_BYTES: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct Limit {
    /// Which
    kind: Kind,
    /// A folder on the disk in question
    #[arg(long)]
    dir: PathBuf,
    /// Seconds that are measured
    #[arg(long, default_value_t = 2.0)]
    secs: f64,
    /// Number of the run, for the record
    #[arg(long, default_value_t = 1)]
    run: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// One thread: write and sync, 1, 100 and 1,000 records at once
    Sync,
    /// 1 to 64 threads that share syncs
    Group,
    /// A framed log with checksums, read record by record
    Scan,
}

impl Limit {
    /// Measures, prints, and leaves no file behind.
    pub(crate) fn run(&self) -> Result<()> {
        let path = self.dir.join("limit.dat");
        let time = Duration::from_secs_f64(self.secs);
        let label = |work| Label { peer: "machine".to_owned(), work, run: self.run };
        let outcome = match self.kind {
            Kind::Sync => sync::run(&path, time, &label("sync")),
            Kind::Group => group::run(&path, time, &label("group")),
            Kind::Scan => scan::run(&path, &label("scan")),
        };
        std::fs::remove_file(&path)?;
        outcome
    }
}

/// A new file, written with zeroes and synced.
fn zeroed(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeroes = vec![0; PIECE_BYTES];
    for at in (0..FILE_BYTES).step_by(PIECE_BYTES) {
        file.write_all_at(&zeroes, at)?;
    }
    file.sync_all()?;
    Ok(file)
}
