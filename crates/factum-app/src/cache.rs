//! States of lately made decisions, by what they were folded of. Bounded; the least used go first.
//!
//! What is in here is never taken for the truth: an append is conditioned on how far the state was
//! read, and an outcome without an append is given only after the store was asked for more.

use crate::decision::Boundary;
use lru::LruCache;
use std::{
    any::{Any, TypeId},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// Which state of what.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    state: TypeId,
    boundary: Boundary,
}

impl Key {
    pub(crate) fn of<S: 'static>(boundary: &Boundary) -> Self {
        Self { state: TypeId::of::<S>(), boundary: boundary.clone() }
    }
}

type States = LruCache<Key, Arc<dyn Any + Send + Sync>>;

/// The cache.
pub(crate) struct Cache(Option<Mutex<States>>);

impl Cache {
    /// One for so many states; 0 keeps none.
    pub(crate) fn new(states_max: usize) -> Self {
        Self(NonZeroUsize::new(states_max).map(|max| Mutex::new(LruCache::new(max))))
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self, key: &Key) -> Option<Arc<T>> {
        let states = self.0.as_ref()?;
        let found = states.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        found?.downcast().ok()
    }

    /// Forgets every state.
    #[cfg(feature = "personal")]
    pub(crate) fn clear(&self) {
        if let Some(states) = &self.0 {
            states.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    pub(crate) fn put<T: Send + Sync + 'static>(&self, key: Key, state: Arc<T>) {
        if let Some(states) = &self.0 {
            let gone = states.lock().unwrap_or_else(PoisonError::into_inner).push(key, state);
            // Dropped after the lock: a state may be large.
            drop(gone);
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
