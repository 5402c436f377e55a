//! The disk in front of the real one: names of compressed segments are files here.

use super::{
    PACKED,
    codec::Codec,
    file::{PackedFile, Shelf},
    packed_path,
};
use crate::disk::{
    BlockCache, Disk, File, Mode,
    stand_in::{StandIn, StandInDisk, in_front},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Settings of a disk with compressed segments.
#[derive(Clone, Debug)]
pub struct PackedOptions {
    /// Memory for blocks that were decompressed lately. 8 MiB by default.
    pub cache_bytes_max: usize,
}

impl Default for PackedOptions {
    fn default() -> Self {
        Self { cache_bytes_max: 8 << 20 }
    }
}

/// A disk on which sealed segments may be compressed, and are read as they were.
///
/// [`World::default`](crate::World::default) has one. Clones share it. Whoever keeps a clone can
/// compress segments, and bring them back, while the store is open.
#[derive(Clone, Debug)]
pub struct PackedDisk(pub(super) Arc<StandInDisk<Blocks>>);

in_front!(PackedDisk {
    fn packed(&self) -> Option<&PackedDisk> {
        Some(self)
    }
});

impl PackedDisk {
    /// Compressed segments of `disk` are read as they were.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, options: PackedOptions) -> Self {
        let shelf =
            Shelf { codec: Codec::default(), cache: BlockCache::new(options.cache_bytes_max) };
        let stand_in = Blocks { shelf: Arc::new(shelf), packing: Mutex::default() };
        Self(Arc::new(StandInDisk::new(disk, stand_in)))
    }
}

/// Compressed files stand in for segments.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) shelf: Arc<Shelf>,
    /// Held by who compresses a segment or brings one back: its unfinished file has one name.
    pub(super) packing: Mutex<()>,
}

impl Blocks {
    /// Opens a compressed file by its own name.
    pub(super) fn open_packed(&self, disk: &dyn Disk, path: &Path) -> io::Result<PackedFile> {
        PackedFile::new(disk.open(path, Mode::Read)?, path, self.shelf.clone())
    }
}

impl StandIn for Blocks {
    fn path(&self, segment: &Path) -> PathBuf {
        packed_path(segment)
    }

    fn segment(&self, file_name: &str) -> Option<String> {
        let segment = file_name.strip_suffix(PACKED)?;
        segment.ends_with(".log").then(|| segment.to_owned())
    }

    fn open(&self, disk: &dyn Disk, segment: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_packed(disk, &packed_path(segment))?))
    }
}
