//! A folder that nobody has open, and the heads of its segments.

use crate::{
    backup::RESTORING,
    disk::{Disk, Mode},
    error::{Fault, HeaderError, OpenError},
    format::header::{HEADER_BYTES, SegmentHeader},
    packed::check_readable,
    recovery::lock,
    segment::base_of,
    tier::check_reached,
};
use std::{any::Any, collections::BTreeSet, io, path::Path};

/// The head of a segment's file; `None` where it cannot be trusted.
pub(super) type Head = Option<SegmentHeader>;

/// A folder that is locked.
pub(super) struct ClosedFolder {
    pub(super) names: Vec<String>,
    /// The first positions of its segments.
    pub(super) bases: BTreeSet<u64>,
    pub(super) lock: Box<dyn Any + Send + Sync>,
}

impl ClosedFolder {
    /// Locks a folder that has a store in it.
    pub(super) fn new(dir: &Path, disk: &dyn Disk) -> Result<Self, OpenError> {
        let no_store = || OpenError::NoStore { dir: dir.to_owned() };
        let names = match disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_store()),
            listed => listed.map_err(Fault::io("list", dir))?,
        };
        let bases: BTreeSet<u64> = names.iter().filter_map(|name| base_of(name)).collect();
        if bases.is_empty() {
            return Err(no_store());
        }
        let lock = lock(dir, disk)?;
        if names.iter().any(|name| name == RESTORING) {
            return Err(OpenError::Unfinished { dir: dir.to_owned() });
        }
        check_reached(disk, dir, &names)?;
        // Here they would pass for gone.
        check_readable(dir, &names)?;
        Ok(Self { names, bases, lock })
    }
}

/// The head of the segment that begins at a position.
pub(super) fn head(disk: &dyn Disk, path: &Path, base: u64) -> Result<Head, OpenError> {
    let file = disk.open(path, Mode::Read).map_err(Fault::io("open", path))?;
    let mut bytes = vec![0; HEADER_BYTES];
    if file.read_at(&mut bytes, 0).is_err() {
        return Ok(None);
    }
    match SegmentHeader::decode(&bytes) {
        Ok(header) => Ok(Some(header).filter(|header| header.base == base)),
        Err(HeaderError::Damaged(_)) => Ok(None),
        Err(HeaderError::Newer { version, unknown }) => {
            Err(OpenError::Newer { file: path.to_owned(), version, unknown })
        }
    }
}
