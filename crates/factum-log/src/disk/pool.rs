//! A disk that keeps few files open: those that were not used lately are closed, and opened again
//! when they are asked for. So a store of thousands of segments fits under the usual limits.
//!
//! What must hold: an open file reads on in the bytes it was opened on, also when its name is taken
//! by another or removed, as POSIX has it (those are held open to their end); and a file that was
//! written to is not closed before it is synced, so that no failed sync goes unseen.

use super::{Disk, File, Mode};
use std::{
    any::Any,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// A disk with a limit of files that are open at once.
#[derive(Debug)]
pub(crate) struct PooledDisk(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    disk: Arc<dyn Disk>,
    max: usize,
    open: AtomicUsize,
    /// Held while a name is looked up or changed: what is opened again is what was opened.
    ring: Mutex<Ring>,
}

/// All files, and the place where the search for one to close goes on.
#[derive(Debug, Default)]
struct Ring {
    files: Vec<Weak<Pooled>>,
    hand: usize,
}

/// A file, open or not.
#[derive(Debug)]
struct Pooled {
    pool: Arc<Pool>,
    mode: Mode,
    place: RwLock<Place>,
    /// Since the hand was here last.
    used: AtomicBool,
    writes: AtomicU64,
    /// The number of writes that the last good sync covered.
    synced: AtomicU64,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    /// The name is another's now.
    nameless: bool,
}

impl PooledDisk {
    /// Keeps at most `max` files open, and those that are written to.
    pub(crate) fn new(disk: Arc<dyn Disk>, max: usize) -> Self {
        let (open, ring) = Default::default();
        Self(Arc::new(Pool { disk, max: max.max(1), open, ring }))
    }
}

impl Pool {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a file again, unless another thread did. `about_to` is done before anybody can close
    /// it.
    fn reopen(&self, pooled: &Pooled, about_to: impl Fn()) -> io::Result<Arc<dyn File>> {
        let mut ring = self.ring();
        self.make_room(&mut ring);
        pooled.ensure_open(&*self.disk, about_to)
    }

    /// Closes files until one more may be opened. Two rounds: the first may find used ones only.
    fn make_room(&self, ring: &mut Ring) {
        let mut left = ring.files.len() * 2;
        while self.open.load(Ordering::Relaxed) >= self.max && left > 0 {
            left -= 1;
            if ring.hand >= ring.files.len() {
                ring.hand = 0;
            }
            match ring.files.get(ring.hand).map(Weak::upgrade) {
                Some(Some(pooled)) => {
                    pooled.close_if_idle();
                    ring.hand += 1;
                }
                Some(None) => drop(ring.files.swap_remove(ring.hand)),
                None => return,
            }
        }
    }

    /// Holds open whoever has a name that is about to go.
    fn hold(&self, ring: &Ring, path: &Path) -> io::Result<()> {
        let files = ring.files.iter().filter_map(Weak::upgrade);
        for pooled in files.filter(|pooled| pooled.is_at(path)) {
            pooled.ensure_open(&*self.disk, || ())?;
            pooled.change(|place| place.nameless = true);
        }
        Ok(())
    }
}

impl Pooled {
    fn change<T>(&self, change: impl FnOnce(&mut Place) -> T) -> T {
        change(&mut self.place.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn look<T>(&self, look: impl FnOnce(&Place) -> T) -> T {
        look(&self.place.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_at(&self, path: &Path) -> bool {
        self.look(|place| !place.nameless && place.path == path)
    }

    fn ensure_open(&self, disk: &dyn Disk, about_to: impl Fn()) -> io::Result<Arc<dyn File>> {
        self.change(|place| {
            about_to();
            if let Some(file) = &place.file {
                return Ok(file.clone());
            }
            // What was created is there, and must not be emptied.
            let mode = if self.mode == Mode::Read { Mode::Read } else { Mode::Write };
            let file: Arc<dyn File> = disk.open(&place.path, mode)?.into();
            place.file = Some(file.clone());
            self.pool.open.fetch_add(1, Ordering::Relaxed);
            Ok(file)
        })
    }

    fn close_if_idle(&self) {
        if self.used.swap(false, Ordering::Relaxed) {
            return;
        }
        let closed = self.change(|place| {
            let is_written =
                self.writes.load(Ordering::Relaxed) != self.synced.load(Ordering::Relaxed);
            if place.nameless || is_written { None } else { place.file.take() }
        });
        if closed.is_some() {
            self.pool.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The open file. `about_to` is done before anybody can close it.
    fn file(&self, about_to: impl Fn()) -> io::Result<Arc<dyn File>> {
        self.used.store(true, Ordering::Relaxed);
        let open = self.look(|place| {
            let file = place.file.clone()?;
            about_to();
            Some(file)
        });
        open.map_or_else(|| self.pool.reopen(self, about_to), Ok)
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.look(|place| place.file.is_some()) {
            self.pool.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Disk for PooledDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.disk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.disk.list(dir)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn File>> {
        let pool = &self.0;
        let mut ring = pool.ring();
        pool.make_room(&mut ring);
        let file: Arc<dyn File> = pool.disk.open(path, mode)?.into();
        pool.open.fetch_add(1, Ordering::Relaxed);
        let place = Place { path: path.to_owned(), file: Some(file), nameless: false };
        let pooled = Arc::new(Pooled {
            pool: pool.clone(),
            mode,
            place: RwLock::new(place),
            used: AtomicBool::new(true),
            writes: AtomicU64::new(0),
            synced: AtomicU64::new(0),
        });
        ring.files.push(Arc::downgrade(&pooled));
        Ok(Box::new(PooledFile(pooled)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ring = self.0.ring();
        self.0.hold(&ring, to)?;
        self.0.disk.rename(from, to)?;
        let files = ring.files.iter().filter_map(Weak::upgrade);
        for pooled in files.filter(|pooled| pooled.is_at(from)) {
            pooled.change(|place| place.path = to.to_owned());
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let ring = self.0.ring();
        self.0.hold(&ring, path)?;
        self.0.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.0.disk.lock(path)
    }

    fn lock_to_look(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.0.disk.lock_to_look(path)
    }

    #[cfg(feature = "zstd")]
    fn packed(&self) -> Option<&crate::packed::PackedDisk> {
        self.0.disk.packed()
    }
}

#[derive(Debug)]
struct PooledFile(Arc<Pooled>);

impl File for PooledFile {
    fn len(&self) -> io::Result<u64> {
        self.0.file(|| ())?.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.file(|| ())?.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let counted = || {
            self.0.writes.fetch_add(1, Ordering::Relaxed);
        };
        self.0.file(counted)?.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let file = self.0.file(|| ())?;
        let writes = self.0.writes.load(Ordering::Relaxed);
        file.sync()?;
        self.0.synced.fetch_max(writes, Ordering::Relaxed);
        Ok(())
    }

    fn is_remote(&self) -> bool {
        self.0.file(|| ()).is_ok_and(|file| file.is_remote())
    }

    fn stored_bytes(&self) -> io::Result<u64> {
        self.0.file(|| ())?.stored_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::OsDisk, *};

    fn disk(max: usize) -> (tempfile::TempDir, PooledDisk) {
        (tempfile::tempdir().unwrap(), PooledDisk::new(Arc::new(OsDisk), max))
    }

    fn create(disk: &PooledDisk, path: &Path, text: &str) -> Box<dyn File> {
        let file = disk.open(path, Mode::Create).unwrap();
        file.write_at(text.as_bytes(), 0).unwrap();
        file.sync().unwrap();
        file
    }

    fn read(file: &dyn File) -> String {
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn open(disk: &PooledDisk) -> usize {
        disk.0.open.load(Ordering::Relaxed)
    }

    /// Uses so many other files that the first are closed.
    fn crowd(disk: &PooledDisk, dir: &Path) {
        for n in 0..10 {
            drop(create(disk, &dir.join(format!("other-{n}")), "other"));
        }
        let others: Vec<_> = (0..10)
            .map(|n| disk.open(&dir.join(format!("other-{n}")), Mode::Read).unwrap())
            .collect();
        others.iter().for_each(|file| assert_eq!(read(&**file), "other"));
    }

    #[test]
    fn few_are_open_and_all_can_be_read() {
        let (dir, disk) = disk(3);
        let path = |n| dir.path().join(format!("file-{n}"));
        let files: Vec<_> = (0..20).map(|n| create(&disk, &path(n), &format!("{n}"))).collect();
        for round in 0..3 {
            for (n, file) in files.iter().enumerate() {
                assert_eq!(read(&**file), format!("{n}"), "round {round}");
                assert!(open(&disk) <= 3, "{} are open", open(&disk));
            }
        }
        drop(files);
        assert_eq!(open(&disk), 0);
    }

    #[test]
    fn what_is_not_synced_stays_open() {
        let (dir, disk) = disk(1);
        let file = create(&disk, &dir.path().join("a"), "text");
        file.write_at(b"T", 0).unwrap();
        crowd(&disk, dir.path());
        let is_open = || disk.0.ring().files[0].upgrade().unwrap().look(|one| one.file.is_some());
        assert!(is_open(), "its sync would be another file's");
        file.sync().unwrap();
        crowd(&disk, dir.path());
        assert!(!is_open());
        assert_eq!(read(&*file), "Text");
    }

    #[test]
    fn a_name_that_is_taken_changes_nothing_for_who_has_it_open() {
        let (dir, disk) = disk(1);
        let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
        let (old, new) = (create(&disk, &a, "old"), create(&disk, &b, "new"));
        let gone = create(&disk, &c, "gone");
        crowd(&disk, dir.path());
        disk.rename(&b, &a).unwrap();
        disk.remove(&c).unwrap();
        crowd(&disk, dir.path());
        assert_eq!(
            (read(&*old), read(&*new), read(&*gone)),
            ("old".into(), "new".into(), "gone".into())
        );
        let by_name = disk.open(&a, Mode::Read).unwrap();
        assert_eq!(read(&*by_name), "new");
    }

    #[test]
    fn threads_that_share_files_find_their_own() {
        let (dir, disk) = disk(2);
        let path = |n| dir.path().join(format!("file-{n}"));
        let files: Vec<_> = (0..8).map(|n| create(&disk, &path(n), &format!("{n}"))).collect();
        std::thread::scope(|scope| {
            for start in 0..4 {
                let files = &files;
                scope.spawn(move || {
                    for at in (start..start + 400).map(|at| at % files.len()) {
                        assert_eq!(read(&*files[at]), format!("{at}"));
                    }
                });
            }
        });
        assert!(open(&disk) <= 2);
    }
}
