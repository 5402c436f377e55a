//! What a store tells about itself: named numbers, how values are spread, and who follows it.
//!
//! Lists and not fields, because each store has others; names are stable, in Prometheus' style.

mod histogram;

pub use histogram::{Bucket, Histogram};

use crate::{Position, Timestamp};

/// One number.
#[derive(Clone, PartialEq, Debug)]
pub struct Statistic {
    /// Its name: lower case, `_`, the unit last (`segment_bytes`).
    pub name: String,
    /// The number.
    pub value: f64,
    /// One sentence: what it counts.
    pub help: String,
    /// Whether it only ever grows while the store is open.
    pub counter: bool,
}

/// Somebody who follows the store.
#[derive(Clone, PartialEq, Debug)]
pub struct Subscriber {
    /// How it speaks with the store: `factum.v1`, `kurrentdb`, `dcb`.
    pub protocol: String,
    /// From where: address and port.
    pub peer: String,
    /// What it follows, for people; cut where it is long.
    pub selects: String,
    /// When it began.
    pub since: Timestamp,
    /// Everything up to here was handed to it. It may still be on its way.
    pub position: Position,
    /// Events that it was handed.
    pub events: u64,
    /// Positions between there and the head: never less than the events that it lacks.
    pub lag_events: u64,
    /// How long the oldest of these is stored, in seconds; unknown for the last of many.
    pub lag_seconds: Option<f64>,
}

/// All that a store tells, at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Statistics {
    /// Each number once.
    pub numbers: Vec<Statistic>,
    /// How values are spread.
    pub histograms: Vec<Histogram>,
    /// Who follows, the furthest behind first. Only servers tell.
    pub subscribers: Vec<Subscriber>,
}

impl Statistics {
    /// Adds a number that goes up and down.
    #[allow(clippy::cast_precision_loss, reason = "a statistic past 2^53 may be rounded")]
    pub fn gauge(&mut self, name: &str, value: u64, help: &str) {
        self.push(name, value as f64, help, false);
    }

    /// Adds a number that only grows.
    #[allow(clippy::cast_precision_loss, reason = "a statistic past 2^53 may be rounded")]
    pub fn counter(&mut self, name: &str, value: u64, help: &str) {
        self.push(name, value as f64, help, true);
    }

    /// The number of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|number| number.name == name).map(|number| number.value)
    }

    /// The histogram of this name.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Option<&Histogram> {
        self.histograms.iter().find(|histogram| histogram.name == name)
    }

    fn push(&mut self, name: &str, value: f64, help: &str, counter: bool) {
        self.numbers.push(Statistic { name: name.into(), value, help: help.into(), counter });
    }
}
