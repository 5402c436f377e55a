//! What is on the disk, what is in the cache, and every change that is in the cache only.

use super::SECTOR;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Which file, whatever its name.
pub type Ino = u32;

/// A call that changed something, or made it durable.
#[derive(Clone)]
pub enum Op {
    /// A folder and those above it.
    CreateDir(PathBuf),
    /// A new file.
    Create(PathBuf),
    /// A file made empty.
    Truncate(Ino),
    /// A file's new name.
    Rename(PathBuf, PathBuf),
    /// A second name of a file.
    Link(PathBuf, PathBuf),
    /// A name removed.
    Remove(PathBuf),
    /// A folder's entries made durable.
    SyncDir(PathBuf),
    /// Bytes at an offset.
    Write(Ino, u64, Arc<[u8]>),
    /// A file made durable.
    Sync(Ino),
    /// A sync that failed: half of the changes are on disk, and none is dirty any more.
    Drop(Ino),
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDir(path) => write!(f, "create folder {}", path.display()),
            Self::Create(path) => write!(f, "create {}", path.display()),
            Self::Truncate(ino) => write!(f, "truncate file {ino}"),
            Self::Rename(from, to) => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Link(from, to) => write!(f, "link {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::SyncDir(path) => write!(f, "sync folder {}", path.display()),
            Self::Write(ino, at, bytes) => {
                write!(f, "write {} bytes to file {ino} at {at}", bytes.len())
            }
            Self::Sync(ino) => write!(f, "sync file {ino}"),
            Self::Drop(ino) => write!(f, "failed sync of file {ino}"),
        }
    }
}

/// A change of a file that is not durable.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Whole sectors, from this one on, as the cache had them then.
    Sectors(usize, Arc<[u8]>),
    /// The length.
    Len(usize),
}

impl Change {
    /// One past the last byte that it writes.
    fn end(&self) -> Option<usize> {
        match self {
            Self::Sectors(first, image) => Some(first * SECTOR + image.len()),
            Self::Len(_) => None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) cache: Arc<Vec<u8>>,
    pub(super) durable: Arc<Vec<u8>>,
    pub(super) pending: Vec<Change>,
    /// A sync failed: the cache has what the disk will never get.
    pub(super) forked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    File(Ino),
    Dir,
}

/// A folder's entries: as programs see them, as they are on disk, and what each name was between.
#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    pub(super) cache: BTreeMap<String, Entry>,
    pub(super) durable: BTreeMap<String, Entry>,
    pub(super) pending: BTreeMap<String, Vec<Option<Entry>>>,
}

impl Dir {
    fn set(&mut self, name: String, entry: Option<Entry>) {
        match entry {
            Some(entry) => self.cache.insert(name.clone(), entry),
            None => self.cache.remove(&name),
        };
        self.pending.entry(name).or_default().push(entry);
    }
}

/// A file system in memory.
#[derive(Clone, Debug, Default)]
pub struct Fs {
    pub(super) inodes: BTreeMap<Ino, Inode>,
    pub(super) dirs: BTreeMap<PathBuf, Dir>,
    pub(super) next: Ino,
}

fn split(path: &Path) -> (PathBuf, String) {
    let dir = path.parent().unwrap_or(Path::new("")).to_owned();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    (dir, name.unwrap_or_default())
}

