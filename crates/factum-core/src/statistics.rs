//! What a store tells about itself, as named numbers.
//!
//! A list and not fields, because each store has others; names are stable, in Prometheus' style.

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

/// All numbers of a store at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Statistics(pub Vec<Statistic>);

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
        self.0.iter().find(|statistic| statistic.name == name).map(|statistic| statistic.value)
    }

    fn push(&mut self, name: &str, value: f64, help: &str, counter: bool) {
        self.0.push(Statistic { name: name.into(), value, help: help.into(), counter });
    }
}
