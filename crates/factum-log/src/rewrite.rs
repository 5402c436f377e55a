//! Rewriting sealed segments: scavenging is this, and erasing, and whatever else takes bytes out of
//! the log.
//!
//! A segment is copied, event by event, into a new file for the same place: positions, revisions,
//! recorded times and the marks of appends stay, names are numbered anew, so that no name outlives
//! its last event. The new file is whole and durable before it takes the old one's name, so a crash
//! leaves one or the other, each whole; an index that is of the other is made anew at the next
//! opening. Readers that hold the old file go on in it.
//!
//! What goes is decided by `fate::Fates`; how a segment is read, written and put in its place
//! is the same for all.

mod copy;
mod erase;
mod fate;
mod install;
mod output;
mod pace;
mod scavenge;
mod visible;
mod walk;

pub use erase::{EraseError, EraseRequest, Erased, Erasing, REASON_BYTES_MAX};
pub(crate) use fate::Old;
pub(crate) use output::{Draft, New, Output, Remains};
pub use pace::Stop;
pub(crate) use pace::{Halt, Pace};
pub use scavenge::{ScavengeOptions, ScavengeReport};

use crate::{error::Fault, read::Reader, shared::Shared};
use std::sync::{Arc, MutexGuard, TryLockError};

/// Why maintenance was not done, or not to its end.
#[derive(thiserror::Error, Debug, Clone)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// There is one at a time. Wait for it, or stop it.
    #[error("maintenance of this store is going on already: wait until it ends, or stop it")]
    Busy,
    /// Nothing is written to the store: it is damaged, or the disk failed. Mend that first.
    #[error("the store takes no writes: {why}")]
    ReadOnly {
        /// Why not.
        why: Arc<str>,
    },
    /// Reading or writing failed. The segment is as it was, and those before it are done: begin
    /// again when the cause is mended.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// What can be done to the sealed segments of an open store, while it serves: everything here runs
/// on the caller's thread, and takes as long as it takes.
#[derive(Clone, Debug)]
pub struct Maintenance {
    shared: Arc<Shared>,
}

impl Reader {
    /// The maintenance of this store.
    #[must_use]
    pub fn maintenance(&self) -> Maintenance {
        Maintenance { shared: self.shared.clone() }
    }
}

impl Maintenance {
    /// The one that may change sealed segments.
    fn begin(&self) -> Result<MutexGuard<'_, ()>, MaintenanceError> {
        if let Some(why) = self.shared.read_only() {
            return Err(MaintenanceError::ReadOnly { why });
        }
        match self.shared.maintenance.try_lock() {
            Ok(guard) => Ok(guard),
            // It guards no data: one that panicked has left the segments as they were.
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(MaintenanceError::Busy),
        }
    }
}
