//! Sealed segments that live elsewhere: in object storage, and are read from there.
//!
//! A door and not a part of the log: [`TierDisk`] is a [`Disk`] in front of the
//! real one. A segment that was moved is a file like any other to all that stands above it, so that
//! reading, opening, verifying, backing up and rewriting know nothing of this. What must hold:
//!
//! - The local file goes only when the object was read back whole and a marker that says so is
//!   durable. Where both are there, the local file is the segment.
//! - The index stays local, and the marker has the segment's head: opening asks no storage.
//! - The newest segment is never moved: an append needs the storage only where judging it does.
//! - Every block that comes is checked against the marker, every frame as always.
//! - Memory is bounded, and a storage that does not answer is not asked again for a while.

mod cold;
mod disk;
mod marker;
mod moving;

pub use disk::{TierDisk, TierOptions};
pub use moving::{Keep, MoveError, Moved, TieredSegment, location};

pub(crate) use moving::LOCATION;

use crate::{
    disk::{Disk, File},
    error::OpenError,
    segment::base_of,
};
use marker::MARKER;
use std::{collections::HashSet, fmt, ops::Range, path::Path, sync::Arc};

/// The position that a file's name says, if it is that of a moved segment's marker.
pub(crate) fn moved_base_of(file_name: &str) -> Option<u64> {
    base_of(&format!("{}.log", file_name.strip_suffix(MARKER)?))
}

/// Refuses a folder of which segments are somewhere else, on a disk that does not reach them.
pub(crate) fn check_reached(
    disk: &dyn Disk,
    dir: &Path,
    names: &[String],
) -> Result<(), OpenError> {
    let there: HashSet<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    if names.iter().filter_map(|name| moved_base_of(name)).all(|base| there.contains(&base)) {
        return Ok(());
    }
    let location = location(disk, dir)?;
    Err(OpenError::Tiered { dir: dir.to_owned(), location })
}

/// Where moved segments are: a bucket, and what all names in it begin with.
///
/// Every call blocks until it is done or has failed for good: retries are the implementation's, and
/// are bounded.
pub trait ColdStore: Send + Sync + fmt::Debug + 'static {
    /// Where it is, without secrets: `s3://bucket/prefix`.
    fn location(&self) -> &str;

    /// Stores the first `len` bytes of a file under this name, replacing what is there.
    fn put(&self, key: &str, file: &dyn File, len: u64) -> Result<(), ColdError>;

    /// These bytes of an object.
    fn get(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, ColdError>;

    /// Every object: its name and its length in bytes.
    fn list(&self) -> Result<Vec<(String, u64)>, ColdError>;

    /// Removes an object. Fine if it is not there.
    fn delete(&self, key: &str) -> Result<(), ColdError>;
}

/// Why the storage did not do what it was asked for.
#[derive(thiserror::Error, Debug, Clone)]
#[non_exhaustive]
pub enum ColdError {
    /// The object is not there. Bring it back, or restore the folder from a backup.
    #[error("the object is gone: bring it back, or restore the folder from a backup")]
    Gone,
    /// The storage does not answer, or refuses for now. Later it may.
    #[error("the storage does not answer: {why}")]
    Unavailable {
        /// What was seen.
        why: Arc<str>,
    },
    /// The storage refuses: a wrong key, a bucket that is not there. Correct that.
    #[error("the storage refuses: {why}")]
    Refused {
        /// What it says.
        why: Arc<str>,
    },
}
