//! The disk in front of the real one: names of moved segments are files here.

use super::{
    ColdStore,
    cold::{ColdFile, Source},
    marker::{MARKER, Marker},
};
use crate::{
    clock::{Clock, SystemClock},
    disk::{Disk, File, Mode},
    segment::base_of,
};
use std::{
    any::Any,
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
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
pub struct TierDisk(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) source: Arc<Source>,
    /// Segments that are open, by name. Held while a name or a place changes.
    open: Mutex<Open>,
}

/// Who has which name open.
#[derive(Debug, Default)]
pub(super) struct Open {
    files: HashMap<PathBuf, Vec<Weak<Place>>>,
    /// Markers whose segment has been written anew: they go when its name is durable.
    outdated: HashSet<PathBuf>,
}

/// Where an open segment is: here, or moved.
pub(super) type Place = RwLock<Arc<dyn File>>;

/// The marker of a segment.
pub(super) fn marker_path(segment: &Path) -> PathBuf {
    segment.with_extension(&MARKER[1..])
}

fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    base_of(name.strip_suffix(".tmp").unwrap_or(name)).is_some()
}

impl Open {
    fn add(&mut self, path: &Path, file: Arc<dyn File>) -> Box<dyn File> {
        let place = Arc::new(RwLock::new(file));
        let files = self.files.entry(path.to_owned()).or_default();
        files.retain(|one| one.strong_count() > 0);
        files.push(Arc::downgrade(&place));
        Box::new(TierFile(place))
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        // Who has the old file of that name open goes on in it.
        match self.files.remove(from) {
            Some(files) => drop(self.files.insert(to.to_owned(), files)),
            None => drop(self.files.remove(to)),
        }
    }

    /// The marker that is written now is that of the segment.
    pub(super) fn is_marked(&mut self, path: &Path) {
        self.outdated.remove(path);
    }

    /// Everybody who has this open goes on in another place.
    pub(super) fn switch(&mut self, path: &Path, to: &Arc<dyn File>) {
        for place in self.files.get(path).into_iter().flatten().filter_map(Weak::upgrade) {
            *place.write().unwrap_or_else(PoisonError::into_inner) = to.clone();
        }
    }
}

impl TierDisk {
    /// Segments of `disk` that were moved to `store` are read from there.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, store: Arc<dyn ColdStore>, options: TierOptions) -> Self {
        let source = Source::new(store, options.clock, options.cache_bytes_max);
        Self(Arc::new(Inner { disk, source: Arc::new(source), open: Mutex::default() }))
    }
}

impl TierDisk {
    /// Where moved segments are.
    #[must_use]
    pub fn location(&self) -> &str {
        self.0.source.store.location()
    }
}

impl Inner {
    pub(super) fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the marker of a segment says; `None` where there is none.
    pub(super) fn marker(&self, segment: &Path) -> io::Result<Option<Marker>> {
        let path = marker_path(segment);
        let file = match self.disk.open(&path, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_at(&mut bytes, 0)?;
        let damaged = || {
            let what = format!("{} is damaged: restore it from a backup", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        Marker::decode(&bytes).ok_or_else(damaged).map(Some)
    }

    /// The segment at this name, here or moved.
    fn find(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        match self.disk.open(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && mode != Mode::Create => {
                let marker = self.marker(path)?.ok_or(error)?;
                Ok(Arc::new(ColdFile::new(self.source.clone(), marker)))
            }
            opened => Ok(opened?.into()),
        }
    }
}

impl Disk for TierDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.disk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = self.0.disk.list(dir)?;
        let there: HashSet<&str> = names.iter().map(String::as_str).collect();
        let moved = names.iter().filter_map(|name| name.strip_suffix(MARKER));
        let moved: Vec<String> = moved
            .map(|base| format!("{base}.log"))
            .filter(|name| base_of(name).is_some() && !there.contains(name.as_str()))
            .collect();
        names.extend(moved);
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        if !is_segment(path) {
            return self.0.disk.open(path, mode);
        }
        let mut open = self.0.open();
        let file = self.0.find(path, mode)?;
        Ok(open.add(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut open = self.0.open();
        self.0.disk.rename(from, to)?;
        if is_segment(to) {
            open.renamed(from, to);
            open.outdated.insert(to.to_owned());
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut open = self.0.open();
        if !is_segment(path) {
            return self.0.disk.remove(path);
        }
        open.files.remove(path);
        // First, or it would stand for the segment.
        let marker = self.0.disk.remove(&marker_path(path));
        match self.0.disk.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => marker.map_err(|_| error),
            removed => removed,
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.disk.sync_dir(dir)?;
        let mut open = self.0.open();
        let written: Vec<_> = open.outdated.extract_if(|path| path.parent() == Some(dir)).collect();
        for path in written {
            // It says nothing as long as the segment is here: if it stays, nothing is lost.
            let _ = self.0.disk.remove(&marker_path(&path));
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.0.disk.lock(path)
    }

    fn lock_to_look(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.0.disk.lock_to_look(path)
    }
}

/// An open segment, wherever it is.
#[derive(Debug)]
struct TierFile(Arc<Place>);

impl TierFile {
    fn file(&self) -> Arc<dyn File> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl File for TierFile {
    fn len(&self) -> io::Result<u64> {
        self.file().len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file().read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file().write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file().sync()
    }

    fn is_remote(&self) -> bool {
        self.file().is_remote()
    }
}
