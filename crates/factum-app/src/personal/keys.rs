//! Keys, one a subject, and where they come from.

use crate::world::BoxFuture;
use factum_core::RecordedEvent;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The key of a subject. Not shown in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What is known about the key of a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// It is there.
    Key(Key),
    /// It was deleted, and with it what it sealed.
    Erased,
    /// There never was one, as far as the key store knows: not the same as deleted.
    Absent,
}

/// Why keys could not be had.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key store does not answer. Nothing is lost: try again later.
    #[error("the key store is away: {why}")]
    Away {
        /// What it says.
        why: String,
    },
    /// What the key store has for a subject is no key. Look at it, or restore it.
    #[error("the key of {subject:?} is damaged: restore the key store from a backup")]
    Damaged {
        /// Whose.
        subject: String,
    },
    /// The subject was erased: nothing personal is written about it any more. Who comes back is a
    /// new subject.
    #[error("{subject:?} was erased: nothing personal is written about it; use a new subject")]
    Erased {
        /// Who.
        subject: String,
    },
    /// The app was given no key store, and an event has personal data.
    #[error("an event has personal data, and the app has no key store: `AppBuilder::personal`")]
    NoStore,
}

impl KeyError {
    /// Whether the same may go well later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

/// Where keys are kept: in the store itself (`StreamKeys`), or in a system made for them.
pub trait KeyStore: Send + Sync + fmt::Debug + 'static {
    /// What is known about the key of a subject.
    fn get<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<KeyState, KeyError>>;

    /// The key of a subject; a new one where there is none. Of several at once all get the same.
    fn get_or_create<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Key, KeyError>>;

    /// Deletes the key of a subject, for good. Again: nothing more to do.
    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<(), KeyError>>;
}

/// The keys that a batch of events needs.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<String, KeyState>);

impl Keys {
    /// Those of these subjects.
    ///
    /// # Errors
    ///
    /// The key store does not answer, or has something else than a key.
    pub async fn fetch(store: &dyn KeyStore, subjects: BTreeSet<String>) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        for subject in subjects {
            let state = store.get(&subject).await?;
            keys.insert(subject, state);
        }
        Ok(Self(keys))
    }

    /// Those that a batch of events needs; nothing where none of them has sealed fields.
    ///
    /// # Errors
    ///
    /// As [`Keys::fetch`].
    pub async fn of_batch(
        store: Option<&dyn KeyStore>,
        events: &[RecordedEvent],
    ) -> Result<Option<Self>, KeyError> {
        let Some(store) = store else { return Ok(None) };
        let marked = events.iter().filter(|event| super::is_marked(event.data()));
        let subjects: BTreeSet<String> = marked.flat_map(super::mark::subjects_of).collect();
        if subjects.is_empty() {
            return Ok(None);
        }
        Self::fetch(store, subjects).await.map(Some)
    }

    /// The key of a subject.
    #[must_use]
    pub fn get(&self, subject: &str) -> Option<&KeyState> {
        self.0.get(subject)
    }
}
