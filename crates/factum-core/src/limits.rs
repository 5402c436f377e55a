//! Named limits, and what a store says it can do.

/// The largest that a store takes. Each is a setting; the defaults are here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Events in one append.
    pub append_events_max: usize,
    /// Bytes of one append: payloads and names.
    pub append_bytes_max: usize,
    /// Bytes of one event's data.
    pub event_bytes_max: usize,
    /// Bytes of one event's metadata.
    pub metadata_bytes_max: usize,
    /// Tags on one event.
    pub tags_max: usize,
    /// Checks of one append.
    pub checks_max: usize,
    /// Items of one query.
    pub query_items_max: usize,
    /// Values in all lists of one query.
    pub query_terms_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            append_events_max: 10_000,
            append_bytes_max: 64 << 20,
            event_bytes_max: 16 << 20,
            metadata_bytes_max: 1 << 20,
            tags_max: 64,
            checks_max: 10_000,
            query_items_max: 1_000,
            query_terms_max: 10_000,
        }
    }
}

/// What a store can do. What it cannot, it refuses as `Unsupported`, with nothing written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Positions have no gaps, until something is scavenged.
    pub gapless: bool,
    /// Appends may check queries, and reads may select by them.
    pub query_checks: bool,
    /// Reads and subscriptions may select by a query other than everything.
    pub queries: bool,
    /// One append may write several streams, and check streams it does not write.
    pub multi_stream: bool,
    /// Events may have tags, which come back.
    pub tags: bool,
    /// Appends may carry a tracked position.
    pub tracking: bool,
    /// Reads may be as of a moment or a position in the past.
    pub as_of: bool,
    /// *Occurred at* is kept.
    pub occurred_at: bool,
    /// How many of the latest events a retry without a number or a query is recognised in;
    /// `None` is all of them.
    pub replay_window: Option<u64>,
    /// The largest it takes.
    pub limits: Limits,
}

impl Capabilities {
    /// A store that can do everything.
    #[must_use]
    pub fn full() -> Self {
        Self {
            gapless: true,
            query_checks: true,
            queries: true,
            multi_stream: true,
            tags: true,
            tracking: true,
            as_of: true,
            occurred_at: true,
            replay_window: None,
            limits: Limits::default(),
        }
    }
}
