//! Opening a folder: what is whole, what is torn, what is damaged.
//!
//! The newest segment is read from its first frame to its last. What follows the last whole append
//! is cut (zeroed) where nothing shows that it was ever acknowledged. Where something shows it, the
//! store opens to read only, and says which file and offset. Sealed segments have an index file;
//! where that is missing it is made anew.
//!
//! Everything here may crash at any point and be begun again: files appear under their name only
//! when they are whole, and what is cut is cut again.

mod closed;
mod create;
mod load;
mod scan;
mod take_in;
mod window;

pub(crate) use closed::{CLOSED, Closed};
pub(crate) use create::{NewSegment, Prepared, create_segment};
pub(crate) use load::sync_above;
pub(crate) use scan::{Place, Scan, scan, scan_before, scan_with};
pub(crate) use take_in::{FrameAt, take_in};
pub(crate) use window::Window;

use crate::{
    disk::{Disk, Mode, PooledDisk},
    error::{Fault, OpenError},
    index::{build, directory},
    options::Options,
    packed,
    planted::{Bug, is_on},
    read::Reader,
    segment::{Segment, index_path},
    shared::{Opened, Shared},
    write::{Tail, Writer},
};
use factum_core::Position;
use load::Loaded;
use std::{any::Any, io, ops::Range, path::Path, sync::Arc};

/// The file that is locked while a folder is open.
pub(crate) const LOCK: &str = "LOCK";
/// The file that says at which URL the folder is served.
pub(crate) const HOLDER: &str = "HOLDER";
/// Ends the names of files that are not whole yet.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Who opens a folder.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Goes on in the log: finds a segment to write to, be it a new one.
    Writer,
    /// Adds what another store has written, and nothing of its own.
    Replica {
        /// Why appends are refused.
        why: Arc<str>,
    },
}

/// A folder that is ours: its lock, and the settings as they hold in it.
pub(crate) struct Taken {
    pub(crate) options: Options,
    lock: Box<dyn Any + Send + Sync>,
}

/// What was found in a folder, and made good.
pub(crate) struct Found {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tail: Tail,
    /// The newest segment has its seal.
    pub(crate) is_sealed: bool,
    /// What is damaged.
    pub(crate) damage: Option<Arc<str>>,
}

/// Opens a folder, creating it if need be.
///
/// Fails if another process has it open, if a newer release wrote it, or if the disk refuses.
/// Damage is no failure: the store opens to read only ([`Writer::read_only`] says why).
pub fn open(dir: &Path, options: Options) -> Result<(Writer, Reader), OpenError> {
    let found = recover(dir, take(dir, options)?, &Role::Writer)?;
    let writer = Writer::new(found.shared.clone(), found.tail);
    Ok((writer, Reader::new(found.shared)))
}

/// Locks a folder, creating it if need be.
pub(crate) fn take(dir: &Path, mut options: Options) -> Result<Taken, OpenError> {
    options.fit_to_format();
    let disk = PooledDisk::new(options.world.disk, options.open_files_max);
    options.world.disk = Arc::new(disk);
    let disk = &*options.world.disk;
    disk.create_dir(dir).map_err(Fault::io("create", dir))?;
    let lock = lock(dir, disk)?;
    Ok(Taken { options, lock })
}

/// Finds out what is in a folder, and makes it good.
pub(crate) fn recover(dir: &Path, taken: Taken, role: &Role) -> Result<Found, OpenError> {
    let Taken { options, lock } = taken;
    let loaded = load::load(dir, &options, role)?;
    let (read_only, damage) = (loaded.read_only(), loaded.damage());
    if read_only.is_none() {
        make_good(dir, &options, &loaded)?;
    }
    let stale = directory::load(dir, &options, &loaded.segments)?;
    if read_only.is_none() {
        directory::remove(dir, &options, &stale);
    }
    let Loaded { segments, tail, tracked, head, floor_ns, .. } = loaded;
    let read_only = match role {
        Role::Writer => read_only,
        Role::Replica { why } => Some(why.clone()),
    };
    let opened = Opened { dir: dir.to_owned(), options, segments, head, tracked, read_only, lock };
    let shared = Arc::new(Shared::new(opened));
    let is_sealed = tail.sealed;
    let tail = Tail { offset: tail.end, zeroed: tail.zeroed, closed: tail.closed, floor_ns };
    Ok(Found { shared, tail, is_sealed, damage })
}

