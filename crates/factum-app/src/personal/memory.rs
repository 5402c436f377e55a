//! Keys in memory, for tests: gone with the process, and with them all that they sealed.

use super::{Key, KeyError, KeyState, KeyStore};
use crate::world::BoxFuture;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A key store in memory, which can be told to be away.
#[derive(Debug, Default)]
pub struct MemoryKeys(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    keys: BTreeMap<String, KeyState>,
    away: bool,
}

impl MemoryKeys {
    /// From now on it is away, or there again.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// Puts another key in its place, or forgets it.
    pub fn set(&self, subject: &str, state: KeyState) {
        self.lock().keys.insert(subject.to_owned(), state);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn there(&self) -> Result<MutexGuard<'_, Inner>, KeyError> {
        let inner = self.lock();
        if inner.away { Err(KeyError::Away { why: "it was told so".into() }) } else { Ok(inner) }
    }
}

/// A new key.
pub(super) fn new_key() -> Result<Key, KeyError> {
    let mut key = [0; 32];
    let away = |error| KeyError::Away { why: format!("no randomness: {error}") };
    getrandom::fill(&mut key).map_err(away)?;
    Ok(Key(key))
}

impl KeyStore for MemoryKeys {
    fn get<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<KeyState, KeyError>> {
        Box::pin(
            async move { Ok(self.there()?.keys.get(subject).cloned().unwrap_or(KeyState::Absent)) },
        )
    }

    fn get_or_create<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Key, KeyError>> {
        Box::pin(async move {
            let mut inner = self.there()?;
            match inner.keys.get(subject) {
                Some(KeyState::Key(key)) => Ok(key.clone()),
                Some(KeyState::Erased) => Err(KeyError::Erased { subject: subject.into() }),
                Some(KeyState::Absent) | None => {
                    let key = new_key()?;
                    inner.keys.insert(subject.to_owned(), KeyState::Key(key.clone()));
                    Ok(key)
                }
            }
        })
    }

    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<(), KeyError>> {
        Box::pin(async move {
            self.there()?.keys.insert(subject.to_owned(), KeyState::Erased);
            Ok(())
        })
    }
}
