//! A disk that counts what is read: how many files and how many pages of 4 KiB.

use factum_log::disk::{Disk, File, Mode, OsDisk};
use std::{
    any::Any,
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

const PAGE: u64 = 4096;

/// What was read.
#[derive(Clone, Default, Debug)]
pub(crate) struct Counted {
    /// Calls that read.
    pub(crate) reads: u64,
    /// Times a file was opened.
    pub(crate) opens: u64,
    /// Which pages of which files, each once.
    pub(crate) pages: BTreeSet<(PathBuf, u64)>,
}

impl Counted {
    /// How many files.
    pub(crate) fn files(&self) -> usize {
        self.pages.iter().map(|(path, _)| path).collect::<BTreeSet<_>>().len()
    }
}

#[derive(Default, Debug)]
struct State {
    counted: Mutex<Counted>,
    /// Whether to skip syncs, so that what is left is the engine's own work.
    lazy: bool,
    /// Whether to count nothing: counting takes longer than what it counts.
    blind: bool,
    /// How long syncs took.
    sync_ns: AtomicU64,
}

/// The operating system's disk, with every read counted. Clones count together.
#[derive(Clone, Default, Debug)]
pub(crate) struct CountingDisk(Arc<State>);

impl CountingDisk {
    /// A disk that counts nothing, where times are measured.
    pub(crate) fn blind() -> Self {
        Self(Arc::new(State { blind: true, ..State::default() }))
    }

    /// A disk that never syncs, and counts nothing.
    pub(crate) fn lazy() -> Self {
        Self(Arc::new(State { lazy: true, blind: true, ..State::default() }))
    }

    /// What was read since the last time this was asked.
    pub(crate) fn take(&self) -> Counted {
        std::mem::take(&mut *self.0.counted.lock().unwrap())
    }

    /// How long syncs of files took since the last time this was asked, in microseconds.
    pub(crate) fn take_sync_us(&self) -> f64 {
        self.0.sync_ns.swap(0, Ordering::Relaxed) as f64 / 1e3
    }
}

impl Disk for CountingDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        self.0.counted.lock().unwrap().opens += 1;
        let (file, path) = (OsDisk.open(path, mode)?, path.to_owned());
        Ok(Box::new(CountingFile { file, path, state: self.0.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.0.lazy { Ok(()) } else { OsDisk.sync_dir(dir) }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        OsDisk.lock(path)
    }
}

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn File>,
    path: PathBuf,
    state: Arc<State>,
}

impl File for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.state.blind {
            return self.file.read_at(buffer, offset);
        }
        let mut counted = self.state.counted.lock().unwrap();
        counted.reads += 1;
        let end = offset + buffer.len() as u64;
        let pages = offset / PAGE..end.div_ceil(PAGE);
        counted.pages.extend(pages.map(|page| (self.path.clone(), page)));
        drop(counted);
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.state.lazy {
            return Ok(());
        }
        let began = Instant::now();
        let synced = self.file.sync();
        let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap();
        self.state.sync_ns.fetch_add(took_ns, Ordering::Relaxed);
        synced
    }
}
