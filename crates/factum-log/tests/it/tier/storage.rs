//! An object storage in memory, which loses, damages and refuses what it is told to.

use factum_log::{
    disk::File,
    tier::{ColdError, ColdStore},
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

#[derive(Debug, Default)]
struct State {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    is_out: AtomicBool,
    garbles: AtomicBool,
    gets: AtomicUsize,
}

/// The storage. Clones share it.
#[derive(Clone, Debug)]
pub struct Storage {
    location: &'static str,
    state: Arc<State>,
}

impl Default for Storage {
    fn default() -> Self {
        Self::at("memory://test")
    }
}

impl Storage {
    pub fn at(location: &'static str) -> Self {
        Self { location, state: Arc::default() }
    }

    pub fn gets(&self) -> usize {
        self.state.gets.load(Ordering::SeqCst)
    }

    pub fn be_out(&self, is_out: bool) {
        self.state.is_out.store(is_out, Ordering::SeqCst);
    }

    /// What is put from now on is not what comes back.
    pub fn garble(&self, garbles: bool) {
        self.state.garbles.store(garbles, Ordering::SeqCst);
    }

    pub fn lose(&self, key: &str) {
        self.state.objects.lock().unwrap().remove(key).unwrap();
    }

    pub fn lose_all(&self) {
        self.state.objects.lock().unwrap().clear();
    }

    pub fn damage(&self, key: &str, at: usize) {
        self.state.objects.lock().unwrap().get_mut(key).unwrap()[at] ^= 1;
    }

    fn answers(&self) -> Result<(), ColdError> {
        match self.state.is_out.load(Ordering::SeqCst) {
            true => Err(ColdError::Unavailable { why: "out of order".into() }),
            false => Ok(()),
        }
    }
}

impl ColdStore for Storage {
    fn location(&self) -> &str {
        self.location
    }

    fn put(&self, key: &str, file: &dyn File, len: u64) -> Result<(), ColdError> {
        self.answers()?;
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        if self.state.garbles.load(Ordering::SeqCst) {
            bytes[5_000] ^= 1;
        }
        self.state.objects.lock().unwrap().insert(key.to_owned(), bytes);
        Ok(())
    }

    fn get(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, ColdError> {
        self.state.gets.fetch_add(1, Ordering::SeqCst);
        self.answers()?;
        let objects = self.state.objects.lock().unwrap();
        let bytes = objects.get(key).ok_or(ColdError::Gone)?;
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        Ok(bytes.get(range).unwrap_or_default().to_vec())
    }

    fn list(&self) -> Result<Vec<(String, u64)>, ColdError> {
        self.answers()?;
        let objects = self.state.objects.lock().unwrap();
        Ok(objects.iter().map(|(key, bytes)| (key.clone(), bytes.len() as u64)).collect())
    }

    fn delete(&self, key: &str) -> Result<(), ColdError> {
        self.answers()?;
        self.state.objects.lock().unwrap().remove(key);
        Ok(())
    }
}
