//! One writer: a write and a sync, again and again.

use super::{FILE_BYTES, RECORD_BYTES, zeroed};
use crate::{
    payload::Payloads,
    sample::{Label, Sample},
};
use anyhow::Result;
use serde_json::json;
use std::{
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

/// Records in a write.
const BATCHES: [usize; 3] = [1, 100, 1000];

pub(super) fn run(path: &Path, time: Duration, label: &Label) -> Result<()> {
    let file = zeroed(path)?;
    for batch in BATCHES {
        let record = Payloads::new(RECORD_BYTES).take(batch).concat();
        let (mut sample, mut at, start) = (Sample::new(), 0, Instant::now());
        while start.elapsed() < time {
            let began = Instant::now();
            file.write_all_at(&record, at)?;
            file.sync_data()?;
            sample.ended(began, batch as u64, record.len() as u64);
            // Round and round: the file never grows.
            at = (at + record.len() as u64) % (FILE_BYTES - record.len() as u64);
        }
        sample.print(label, &json!({ "batch": batch }), start)?;
    }
    Ok(())
}
