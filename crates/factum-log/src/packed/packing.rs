//! Compressing the sealed segments of a folder, and bringing them back: which, and what came of it.

use super::{
    PackedDisk, packed_base_of,
    turn::{Turn, Way},
};
use crate::{
    disk::{Disk, Mode},
    error::Fault,
    segment::{base_of, segment_path},
};
use std::{
    collections::HashSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// How thoroughly zstd compresses, from fast to small.
pub const LEVELS: RangeInclusive<i32> = 1..=22;
/// The level for who does not choose one.
pub const LEVEL_DEFAULT: i32 = 3;

/// Is told how many bytes of segments were worked on since it was asked last; says whether to go
/// on.
pub(super) type Watch<'a> = &'a mut dyn FnMut(u64) -> bool;

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// Segments.
    pub segments: usize,
    /// Bytes of them, as they are read.
    pub bytes: u64,
    /// Bytes of their compressed files.
    pub stored: u64,
}

impl Packed {
    fn add(&mut self, bytes: u64, stored: u64) {
        self.segments += 1;
        self.bytes += bytes;
        self.stored += stored;
    }
}

/// A segment, and what it takes on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredSegment {
    /// The position of its first event.
    pub base: u64,
    /// Its bytes, as they are read.
    pub bytes: u64,
    /// Bytes of its file.
    pub stored: u64,
    /// Whether that is compressed.
    pub is_packed: bool,
}

/// Why a segment was not compressed, or not brought back. It is as it was, whole.
#[derive(thiserror::Error, Debug, Clone)]
#[non_exhaustive]
pub enum PackError {
    /// The disk refused, or is full, or a compressed file is damaged. Mend that, and begin again.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What was written does not read back as it was. Look at the disk, and at the memory.
    #[error("{} read back is not what was written: the segment stays as it was", file.display())]
    Different {
        /// The new file, which is gone.
        file: PathBuf,
    },
    /// The file is none that can be compressed: its head is damaged. Verify the folder.
    #[error("{} has no whole head: verify the folder", file.display())]
    Head {
        /// Which.
        file: PathBuf,
    },
}

impl PackedDisk {
    /// Every segment of a folder that is here, the oldest first, and what it takes.
    ///
    /// # Errors
    /// [`PackError::Fault`] where the disk refuses, or the head of a compressed file is damaged.
    pub fn segments(&self, dir: &Path) -> Result<Vec<StoredSegment>, PackError> {
        let names = self.0.disk.list(dir).map_err(Fault::io("list", dir))?;
        let plain: HashSet<u64> = names.iter().filter_map(|name| base_of(name)).collect();
        let packed = names.iter().filter_map(|name| packed_base_of(name));
        let mut bases: Vec<u64> = plain.iter().copied().chain(packed).collect();
        bases.sort_unstable();
        bases.dedup();
        let look = |base: u64| {
            let path = segment_path(dir, base);
            let file = self.open(&path, Mode::Read).map_err(Fault::io("open", &path))?;
            let bytes = file.len().map_err(Fault::io("read", &path))?;
            let stored = file.stored_bytes().map_err(Fault::io("read", &path))?;
            Ok(StoredSegment { base, bytes, stored, is_packed: !plain.contains(&base) })
        };
        bases.into_iter().map(look).collect()
    }

    /// Compresses all sealed segments that are not, the oldest first, at one of [`LEVELS`]. The
    /// store may be open in this process, on this disk or one in front of it.
    ///
    /// The newest segment stays as it is. What is done stays done, wherever this ends.
    ///
    /// # Errors
    /// [`PackError`] says why a segment was not compressed: it is as it was.
    pub fn compress(&self, dir: &Path, level: i32, watch: Watch<'_>) -> Result<Packed, PackError> {
        let mut packed = Packed::default();
        let segments = self.segments(dir)?;
        let sealed = segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        for segment in sealed.iter().filter(|segment| !segment.is_packed) {
            if let Some(stored) = self.compress_one(dir, (segment.base, level), watch)? {
                packed.add(segment.bytes, stored);
            }
            if !watch(0) {
                break;
            }
        }
        Ok(packed)
    }

    /// Makes plain files of all compressed segments again, the newest first.
    ///
    /// # Errors
    /// [`PackError`] says why a segment was not brought back: it is as it was.
    pub fn expand(&self, dir: &Path, watch: Watch<'_>) -> Result<Packed, PackError> {
        let mut expanded = Packed::default();
        let segments = self.segments(dir)?;
        for segment in segments.iter().rev().filter(|segment| segment.is_packed) {
            if self.expand_one(dir, segment.base, watch)? {
                expanded.add(segment.bytes, segment.stored);
            }
            if !watch(0) {
                break;
            }
        }
        Ok(expanded)
    }

    /// Compresses one sealed segment; the bytes of its file. `None` where it was told to stop, or
    /// there is no plain file of that segment any more.
    pub(crate) fn compress_one(
        &self,
        dir: &Path,
        (base, level): (u64, i32),
        watch: Watch<'_>,
    ) -> Result<Option<u64>, PackError> {
        Turn::new(self, (dir, base), Way::Pack(level)).run(watch)
    }

    /// Brings one segment back. False where it was told to stop, or there is no compressed file of
    /// that segment any more.
    fn expand_one(&self, dir: &Path, base: u64, watch: Watch<'_>) -> Result<bool, PackError> {
        Ok(Turn::new(self, (dir, base), Way::Expand).run(watch)?.is_some())
    }
}
