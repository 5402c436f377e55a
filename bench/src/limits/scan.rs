//! A framed log (length, checksum, body), read in large pieces and checked record by record.

use super::{PIECE_BYTES, RECORD_BYTES};
use crate::sample::{Label, Sample};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
    time::Instant,
};

const RECORDS: u64 = 1_000_000;
const HEAD_BYTES: usize = 8;

pub(super) fn run(path: &Path, label: &Label) -> Result<()> {
    let mut file = BufWriter::with_capacity(PIECE_BYTES, File::create(path)?);
    let record = record();
    for _ in 0..RECORDS {
        file.write_all(&record)?;
    }
    file.into_inner()?.sync_all()?;
    // The first pass only fills the page cache.
    scan(path)?;
    let (mut sample, start) = (Sample::new(), Instant::now());
    let records = scan(path)?;
    sample.ended(start, records, records * RECORD_BYTES as u64);
    sample.print(label, &json!({ "records": RECORDS }), start)
}

fn record() -> Vec<u8> {
    let body = [9; RECORD_BYTES - HEAD_BYTES];
    let mut record = (body.len() as u32).to_le_bytes().to_vec();
    record.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    record.extend_from_slice(&body);
    record
}

fn scan(path: &Path) -> Result<u64> {
    let mut file = BufReader::with_capacity(PIECE_BYTES, File::open(path)?);
    let (mut head, mut body, mut records) = ([0; HEAD_BYTES], Vec::new(), 0);
    while !file.fill_buf()?.is_empty() {
        file.read_exact(&mut head)?;
        let (length, sum) = head.split_at(4);
        body.resize(u32::from_le_bytes(length.try_into()?) as usize, 0);
        file.read_exact(&mut body)?;
        let expected = u32::from_le_bytes(sum.try_into().context("four bytes")?);
        ensure!(crc32c::crc32c(&body) == expected, "a record is damaged");
        records += 1;
    }
    Ok(records)
}
