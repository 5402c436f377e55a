//! Settings of a connected store, each with its default and its unit.

use factum_core::{Limits, Timestamp};
use sqlx::postgres::PgConnectOptions;
use std::{fmt, sync::Arc};

/// How subscribers learn of what other processes write, besides by looking for it.
#[derive(Clone, Debug, Default)]
pub enum Listen {
    /// By `LISTEN`, on a connection of its own to the same address.
    #[default]
    Same,
    /// By `LISTEN` at another address: where the store's own one is that of a pooler in transaction
    /// mode, which does not keep a connection.
    At(Box<PgConnectOptions>),
    /// Only by looking.
    Off,
}

/// Settings.
///
/// ```
/// use factum_postgres::Options;
/// let beside = Options { schema: "public".into(), ..Options::default() };
/// assert!(beside.queue_jobs_max > 0);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The schema of the tables, all of whose names begin with `factum_`. Made if need be.
    pub schema: String,
    /// Names and sizes that are refused. At most 4,096 events an append.
    pub limits: Limits,
    /// Connections that append, opened when they are first needed.
    pub write_connections_max: usize,
    /// Connections that read, opened when they are first needed.
    pub read_connections_max: usize,
    /// Appends that may wait for a connection; one more is refused as overload.
    pub queue_jobs_max: usize,
    /// Reads that may wait for a connection; one more is refused as overload.
    pub read_jobs_max: usize,
    /// How long an operation waits for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long an append, or a current read, waits for appends that it conflicts with, in
    /// milliseconds.
    pub lock_timeout_ms: u32,
    /// How much longer than that an append waits for the server's answer, and who looks for new
    /// events, in milliseconds. A peer that is gone without a word is not noticed otherwise.
    pub answer_timeout_ms: u64,
    /// How often a store that somebody follows, or waits for, looks for what other processes have
    /// written, in milliseconds.
    pub poll_interval_ms: u64,
    /// The same while it listens too, and only looks because a notification may be lost.
    pub poll_interval_listening_ms: u64,
    /// How long subscribers, and who waits for a position, wait for an append that is open in
    /// somebody's transaction before they give up, in milliseconds. The error names it.
    pub settle_timeout_ms: u64,
    /// How subscribers learn of what others write.
    pub listen: Listen,
    /// The most often that other processes are notified of appends, in milliseconds; 0 is never.
    pub notify_interval_ms: u64,
    /// The address is that of a pooler in transaction mode: no statement is prepared by name, and
    /// each runs in an explicit transaction.
    pub pooler: bool,
    /// What time it is; `None` is the time of the server.
    pub clock: Option<Clock>,
}

/// Events that an append has, at most: its positions are counted from a multiple of this.
pub(crate) const APPEND_EVENTS_MAX: usize = 4096;
/// The most that a value of PostgreSQL holds is 1 GiB, and an append travels as one statement.
const APPEND_BYTES_MAX: usize = 256 << 20;
const TAGS_MAX: usize = 1024;

impl Default for Options {
    fn default() -> Self {
        let limits = Limits { append_events_max: APPEND_EVENTS_MAX, ..Limits::default() };
        Self {
            schema: "factum".into(),
            limits,
            write_connections_max: 16,
            read_connections_max: 8,
            queue_jobs_max: 8192,
            read_jobs_max: 65_536,
            connect_timeout_ms: 30_000,
            lock_timeout_ms: 30_000,
            answer_timeout_ms: 30_000,
            poll_interval_ms: 50,
            poll_interval_listening_ms: 500,
            settle_timeout_ms: 60_000,
            listen: Listen::default(),
            notify_interval_ms: 5,
            pooler: false,
            clock: None,
        }
    }
}

impl Options {
    /// Lowers what is more than PostgreSQL can hold, and raises what would let nothing happen.
    pub(crate) fn fitted(mut self) -> Self {
        let limits = &mut self.limits;
        limits.append_events_max = limits.append_events_max.min(APPEND_EVENTS_MAX);
        limits.append_bytes_max = limits.append_bytes_max.min(APPEND_BYTES_MAX);
        limits.event_bytes_max = limits.event_bytes_max.min(APPEND_BYTES_MAX);
        limits.metadata_bytes_max = limits.metadata_bytes_max.min(APPEND_BYTES_MAX);
        limits.tags_max = limits.tags_max.min(TAGS_MAX);
        let numbers = [
            &mut self.write_connections_max,
            &mut self.read_connections_max,
            &mut self.queue_jobs_max,
            &mut self.read_jobs_max,
        ];
        numbers.into_iter().for_each(|number| *number = (*number).clamp(1, u32::MAX as usize >> 3));
        self.poll_interval_ms = self.poll_interval_ms.max(1);
        self.poll_interval_listening_ms = self.poll_interval_listening_ms.max(1);
        self.lock_timeout_ms = self.lock_timeout_ms.clamp(1, i32::MAX.cast_unsigned());
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