impl Fs {
    /// The file that has this name.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<Ino> {
        let (dir, name) = split(path);
        match self.dirs.get(&dir)?.cache.get(&name)? {
            Entry::File(ino) => Some(*ino),
            Entry::Dir => None,
        }
    }

    /// The names in a folder.
    #[must_use]
    pub fn list(&self, dir: &Path) -> Option<Vec<String>> {
        Some(self.dirs.get(dir)?.cache.keys().cloned().collect())
    }

    /// A file's bytes, as programs see them.
    #[must_use]
    pub fn bytes(&self, ino: Ino) -> &[u8] {
        self.inodes.get(&ino).map_or(&[], |inode| &inode.cache)
    }

    /// Changes a file behind everybody's back: in the cache and on disk.
    pub fn damage(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let ino = self.find(path).expect("the file is there");
        let inode = self.inodes.get_mut(&ino).expect("it was found");
        change(Arc::make_mut(&mut inode.cache));
        inode.durable = inode.cache.clone();
        inode.pending.clear();
    }

    /// Whether there is anything that a power cut could lose.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.inodes.values().any(|inode| !inode.pending.is_empty())
            || self.dirs.values().any(|dir| !dir.pending.is_empty())
    }

    /// Does what a call did.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir(dir) => self.create_dir(dir),
            Op::Create(path) => {
                let ino = self.next;
                self.next += 1;
                self.inodes.insert(ino, Inode::default());
                self.set(path, Some(Entry::File(ino)));
            }
            Op::Truncate(ino) => self.inode(*ino).truncate(),
            Op::Rename(from, to) => {
                let ino = self.find(from).expect("the caller looked");
                self.set(from, None);
                self.set(to, Some(Entry::File(ino)));
            }
            Op::Link(from, to) => {
                let ino = self.find(from).expect("the caller looked");
                self.set(to, Some(Entry::File(ino)));
            }
            Op::Remove(path) => self.set(path, None),
            Op::SyncDir(dir) => {
                if let Some(dir) = self.dirs.get_mut(dir) {
                    dir.durable = dir.cache.clone();
                    dir.pending.clear();
                }
            }
            Op::Write(ino, offset, bytes) => self.inode(*ino).write(*offset, bytes),
            Op::Sync(ino) => {
                let inode = self.inode(*ino);
                inode.durable = inode.flushed();
                inode.pending.clear();
            }
            Op::Drop(ino) => self.inode(*ino).drop_dirty(),
        }
    }

    fn inode(&mut self, ino: Ino) -> &mut Inode {
        self.inodes.entry(ino).or_default()
    }

    fn set(&mut self, path: &Path, entry: Option<Entry>) {
        let (dir, name) = split(path);
        self.dirs.entry(dir).or_default().set(name, entry);
    }

    fn create_dir(&mut self, dir: &Path) {
        if self.dirs.contains_key(dir) {
            return;
        }
        self.dirs.insert(dir.to_owned(), Dir::default());
        if dir.parent().is_some() {
            let (parent, _) = split(dir);
            self.create_dir(&parent);
            self.set(dir, Some(Entry::Dir));
        }
    }
}

impl Inode {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let from = usize::try_from(offset).expect("files are small here");
        let end = from + bytes.len();
        let before = self.cache.len();
        let cache = Arc::make_mut(&mut self.cache);
        if cache.len() < end {
            cache.resize(end, 0);
        }
        cache[from..end].copy_from_slice(bytes);
        let first = from / SECTOR;
        let sectors = &cache[first * SECTOR..(end.div_ceil(SECTOR) * SECTOR).min(cache.len())];
        self.pending.push(Change::Sectors(first, sectors.into()));
        if end > before {
            self.pending.push(Change::Len(end));
        }
    }

    /// The bytes on disk once all that is dirty is written.
    pub(super) fn flushed(&self) -> Arc<Vec<u8>> {
        match self.forked {
            false => self.cache.clone(),
            true => {
                // What is written past the end on disk makes the file longer there too.
                let ends = self.pending.iter().filter_map(Change::end);
                let least = ends.max().unwrap_or(0).min(self.cache.len());
                Arc::new(super::crash::settle(self, least, |_| true))
            }
        }
    }

    fn truncate(&mut self) {
        let zeroes = vec![0; self.cache.len()];
        self.pending.push(Change::Sectors(0, zeroes.into()));
        self.pending.push(Change::Len(0));
        self.cache = Arc::default();
    }

    /// Every second change reaches the disk.
    fn drop_dirty(&mut self) {
        let mut nth = 0u32;
        let bytes = super::crash::settle(self, 0, |_| {
            nth += 1;
            nth.is_multiple_of(2)
        });
        self.durable = Arc::new(bytes);
        self.pending.clear();
        self.forked = true;
    }
}
