//! Sorted pairs of (part of a hash, number) in buckets: the bucket of a key follows from the key
//! and the count alone, so a look-up reads one start and one bucket, however many pairs there are.
//!
//! Hashes are spread evenly, so that buckets are about equally full; where somebody chose names
//! that collide, a bucket is long, and a look-up slow and right.

use super::paged::Sequential;
use crate::{
    error::Fault,
    format::varint::{Reader, put},
};
use std::cmp::Ordering;

/// Pairs in a bucket, on average.
const BUCKET_PAIRS: u64 = 64;
/// The longest a pair or a count is.
const PAIR_BYTES_MAX: usize = 10;

/// How many buckets so many pairs have.
pub(super) fn buckets(pairs: u64) -> u64 {
    pairs.div_ceil(BUCKET_PAIRS)
}

/// Which of so many buckets a key belongs to.
pub(super) fn bucket_of(key: u32, buckets: u64) -> u64 {
    (u64::from(key) * buckets) >> u32::BITS
}

/// The least key of a bucket, or a little less.
fn floor(bucket: u64, buckets: u64) -> u32 {
    let floor = (bucket << u32::BITS).checked_div(buckets).unwrap_or(0);
    u32::try_from(floor).unwrap_or(u32::MAX)
}

/// Makes a table of pairs that come in ascending order.
#[derive(Debug)]
pub(super) struct TableBuilder {
    buckets: u64,
    starts: Vec<u32>,
    /// The bucket in the making.
    pending: Vec<(u32, u32)>,
    bytes: usize,
}

impl TableBuilder {
    pub(super) fn new(pairs: u64) -> Self {
        let (starts, pending) = Default::default();
        Self { buckets: buckets(pairs), starts, pending, bytes: 0 }
    }

    /// Adds a pair; a bucket that is whole goes to `out`.
    pub(super) fn push(&mut self, (key, value): (u32, u32), out: &mut Vec<u8>) {
        while (self.starts.len() as u64) < bucket_of(key, self.buckets) {
            self.close(out);
        }
        self.pending.push((key, value));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let from = out.len();
        let bucket = self.starts.len() as u64;
        self.starts.push(u32::try_from(self.bytes).expect("a table is smaller than 4 GiB"));
        put(out, self.pending.len() as u64);
        let largest = self.pending.iter().map(|pair| pair.1).max();
        if let Some(width) = largest.map(|value| u32::BITS - value.leading_zeros()) {
            put(out, width.into());
            let mut before = floor(bucket, self.buckets);
            for (key, value) in self.pending.drain(..) {
                put(out, u64::from(key - before) << width | u64::from(value));
                before = key;
            }
        }
        self.bytes += out.len() - from;
    }

    /// Where each bucket begins, and the end of the last.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Vec<u32> {
        while (self.starts.len() as u64) < self.buckets {
            self.close(out);
        }
        self.starts.push(u32::try_from(self.bytes).expect("a table is smaller than 4 GiB"));
        self.starts
    }
}

/// The numbers that a bucket has for a key; `None` if it makes no sense.
pub(super) fn values(bytes: &[u8], key: u32, buckets: u64) -> Option<Vec<u32>> {
    let mut reader = Reader::new(bytes);
    let mut at = floor(bucket_of(key, buckets), buckets);
    let mut found = Vec::new();
    let (count, width) = read_head(&mut reader)?;
    for _ in 0..count {
        let (step, value) = split(reader.varint()?, width)?;
        at = at.checked_add(step)?;
        match at.cmp(&key) {
            Ordering::Less => {}
            Ordering::Equal => found.push(value),
            // They ascend: the rest is of others.
            Ordering::Greater => return Some(found),
        }
    }
    reader.is_at_end().then_some(found)
}

/// How many pairs a bucket has, and how many bits of each are the number.
fn read_head(reader: &mut Reader<'_>) -> Option<(u64, u32)> {
    let count = reader.varint()?;
    let width = if count == 0 { 0 } else { reader.varint_u32()? };
    (width <= u32::BITS).then_some((count, width))
}

/// Difference of key, and number.
fn split(pair: u64, width: u32) -> Option<(u32, u32)> {
    let value = pair & ((1 << width) - 1);
    Some((u32::try_from(pair >> width).ok()?, u32::try_from(value).ok()?))
}

/// Reads a table from front to back.
#[derive(Debug)]
pub(super) struct TableReader<'a> {
    bytes: Sequential<'a>,
    buckets: u64,
    next_bucket: u64,
    left: u64,
    width: u32,
    at: u32,
}

impl<'a> TableReader<'a> {
    pub(super) fn new(bytes: Sequential<'a>, pairs: u64) -> Self {
        Self { bytes, buckets: buckets(pairs), next_bucket: 0, left: 0, width: 0, at: 0 }
    }

    fn pair(&mut self) -> Result<Option<(u32, u32)>, Fault> {
        while self.left == 0 {
            if self.next_bucket == self.buckets {
                return Ok(None);
            }
            (self.left, self.width) = self.bytes.parse(2 * PAIR_BYTES_MAX, read_head)?;
            self.at = floor(self.next_bucket, self.buckets);
            self.next_bucket += 1;
        }
        self.left -= 1;
        let (at, width) = (self.at, self.width);
        let pair = self.bytes.parse(PAIR_BYTES_MAX, |reader| {
            let (step, value) = split(reader.varint()?, width)?;
            Some((at.checked_add(step)?, value))
        })?;
        self.at = pair.0;
        Ok(Some(pair))
    }
}

impl Iterator for TableReader<'_> {
    type Item = Result<(u32, u32), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pair().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn every_pair_is_found_in_its_bucket() {
        proptest!(|(mut pairs in vec((any::<u32>(), 0u32..9), 1..500), hot in any::<u32>())| {
            pairs.extend((0..100).map(|n| (hot, n)));
            pairs.sort_unstable();
            let count = pairs.len() as u64;
            let (mut table, mut bytes) = (TableBuilder::new(count), Vec::new());
            pairs.iter().for_each(|pair| table.push(*pair, &mut bytes));
            let starts = table.finish(&mut bytes);
            prop_assert_eq!(starts.len() as u64, buckets(count) + 1);
            for key in pairs.iter().map(|pair| pair.0).chain([0, 7, u32::MAX]) {
                let bucket = usize::try_from(bucket_of(key, buckets(count))).unwrap();
                let bytes = &bytes[starts[bucket] as usize..starts[bucket + 1] as usize];
                let expected: Vec<u32> =
                    pairs.iter().filter(|pair| pair.0 == key).map(|pair| pair.1).collect();
                prop_assert_eq!(values(bytes, key, buckets(count)), Some(expected));
            }
        });
    }
}
