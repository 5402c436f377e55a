//! Files that stand in for segments: what moved and compressed segments have in common.
//!
//! `BASE.log` may not be there, and another file instead, which says how to come by its bytes. To
//! all that stands above, that is the segment. What must hold:
//!
//! - Where both are there, the `.log` is the segment, and the stand-in says nothing.
//! - Who has a segment open goes on in whatever takes its place with the same bytes.
//! - A stand-in goes when its segment has been written anew, and not before that has its name
//!   durably; and it is gone durably before the segment goes, or it would stand for it again.

use super::{Disk, File, Mode, places::Places};
use crate::planted::{Bug, is_on};
use std::{
    any::Any,
    collections::HashSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What stands in for segments.
pub(crate) trait StandIn: Send + Sync + fmt::Debug + 'static {
    /// The name of the stand-in of a segment.
    fn path(&self, segment: &Path) -> PathBuf;

    /// The name of the segment that a file of this name stands in for, if it does for one.
    fn segment(&self, file_name: &str) -> Option<String>;

    /// Opens the stand-in of a segment; [`io::ErrorKind::NotFound`] where there is none.
    fn open(&self, disk: &dyn Disk, segment: &Path) -> io::Result<Arc<dyn File>>;
}

/// A disk in front of another: segments that have a stand-in are files on it.
#[derive(Debug)]
pub(crate) struct StandInDisk<S> {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) stand_in: S,
    /// Held while a name or a place changes.
    open: Mutex<Open>,
}

/// What is open, and what is to go.
#[derive(Debug, Default)]
pub(crate) struct Open {
    places: Places,
    /// Segments that have been written anew: their stand-ins go when their names are durable.
    outdated: HashSet<PathBuf>,
}

impl Open {
    /// The stand-in that is written now is that of the segment.
    pub(crate) fn is_current(&mut self, segment: &Path) {
        self.outdated.remove(segment);
    }

    /// Everybody who has the segment open goes on in another place.
    pub(crate) fn switch(&mut self, segment: &Path, to: &Arc<dyn File>) {
        self.places.switch(segment, to);
    }
}

/// Whether it is the name of a segment, or of one that is not whole yet, or was put aside.
fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_suffix(".tmp").unwrap_or(name).ends_with(".log")
}

/// Whether it was done; false where the file is not there.
pub(crate) fn found(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl<S: StandIn> StandInDisk<S> {
    pub(crate) fn new(disk: Arc<dyn Disk>, stand_in: S) -> Self {
        Self { disk, stand_in, open: Mutex::default() }
    }

    /// From here on no other file takes a name, until the guard is dropped.
    pub(crate) fn hold(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment at this name, or what stands in for it.
    pub(crate) fn find(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        match self.disk.open(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && mode != Mode::Create => {
                self.stand_in.open(&*self.disk, path)
            }
            opened => Ok(opened?.into()),
        }
    }
}

impl<S: StandIn> Disk for StandInDisk<S> {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = self.disk.list(dir)?;
        let there: HashSet<&str> = names.iter().map(String::as_str).collect();
        let stood_for = names.iter().filter_map(|name| self.stand_in.segment(name));
        let stood_for: Vec<_> = stood_for.filter(|name| !there.contains(name.as_str())).collect();
        names.extend(stood_for);
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        if !is_segment(path) {
            return self.disk.open(path, mode);
        }
        let mut open = self.hold();
        let file = self.find(path, mode)?;
        Ok(open.places.add(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut open = self.hold();
        match self.disk.rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_segment(from) => {
                self.disk.rename(&self.stand_in.path(from), &self.stand_in.path(to))?;
            }
            renamed => {
                renamed?;
                if is_segment(to) {
                    open.outdated.insert(to.to_owned());
                }
            }
        }
        open.places.renamed(from, to);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.disk.link(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_segment(from) => {
                self.disk.link(&self.stand_in.path(from), &self.stand_in.path(to))
            }
            linked => linked,
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !is_segment(path) {
            return self.disk.remove(path);
        }
        let mut open = self.hold();
        open.places.removed(path);
        let stood_for = found(self.disk.remove(&self.stand_in.path(path)))?;
        if stood_for {
            self.disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        }
        match self.disk.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && stood_for => Ok(()),
            removed => removed,
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)?;
        let mut open = self.hold();
        let mut removed = false;
        for segment in open.outdated.extract_if(|segment| segment.parent() == Some(dir)) {
            if is_on(Bug::KeepOutdated) {
                continue;
            }
            removed |= found(self.disk.remove(&self.stand_in.path(&segment)))?;
        }
        if removed { self.disk.sync_dir(dir) } else { Ok(()) }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.disk.lock(path)
    }

    fn lock_to_look(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.disk.lock_to_look(path)
    }
}

/// A disk that is one in front of another: `$disk.0` is an `Arc` of a [`StandInDisk`].
macro_rules! in_front {
    ($disk:ty { $($more:item)* }) => {
        impl crate::disk::Disk for $disk {
            fn create_dir(&self, dir: &std::path::Path) -> std::io::Result<()> {
                self.0.create_dir(dir)
            }

            fn list(&self, dir: &std::path::Path) -> std::io::Result<Vec<String>> {
                self.0.list(dir)
            }

            fn open(
                &self,
                path: &std::path::Path,
                mode: crate::disk::Mode,
            ) -> std::io::Result<Box<dyn crate::disk::File>> {
                self.0.open(path, mode)
            }

            fn rename(
                &self,
                from: &std::path::Path,
                to: &std::path::Path,
            ) -> std::io::Result<()> {
                self.0.rename(from, to)
            }

            fn link(
                &self,
                from: &std::path::Path,
                to: &std::path::Path,
            ) -> std::io::Result<()> {
                self.0.link(from, to)
            }

            fn remove(&self, path: &std::path::Path) -> std::io::Result<()> {
                self.0.remove(path)
            }

            fn sync_dir(&self, dir: &std::path::Path) -> std::io::Result<()> {
                self.0.sync_dir(dir)
            }

            fn lock(
                &self,
                path: &std::path::Path,
            ) -> std::io::Result<Box<dyn std::any::Any + Send + Sync>> {
                self.0.lock(path)
            }

            fn lock_to_look(
                &self,
                path: &std::path::Path,
            ) -> std::io::Result<Box<dyn std::any::Any + Send + Sync>> {
                self.0.lock_to_look(path)
            }

            $($more)*
        }
    };
}
pub(crate) use in_front;
