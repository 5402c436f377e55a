//! Sealed segments that are compressed: read as they were, block by block.
//!
//! A door and not a part of the log, as [`crate::tier`] is: `PackedDisk` is a [`Disk`] in front of
//! the real one. A compressed segment is a file like any
//! other to all that stands above it: every frame keeps its checksum, and reading, opening,
//! verifying, backing up, rewriting and moving know nothing of this. What must hold:
//!
//! - The plain file goes only when the compressed one was read back, is the same byte for byte, and
//!   has its name durably; and the other way round. Where both are there, the plain file is it.
//! - The newest segment is never compressed: appends and their syncs know nothing of this.
//! - Each block is checked before it is decompressed, into as many bytes as it must have.
//! - What is not what it was is damage, with file and offset; all other blocks are read on.
//! - Any tool for zstd makes the plain file of it: the format is zstd's, our own part is skipped.
//!
//! Needs the feature `zstd`; without it a folder with compressed segments is not opened.

#[cfg(feature = "zstd")]
mod background;
#[cfg(feature = "zstd")]
mod codec;
#[cfg(feature = "zstd")]
mod disk;
#[cfg(feature = "zstd")]
mod file;
#[cfg(feature = "zstd")]
mod layout;
#[cfg(feature = "zstd")]
mod packing;
#[cfg(feature = "zstd")]
mod turn;

#[cfg(feature = "zstd")]
pub(crate) use background::{Packing, pack};
#[cfg(feature = "zstd")]
pub use disk::{PackedDisk, PackedOptions};
#[cfg(feature = "zstd")]
pub use packing::{LEVEL_DEFAULT, LEVELS, PackError, Packed, StoredSegment};

use crate::{
    disk::Disk,
    error::{Fault, OpenError},
    segment::base_of,
};
#[cfg(feature = "zstd")]
use std::path::PathBuf;
use std::{collections::HashSet, path::Path};

/// Whether sealed segments are compressed in the background.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Compression {
    /// They stay as they are; those that are compressed already stay so, and are read.
    #[default]
    None,
    /// With zstd, at one of [`LEVELS`].
    #[cfg(feature = "zstd")]
    Zstd {
        /// [`LEVEL_DEFAULT`] is a good one; what is more is a little smaller, and slower to make.
        level: i32,
    },
}

/// Ends the name of a compressed segment, after that of the plain one.
const PACKED: &str = ".zst";

/// The position that a file's name says, if it is that of a compressed segment.
pub(crate) fn packed_base_of(file_name: &str) -> Option<u64> {
    base_of(file_name.strip_suffix(PACKED)?)
}

/// The file of a segment when it is compressed.
#[cfg(feature = "zstd")]
fn packed_path(segment: &Path) -> PathBuf {
    let mut path = segment.as_os_str().to_owned();
    path.push(PACKED);
    path.into()
}

/// The bases of the segments that are there.
fn plain(names: &[String]) -> HashSet<u64> {
    names.iter().filter_map(|name| base_of(name)).collect()
}

/// Refuses a folder with compressed segments, on a disk that does not read them.
pub(crate) fn check_readable(dir: &Path, names: &[String]) -> Result<(), OpenError> {
    let there = plain(names);
    let is_hidden =
        |name: &&String| packed_base_of(name).is_some_and(|base| !there.contains(&base));
    match names.iter().filter(is_hidden).min() {
        Some(name) => Err(OpenError::Packed { file: dir.join(name) }),
        None => Ok(()),
    }
}

/// The names of compressed files whose plain one is there: left by a crash between the two.
pub(crate) fn leftovers(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, Fault> {
    // On a disk that reads them every compressed segment has a plain name too.
    #[cfg(feature = "zstd")]
    let disk = disk.packed().map_or(disk, |packed| &*packed.0.disk);
    let mut names = disk.list(dir).map_err(Fault::io("list", dir))?;
    let there = plain(&names);
    names.retain(|name| packed_base_of(name).is_some_and(|base| there.contains(&base)));
    Ok(names)
}
