//! The one door to the disk. Everything the engine does to files goes through [`Disk`] and
//! [`File`], so that a simulated disk can stand in for the real one; no other file of the engine
//! may call `std::fs` (a lint).
//!
//! What is assumed of a disk: a write is not durable before [`File::sync`]; a create, rename or
//! remove is not durable before [`Disk::sync_dir`]; until then each may be kept, lost, torn or
//! reordered on its own, a sector (512 bytes) at a time. After a failed sync nothing is known.

mod cache;
mod os;
mod places;
mod pool;
mod rotten;
pub(crate) mod stand_in;

pub(crate) use cache::BlockCache;
pub use os::OsDisk;
pub(crate) use pool::PooledDisk;
pub(crate) use rotten::Rotten;

use crate::error::Fault;
use std::{any::Any, fmt, io, path::Path};

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Creates the folder and those above it. Fine if it is there.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in a folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens a file.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>>;

    /// Gives a file another name, replacing one of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must be free. Both are the file then, until one of them
    /// is another's or is removed.
    ///
    /// Fails with [`io::ErrorKind::Unsupported`] where the disk cannot do that.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the folder's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file, creating it if need be, until the guard is dropped.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if another process, or another opening of this
    /// one, holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// Locks a file that is there, to look only, beside others who look: nothing is created or
    /// written, so that it works where nothing may be.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] where somebody holds [`Disk::lock`], and with
    /// [`io::ErrorKind::NotFound`] where there is no such file. A disk that knows one kind of lock
    /// only takes that.
    fn lock_to_look(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.lock(path)
    }

    /// The disk that compresses segments, if it is this one or one behind it.
    #[cfg(feature = "zstd")]
    fn packed(&self) -> Option<&crate::packed::PackedDisk> {
        None
    }
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// To read. It must be there.
    Read,
    /// To read and write. It must be there.
    Write,
    /// To read and write. It is made empty if it is there, and created if not.
    Create,
}

/// An open file. Reads and writes name their offset: there is no cursor, so threads can share it.
pub trait File: Send + Sync + fmt::Debug {
    /// Its length, in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills the buffer from an offset; [`io::ErrorKind::UnexpectedEof`] if the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of the bytes at an offset, growing the file if need be.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable.
    fn sync(&self) -> io::Result<()>;

    /// Whether its bytes come from somewhere else, at a price: what reads for the sake of reading
    /// leaves it alone.
    fn is_remote(&self) -> bool {
        false
    }

    /// The bytes that it takes on the disk: fewer than its length where it is compressed, none
    /// where it is somewhere else.
    fn stored_bytes(&self) -> io::Result<u64> {
        self.len()
    }
}

/// Writes a small file whole: it appears under its name, in place of one of that name, only when it
/// is durable.
pub(crate) fn put_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let unfinished = path.with_extension("tmp");
    let file = disk.open(&unfinished, Mode::Create).map_err(Fault::io("create", &unfinished))?;
    file.write_at(bytes, 0).map_err(Fault::io("write", &unfinished))?;
    file.sync().map_err(Fault::io("sync", &unfinished))?;
    disk.rename(&unfinished, path).map_err(Fault::io("rename", &unfinished))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(dir).map_err(Fault::io("sync", dir))
}
