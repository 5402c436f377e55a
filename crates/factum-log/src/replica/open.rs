//! Opening a folder to follow a source: the first segment of it where there is none, and otherwise
//! what is there, as a store's folder is opened, but that nothing of its own is added.

use super::{COMPARED_BYTES, Replica, ReplicaError};
use crate::{
    backup::RESTORING,
    copy::{Extended, Source, SourceError, Walk, copy_segment},
    error::Fault,
    format::header::HEADER_BYTES,
    options::Options,
    read::Reader,
    recovery::{Found, Role, recover, sync_above, take},
    segment::{base_of, segment_path},
};
use std::{path::Path, sync::Arc};

/// How often the first segment is asked for anew as it is rewritten meanwhile.
const ATTEMPTS_MAX: usize = 8;

impl Replica {
    /// Opens a folder that follows a source, creating it if need be. A folder that has nothing
    /// fetches the first segment; one that has something does not ask the source.
    ///
    /// `why` is what appends are refused with: it says where to append instead.
    ///
    /// # Errors
    /// [`ReplicaError`] says why.
    ///
    /// ```
    /// use factum_log::{Options, copy::Source, open, replica::Replica};
    /// # let dir = tempfile::tempdir()?;
    /// # let (store, copy) = (dir.path().join("store"), dir.path().join("copy"));
    /// let (_writer, source) = open(&store, Options::default())?;
    /// let why = "append to the store that this follows".into();
    /// let (mut replica, reader) = Replica::open((&copy, Options::default()), &source, why)?;
    /// while replica.step(&source, &source.inventory()?)? {}
    /// assert_eq!(reader.head(), source.head());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(
        (dir, options): (&Path, Options),
        source: &dyn Source,
        why: Arc<str>,
    ) -> Result<(Self, Reader), ReplicaError> {
        let taken = take(dir, options)?;
        let disk = &*taken.options.world.disk;
        let names = disk.list(dir).map_err(Fault::io("list", dir))?;
        if !names.iter().any(|name| base_of(name).is_some() || name == RESTORING) {
            begin(dir, &taken.options, source)?;
        }
        let found = recover(dir, taken, &Role::Replica { why })?;
        if let Some(why) = found.damage {
            return Err(ReplicaError::Damaged { dir: dir.to_owned(), why });
        }
        let reader = Reader::new(found.shared.clone());
        Ok((Self::after(found), reader))
    }

    fn after(found: Found) -> Self {
        let Found { shared, tail, is_sealed, .. } = found;
        let newest = shared.segments().last().expect("there is always a segment").clone();
        let next = newest.ordinal(shared.head().0 + 1);
        let walk = Walk::at(&newest.header, (tail.offset, tail.floor_ns), (next, is_sealed));
        Self {
            shared,
            newest,
            walk,
            zeroed: tail.zeroed.max(tail.offset),
            last_frame: tail.offset.saturating_sub(COMPARED_BYTES).max(HEADER_BYTES as u64),
            is_agreed: false,
            unindexed: Vec::new(),
            refused: None,
            failed: None,
        }
    }
}

/// Fetches the first segment.
fn begin(dir: &Path, options: &Options, source: &dyn Source) -> Result<(), ReplicaError> {
    let disk = &*options.world.disk;
    sync_above(dir, disk)?;
    for _ in 0..ATTEMPTS_MAX {
        let inventory = source.inventory()?;
        let Some(held) = inventory.segments.first() else { break };
        let path = segment_path(dir, held.base);
        let mut from = Extended::<ReplicaError>::new((source, held), None, &path);
        match copy_segment(&mut from, held.end, disk, &path) {
            Err(ReplicaError::Source(SourceError::Replaced { .. })) => {}
            Err(ReplicaError::Disk(fault @ Fault::Damaged { .. })) => {
                return Err(SourceError::Fault(fault).into());
            }
            copied => {
                copied?;
                disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
                return Ok(());
            }
        }
    }
    let why = "its first segment is rewritten again and again".to_owned();
    Err(SourceError::Unreachable { why }.into())
}
