//! Settings of an opened store, each with its default and its unit.

use crate::Inline;
use factum_core::{Limits, Timestamp};
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Settings.
///
/// ```
/// use factum_sqlite::Options;
/// let patient = Options { busy_timeout_ms: 60_000, ..Options::default() };
/// assert!(patient.queue_jobs_max > 0);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Names and sizes that are refused.
    pub limits: Limits,
    /// Appends that may wait for the writer; one more is refused as overload.
    pub queue_jobs_max: usize,
    /// Bytes of appends that may wait for the writer; more is refused as overload.
    pub queue_bytes_max: usize,
    /// Appends that share a transaction, and so a sync, at most.
    pub group_jobs_max: usize,
    /// Connections that read, opened when they are first needed.
    pub read_connections_max: usize,
    /// Reads that may wait for a connection; one more is refused as overload.
    pub read_jobs_max: usize,
    /// How long an append waits for another process to let go of the file, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How often a store that somebody follows, or waits for, looks for what another process has
    /// written, in milliseconds. What this process writes is told at once.
    pub poll_interval_ms: u64,
    /// Names of streams, types and tags that are remembered, by the writer and by readers.
    pub names_max: usize,
    /// What time it is.
    pub clock: Clock,
    /// What is to happen in the transaction of every append: see [`Inline`].
    pub inline: Option<Arc<dyn Inline>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            queue_jobs_max: 8192,
            queue_bytes_max: 256 << 20,
            group_jobs_max: 1024,
            read_connections_max: 4,
            read_jobs_max: 65_536,
            busy_timeout_ms: 5000,
            poll_interval_ms: 50,
            names_max: 65_536,
            clock: Clock::default(),
            inline: None,
        }
    }
}

/// The most that a row of SQLite holds is 1,000,000,000 bytes: data, metadata and tags together.
const EVENT_BYTES_MAX: usize = 512 << 20;
const METADATA_BYTES_MAX: usize = 256 << 20;
const TAGS_MAX: usize = 16_384;

impl Options {
    /// Lowers what is more than SQLite can hold, and raises what would let nothing happen.
    pub(crate) fn fitted(mut self) -> Self {
        let limits = &mut self.limits;
        limits.event_bytes_max = limits.event_bytes_max.min(EVENT_BYTES_MAX);
        limits.metadata_bytes_max = limits.metadata_bytes_max.min(METADATA_BYTES_MAX);
        limits.tags_max = limits.tags_max.min(TAGS_MAX);
        let numbers = [
            &mut self.queue_jobs_max,
            &mut self.queue_bytes_max,
            &mut self.group_jobs_max,
            &mut self.read_connections_max,
            &mut self.read_jobs_max,
        ];
        numbers.into_iter().for_each(|number| *number = (*number).clamp(1, u32::MAX as usize >> 3));
        self.poll_interval_ms = self.poll_interval_ms.max(1);
        self
    }
}

/// The door to time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock of the caller's.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The clock of the system.
impl Default for Clock {
    #[allow(clippy::disallowed_methods, reason = "the one door of this store to the clock")]
    fn default() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one row holds must be below SQLite's limit, or an event would be accepted, and fail.
    #[test]
    fn no_limit_is_above_what_a_row_holds() {
        let most = usize::MAX;
        let limits = Limits {
            event_bytes_max: most,
            metadata_bytes_max: most,
            tags_max: most,
            ..Limits::default()
        };
        let limits = Options { limits, ..Options::default() }.fitted().limits;
        // A tag has 1,024 bytes, and its JSON six for each that must be escaped.
        let tags = limits.tags_max * (3 + 6 * 1024);
        let row = limits.event_bytes_max + limits.metadata_bytes_max + tags + 4096;
        assert!(row < 1_000_000_000, "{row}");
    }

    #[test]
    fn nothing_is_set_to_nothing() {
        let none = Options { group_jobs_max: 0, read_connections_max: 0, ..Options::default() };
        let none = none.fitted();
        assert_eq!((none.group_jobs_max, none.read_connections_max), (1, 1));
    }
}
