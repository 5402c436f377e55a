//! Backups: a folder that holds what a store held at a moment, taken while the store is in use.
//!
//! A backup is a folder of segments as a store is, with a manifest ([`Manifest`]) that says what of
//! them counts. Taking one again into the same folder copies what is new. What must hold: whatever
//! interrupts it, the backup before is whole, and the next attempt goes on; every frame is checked
//! on its way; nothing of another store, or of another history of this one, is written over.

mod error;
mod manifest;
mod restore;
mod take;

pub use error::{BackupError, RestoreError};
pub(crate) use manifest::{BACKUP, Unreadable};
pub use manifest::{Entry, Manifest};
pub use restore::{RESTORING, Restore, Restored, Upto, restore};
pub(crate) use take::crc_of;
pub use take::{Taken, backup};
