//! What was measured, and the line of JSON that says it.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longest duration that is told from longer ones: ten minutes, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// Whose figure a line is.
#[derive(Clone)]
pub(crate) struct Label {
    pub(crate) peer: String,
    pub(crate) work: &'static str,
    pub(crate) run: u64,
}

/// The time that is measured: what began before it warmed up, what began after it does not count.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) start: Instant,
    pub(crate) stop: Instant,
}

impl Window {
    /// Begins after a warm-up.
    pub(crate) fn after(warm_up: Duration, time: Duration) -> Self {
        let start = Instant::now() + warm_up;
        Self { start, stop: start + time }
    }

    pub(crate) fn over(&self) -> bool {
        Instant::now() >= self.stop
    }
}

/// Requests and how long each took.
pub(crate) struct Sample {
    durations: Histogram<u64>,
    events: u64,
    bytes: u64,
    last: Option<Instant>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let durations = Histogram::new_with_bounds(1, LONGEST_US, 3);
        let durations = durations.expect("the bounds are those that a histogram can have");
        Self { durations, events: 0, bytes: 0, last: None }
    }

    /// A request that has just ended.
    pub(crate) fn ended(&mut self, began: Instant, events: u64, bytes: u64) {
        let now = Instant::now();
        self.took(now - began);
        (self.events, self.bytes) = (self.events + events, self.bytes + bytes);
        self.last = Some(now);
    }

    /// A duration that is no request.
    pub(crate) fn took(&mut self, duration: Duration) {
        self.durations.saturating_record((duration.as_micros() as u64).max(1));
    }

    pub(crate) fn count(&self) -> u64 {
        self.durations.len()
    }

    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        self.durations.add(&other.durations)?;
        (self.events, self.bytes) = (self.events + other.events, self.bytes + other.bytes);
        self.last = self.last.max(other.last);
        Ok(())
    }

    /// Sums what clients measured.
    pub(crate) fn sum(parts: &[Self]) -> Result<Self> {
        let mut sum = Self::new();
        parts.iter().try_for_each(|part| sum.add(part))?;
        Ok(sum)
    }

    /// Milliseconds that this share of the requests took at most.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.durations.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// Prints the line: rates over the time from `start` to the last end.
    ///
    /// A run in which nothing ended has no figure: it is an error.
    pub(crate) fn print(&self, label: &Label, params: &Value, start: Instant) -> Result<()> {
        let last = self.last.context("no request ended in the time that was measured")?;
        let secs = last.saturating_duration_since(start).as_secs_f64().max(1e-9);
        let figures = json!({
            "events": self.events,
            "secs": rounded(secs),
            "events_per_s": (self.events as f64 / secs).round(),
            "mb_per_s": rounded(self.bytes as f64 / secs / 1e6),
            "requests": self.count(),
            "requests_per_s": (self.count() as f64 / secs).round(),
            "p50_ms": self.ms(0.5),
            "p99_ms": self.ms(0.99),
            "max_ms": self.ms(1.0),
        });
        print(label, params, figures);
        Ok(())
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Prints a line of these figures.
#[allow(clippy::print_stdout, reason = "lines on standard output are what this program is for")]
pub(crate) fn print(label: &Label, params: &Value, figures: Value) {
    let mut line = json!({
        "peer": label.peer, "workload": label.work, "params": params, "run": label.run,
    });
    if let (Value::Object(line), Value::Object(figures)) = (&mut line, figures) {
        line.extend(figures);
    }
    println!("{line}");
}
