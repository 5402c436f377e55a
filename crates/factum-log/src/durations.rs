//! How long things took, counted in buckets of atomics: a few nanoseconds a value, no lock.
//!
//! Buckets are log-linear: sixteen of the same width between one power of two and the next, so that
//! what is read from them is at most 1/16 too much, from nanoseconds to a minute.

use factum_core::{Bucket, Histogram};
use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets between a power of two and the next, as an exponent.
const LINEAR_BITS: u32 = 4;
/// Durations from 2^36 ns (69 s) on are counted in the last bucket.
const MAX_BITS: u32 = 36;
const BUCKETS: usize = ((MAX_BITS - LINEAR_BITS + 1) as usize) << LINEAR_BITS;

/// Durations, counted.
#[derive(Debug)]
pub(crate) struct Durations {
    buckets: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Default for Durations {
    fn default() -> Self {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Self { buckets, sum_ns: AtomicU64::new(0) }
    }
}

impl Durations {
    /// Counts one.
    pub(crate) fn add(&self, ns: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(ns)) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// What was counted, in seconds.
    pub(crate) fn histogram(&self, name: &str, help: &str) -> Histogram {
        let buckets = self.buckets.iter().enumerate().map(|(index, bucket)| Bucket {
            up_to: seconds(up_to_ns(index)),
            count: bucket.load(Ordering::Relaxed),
        });
        Histogram {
            name: name.into(),
            help: help.into(),
            buckets: buckets.filter(|bucket| bucket.count > 0).collect(),
            sum: seconds(self.sum_ns.load(Ordering::Relaxed)),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "past 104 days a nanosecond does not matter")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The first buckets have a nanosecond each; then each power of two has its row of them.
fn bucket_of(ns: u64) -> usize {
    let ns = ns.min((1 << MAX_BITS) - 1);
    let row = (u64::BITS - ns.leading_zeros()).saturating_sub(LINEAR_BITS + 1);
    ((row as usize) << LINEAR_BITS) + (ns >> row) as usize
}

/// The largest duration of a bucket.
fn up_to_ns(index: usize) -> u64 {
    let row = (index >> LINEAR_BITS).saturating_sub(1);
    let in_row = (index - (row << LINEAR_BITS)) as u64;
    ((in_row + 1) << row) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_a_bucket_that_is_at_most_a_sixteenth_too_long() {
        let powers = (0..MAX_BITS).flat_map(|bits| {
            let power = 1_u64 << bits;
            [power - 1, power, power + 1, power + power / 3]
        });
        for ns in powers {
            let up_to = up_to_ns(bucket_of(ns));
            assert!(ns <= up_to && up_to - ns <= ns / 16, "{ns} is in the bucket up to {up_to}");
        }
    }

    #[test]
    fn buckets_ascend_and_each_ends_in_itself() {
        let ends: Vec<u64> = (0..BUCKETS).map(up_to_ns).collect();
        assert!(ends.is_sorted_by(|one, next| one < next));
        assert!(ends.iter().enumerate().all(|(index, end)| bucket_of(*end) == index));
    }

    #[test]
    fn the_longest_are_counted_too() {
        let durations = Durations::default();
        for ns in [0, 1_000_000, u64::MAX] {
            durations.add(ns);
        }
        let told = durations.histogram("append_seconds", "Appends");
        assert_eq!((told.count(), told.buckets.len()), (3, 3));
        assert!(told.quantile(0.5).is_some_and(|seconds| (0.001..0.001_1).contains(&seconds)));
    }
}
