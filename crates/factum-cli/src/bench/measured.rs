//! Counts and times of one measurement. Pure.

use serde::Serialize;
use std::time::Duration;

/// Times that are kept; of more, only the count is.
pub(super) const TIMES_MAX: usize = 1 << 20;

/// How long each of some operations took.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    kept: Vec<Duration>,
    count: u64,
}

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.count += 1;
        if self.kept.len() < TIMES_MAX {
            self.kept.push(time);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn join(&mut self, other: Self) {
        self.count += other.count;
        let room = TIMES_MAX - self.kept.len();
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// As figures, of operations with so many events each, in so long.
    #[allow(clippy::cast_precision_loss, reason = "a rate past 2^53 may be rounded")]
    pub(super) fn measured(mut self, took: Duration, events: u64) -> Measured {
        self.kept.sort_unstable();
        let seconds = took.as_secs_f64().max(1e-9);
        Measured {
            per_second: self.count as f64 / seconds,
            events_per_second: events as f64 / seconds,
            p50_seconds: quantile(&self.kept, 50),
            p99_seconds: quantile(&self.kept, 99),
            count: self.count,
            per_sync: None,
        }
    }
}

fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default().as_secs_f64()
}

/// The figures of one measurement.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) events_per_second: f64,
    pub(super) p50_seconds: f64,
    pub(super) p99_seconds: f64,
    pub(super) count: u64,
    /// Appends that shared a sync, where the store tells.
    pub(super) per_sync: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_at_most_p50_and_99_of_100_at_most_p99() {
        let mut times = Times::default();
        (1..=100).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        let mut more = Times::default();
        more.add(Duration::from_millis(1_000));
        times.join(more);
        let measured = times.measured(Duration::from_secs(2), 1_010);
        assert_eq!(
            (measured.count, measured.per_second, measured.events_per_second),
            (101, 50.5, 505.0)
        );
        assert_eq!((measured.p50_seconds, measured.p99_seconds), (0.051, 0.1));
    }

    #[test]
    fn nothing_measured_is_no_time_and_no_panic() {
        let measured = Times::default().measured(Duration::ZERO, 0);
        assert_eq!((measured.count, measured.p99_seconds), (0, 0.0));
    }
}
