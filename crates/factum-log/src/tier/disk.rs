//! The disk in front of the real one: names of moved segments are files here.

use super::{
    ColdStore,
    cold::{ColdFile, Source},
    marker::{MARKER, Marker},
    moved_base_of,
};
use crate::{
    clock::{Clock, SystemClock},
    disk::{
        Disk, File, Mode,
        stand_in::{StandIn, StandInDisk, in_front},
    },
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Settings of a tier.
#[derive(Clone, Debug)]
pub struct TierOptions {
    /// Memory for blocks of moved segments. 64 MiB by default.
    pub cache_bytes_max: usize,
    /// Tells how long a storage that does not answer was left alone.
    pub clock: Arc<dyn Clock>,
}

impl Default for TierOptions {
    fn default() -> Self {
        Self { cache_bytes_max: 64 << 20, clock: Arc::new(SystemClock) }
    }
}

/// A disk on which segments that were moved to object storage are still there to read.
///
/// Clones share it. It goes into [`World::disk`](crate::World::disk); whoever keeps a clone can
/// move segments while the store is open.
#[derive(Clone, Debug)]
pub struct TierDisk(pub(super) Arc<StandInDisk<Markers>>);

in_front!(TierDisk {
    #[cfg(feature = "zstd")]
    fn packed(&self) -> Option<&crate::packed::PackedDisk> {
        self.0.disk.packed()
    }
});

impl TierDisk {
    /// Segments of `disk` that were moved to `store` are read from there.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, store: Arc<dyn ColdStore>, options: TierOptions) -> Self {
        let source = Source::new(store, options.clock, options.cache_bytes_max);
        Self(Arc::new(StandInDisk::new(disk, Markers(Arc::new(source)))))
    }

    /// Where moved segments are.
    #[must_use]
    pub fn location(&self) -> &str {
        self.source().store.location()
    }

    pub(super) fn source(&self) -> &Arc<Source> {
        &self.0.stand_in.0
    }

    /// What the marker of a segment says; `None` where there is none.
    pub(super) fn marker(&self, segment: &Path) -> io::Result<Option<Marker>> {
        match read_marker(&*self.0.disk, segment) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
}

/// Markers stand in for moved segments.
#[derive(Debug)]
pub(super) struct Markers(Arc<Source>);

impl StandIn for Markers {
    fn path(&self, segment: &Path) -> PathBuf {
        marker_path(segment)
    }

    fn segment(&self, file_name: &str) -> Option<String> {
        moved_base_of(file_name).map(|base| format!("{base:020}.log"))
    }

    fn open(&self, disk: &dyn Disk, segment: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(ColdFile::new(self.0.clone(), read_marker(disk, segment)?)))
    }
}

/// The marker of a segment.
pub(super) fn marker_path(segment: &Path) -> PathBuf {
    segment.with_extension(&MARKER[1..])
}

fn read_marker(disk: &dyn Disk, segment: &Path) -> io::Result<Marker> {
    let path = marker_path(segment);
    let file = disk.open(&path, Mode::Read)?;
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_at(&mut bytes, 0)?;
    Marker::decode(&bytes).ok_or_else(|| {
        let what = format!("{} is damaged: restore it from a backup", path.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}
