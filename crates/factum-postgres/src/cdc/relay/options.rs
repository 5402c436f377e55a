//! How a relay by change data capture works.

use crate::cdc::OverLimit;
use std::time::Duration;

/// How a relay by change data capture works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CdcRelayOptions {
    /// The schema that has the outbox.
    pub schema: String,
    /// The slot. One for each database and broker: who uses it reads it alone.
    pub slot: String,
    /// The publication of the outbox's new rows.
    pub publication: String,
    /// Whether slot and publication are made where they are missing. Otherwise that is an error,
    /// which says how an operator makes them.
    pub makes: bool,
    /// How many rows are published together, at most.
    pub batch_max: usize,
    /// How often rows are looked for that wait in the table because of one that failed for good:
    /// it may have been replayed or discarded.
    pub look: Duration,
    /// How long it waits after a failure that may pass, at first; twice as long each time.
    pub pause_min: Duration,
    /// And at most.
    pub pause_max: Duration,
    /// After how many failures that may pass a row is given up; none: never, so that an outage of
    /// the broker costs nothing but the log that is kept meanwhile.
    pub attempts_max: Option<u32>,
    /// How often it is asked how far the slot is behind.
    pub check: Duration,
    /// How many bytes of the log the slot may keep.
    pub retained_bytes_max: u64,
    /// What happens where it keeps more.
    pub over_limit: OverLimit,
    /// How long published rows stay in the table.
    pub keep: Duration,
}

impl Default for CdcRelayOptions {
    fn default() -> Self {
        Self {
            schema: "factum".to_owned(),
            slot: "factum_outbox".to_owned(),
            publication: "factum_outbox".to_owned(),
            makes: true,
            batch_max: 500,
            look: Duration::from_secs(5),
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(30),
            attempts_max: None,
            check: Duration::from_secs(10),
            retained_bytes_max: 8 << 30,
            over_limit: OverLimit::Tell,
            keep: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

impl CdcRelayOptions {
    /// How long to wait after so many failures in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let factor = 1 << failures.saturating_sub(1).min(16);
        self.pause_min.saturating_mul(factor).min(self.pause_max)
    }
}