/// Keeps everybody else out of a folder that is there.
pub(crate) fn lock(dir: &Path, disk: &dyn Disk) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    let path = dir.join(LOCK);
    if is_on(Bug::SkipLock) {
        return Ok(Box::new(()));
    }
    disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            OpenError::Locked { dir: dir.to_owned(), holder: holder(dir, disk) }
        }
        _ => Fault::io("lock", path)(error).into(),
    })
}

pub(crate) fn holder(dir: &Path, disk: &dyn Disk) -> Option<String> {
    let file = disk.open(&dir.join(HOLDER), Mode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?];
    file.read_at(&mut bytes, 0).ok()?;
    String::from_utf8(bytes).ok().filter(|url| !url.is_empty())
}

/// Makes the disk say what was found: cuts a torn tail, makes durable what was only written, and
/// writes the index files that are missing.
fn make_good(dir: &Path, options: &Options, loaded: &Loaded) -> Result<(), OpenError> {
    let disk = &*options.world.disk;
    let last = loaded.segments.last().expect("there is always a segment");
    if let Some(cut) = loaded.tail.cut.clone()
        && !is_on(Bug::KeepTornTail)
    {
        last.zero(cut).map_err(Fault::io("write", &last.path))?;
    }
    if !is_on(Bug::SkipSyncAtOpen) {
        make_durable(last, loaded.tail.durable..loaded.tail.end)?;
    }
    disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
    let leftovers = packed::leftovers(disk, dir)?;
    for name in loaded.unfinished.iter().chain(&leftovers) {
        let path = dir.join(name);
        match disk.remove(&path) {
            // It was finished, or begun again, while the folder was loaded.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(Fault::io("remove", path))?,
        }
    }
    for segment in loaded.segments.iter().rev().skip(1) {
        // Without its file an index stays in memory: a full disk must not keep a store closed.
        let _ = index_segment(dir, options, segment);
    }
    Ok(())
}

/// Makes durable what was found whole, and perhaps is in the page cache only: before it is served,
/// it must be as durable as if it had been acknowledged.
///
/// A sync is not enough. Where one failed before, the system may hold the bytes for written: they
/// are written again.
fn make_durable(segment: &Segment, unproven: Range<u64>) -> Result<(), Fault> {
    let path = &segment.path;
    let mut at = unproven.start;
    let mut bytes = Vec::new();
    while at < unproven.end {
        let len = CHUNK.min(unproven.end - at);
        bytes.resize(usize::try_from(len).expect("1 MiB at most"), 0);
        segment.file.read_at(&mut bytes, at).map_err(Fault::io("read", path))?;
        segment.file.write_at(&bytes, at).map_err(Fault::io("write", path))?;
        at += len;
    }
    segment.file.sync().map_err(Fault::io("sync", path))
}

/// At most this many bytes are written at once.
const CHUNK: u64 = 1 << 20;

/// Writes the index file of a sealed segment whose index is in memory still, and uses it.
pub(crate) fn index_segment(dir: &Path, options: &Options, segment: &Segment) -> Result<(), Fault> {
    let seed = segment.header.seed;
    let Some(bytes) = segment.index.with_memory(|memory| build(memory, seed)) else {
        return Ok(());
    };
    put_index(dir, options, segment, &bytes)
}

/// Makes the index file of a sealed segment anew from the segment, which must be whole, and uses
/// it.
pub(crate) fn reindex_segment(
    dir: &Path,
    options: &Options,
    segment: &Segment,
) -> Result<(), Fault> {
    let scan = scan::scan(&*segment.file, &segment.path, &segment.header)?;
    if let Some(missing) = scan.missing.first() {
        return Err(segment.fault(missing.offset, missing.what));
    }
    put_index(dir, options, segment, &build(&scan.index, segment.header.seed))
}

fn put_index(dir: &Path, options: &Options, segment: &Segment, bytes: &[u8]) -> Result<(), Fault> {
    let disk = &*options.world.disk;
    let path = index_path(dir, segment.base());
    let unfinished = path.with_extension("idx.tmp");
    let file = disk.open(&unfinished, Mode::Create).map_err(Fault::io("create", &unfinished))?;
    file.write_at(bytes, 0).map_err(Fault::io("write", &unfinished))?;
    if !is_on(Bug::UnsyncedIndex) {
        file.sync().map_err(Fault::io("sync", &unfinished))?;
    }
    disk.rename(&unfinished, &path).map_err(Fault::io("rename", &unfinished))?;
    disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
    if let Some(index) = load::open_index(dir, options, &segment.header) {
        segment.index.swap(index);
    }
    Ok(())
}

/// The position before a segment's first.
fn before(base: u64) -> Position {
    Position(base - 1)
}
