//! Files that are open by name, so that each can be given another place while it is.

use super::File;
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, Weak},
};

/// Where an open file is.
type Place = RwLock<Arc<dyn File>>;

/// Who has which name open.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<PathBuf, Vec<Weak<Place>>>);

impl Places {
    /// Notes that a file is open.
    pub(super) fn add(&mut self, path: &Path, file: Arc<dyn File>) -> Box<dyn File> {
        let place = Arc::new(RwLock::new(file));
        let files = self.0.entry(path.to_owned()).or_default();
        files.retain(|one| one.strong_count() > 0);
        files.push(Arc::downgrade(&place));
        Box::new(PlacedFile(place))
    }

    /// Who has the old file of that name open goes on in it.
    pub(super) fn renamed(&mut self, from: &Path, to: &Path) {
        match self.0.remove(from) {
            Some(files) => drop(self.0.insert(to.to_owned(), files)),
            None => drop(self.0.remove(to)),
        }
    }

    /// Who has it open goes on in it.
    pub(super) fn removed(&mut self, path: &Path) {
        self.0.remove(path);
    }

    /// Everybody who has this open goes on in another place.
    pub(super) fn switch(&mut self, path: &Path, to: &Arc<dyn File>) {
        for place in self.0.get(path).into_iter().flatten().filter_map(Weak::upgrade) {
            *place.write().unwrap_or_else(PoisonError::into_inner) = to.clone();
        }
    }
}

/// An open file, wherever it is.
#[derive(Debug)]
struct PlacedFile(Arc<Place>);

impl PlacedFile {
    fn file(&self) -> Arc<dyn File> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl File for PlacedFile {
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

    fn stored_bytes(&self) -> io::Result<u64> {
        self.file().stored_bytes()
    }
}
