//! What is known about a relay by change data capture.

use crate::cdc::{CdcError, SlotLag};
use factum_core::Timestamp;
use std::time::Duration;

/// What such a relay is doing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum CdcState {
    /// It connects.
    #[default]
    Starting,
    /// It relays, or waits for rows.
    Running,
    /// Another one reads the slot; it takes over when that one ends.
    StandingBy,
    /// The broker or the server is away, and it tries again.
    Away {
        /// What is known.
        why: String,
    },
    /// It has ended.
    Stopped {
        /// Why, where nobody told it to.
        why: Option<CdcError>,
    },
}

/// What is known about such a relay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CdcRelayStatus {
    /// What it is doing.
    pub state: CdcState,
    /// How many rows it has published since it began.
    pub published: u64,
    /// How many rows it has given up since it began.
    pub dead: u64,
    /// Whether rows wait in the table because of one that failed for good.
    pub is_waiting_for_operator: bool,
    /// What the slot keeps, when it was last asked.
    pub lag: SlotLag,
    /// How long the oldest row that it has in hand is committed, when it was last asked.
    pub behind: Duration,
    /// Whether the slot keeps more of the log than the options allow.
    pub is_over_limit: bool,
    /// When that row was committed, by the server's clock.
    pub(crate) behind_since: Option<Timestamp>,
}

impl CdcRelayStatus {
    /// What an operator should know though it works: that nothing limits the log that is kept for a
    /// slot when nobody reads it, and that it keeps too much.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let is_known = !self.lag.status.is_empty();
        let unlimited = (is_known && self.lag.room_bytes.is_none()).then(|| {
            "max_slot_wal_keep_size is not set: while no relay runs, its slot keeps the log \
             without an end, until the disk is full; set it to what the disk can spare"
                .to_owned()
        });
        let over = self.is_over_limit.then(|| {
            format!(
                "the slot keeps {} bytes of the log: more than allowed",
                self.lag.retained_bytes
            )
        });
        let lost = (self.lag.status == "unreserved").then(|| {
            "the slot is about to be lost: it keeps more than max_slot_wal_keep_size".to_owned()
        });
        [unlimited, over, lost].into_iter().flatten().collect()
    }
}
