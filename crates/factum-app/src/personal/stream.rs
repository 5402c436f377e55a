//! Keys in the store itself: a stream a subject, with the key as its one event, tombstoned to
//! delete it.
//!
//! The bytes of a deleted key leave the files when the store is scavenged, and a backup that was
//! made before still has them: scavenge after erasing, and let backups expire, or keep the keys
//! elsewhere.

use super::{Key, KeyError, KeyState, KeyStore, memory::new_key};
use crate::world::BoxFuture;
use factum_core::{
    AnyStore, Append, AppendError, Change, ContentType, EventData, EventStore, EventType, Expected,
    Freshness, Read, ReadError, StreamName, StreamState, Uuid,
};

/// A key store over an event store: the app's own, or another.
#[derive(Clone, Debug)]
pub struct StreamKeys(AnyStore);

impl StreamKeys {
    /// Over a store.
    pub fn new(store: impl EventStore) -> Self {
        Self(AnyStore::new(store))
    }

    fn stream(subject: &str) -> Result<StreamName, KeyError> {
        let damaged = |_| KeyError::Damaged { subject: subject.into() };
        StreamName::new(&format!("$key-{subject}")).map_err(damaged)
    }

    async fn read(&self, subject: &str) -> Result<KeyState, KeyError> {
        let read = Read::stream(Self::stream(subject)?);
        let read = Read { freshness: Freshness::Current, ..read };
        let reading = self.0.read(read).await.map_err(away_read)?;
        match reading.state {
            Some(StreamState::Tombstoned | StreamState::Deleted { .. }) => {
                return Ok(KeyState::Erased);
            }
            Some(StreamState::Absent) | None => return Ok(KeyState::Absent),
            Some(StreamState::Live { .. }) => {}
        }
        let events = reading.events().await.map_err(away_read)?;
        let key = events.first().and_then(|event| event.data().try_into().ok());
        let damaged = || KeyError::Damaged { subject: subject.into() };
        key.map(|key| KeyState::Key(Key(key))).ok_or_else(damaged)
    }

    async fn create(&self, subject: &str) -> Result<Option<Key>, KeyError> {
        let (key, mut id) = (new_key()?, [0; 16]);
        getrandom::fill(&mut id).map_err(|error| KeyError::Away { why: error.to_string() })?;
        let event_type = EventType::new("$key").map_err(|error| away(&error))?;
        let id = uuid::Builder::from_random_bytes(id).into_uuid();
        let event = EventData {
            content_type: ContentType::Binary,
            ..EventData::new(Uuid::from_u128(id.as_u128()), event_type, key.0.to_vec())
        };
        let stream = Self::stream(subject)?;
        let append = Append::to(stream.clone(), [event]).expecting(stream, Expected::NoStream);
        match self.0.append(append).await {
            Ok(_) => Ok(Some(key)),
            // Somebody else was faster, or has erased it meanwhile.
            Err(AppendError::Conflict { .. } | AppendError::Tombstoned { .. }) => Ok(None),
            Err(error) => Err(away(&error)),
        }
    }
}

fn away(error: &dyn std::error::Error) -> KeyError {
    KeyError::Away { why: error.to_string() }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn away_read(error: ReadError) -> KeyError {
    away(&error)
}

impl KeyStore for StreamKeys {
    fn get<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<KeyState, KeyError>> {
        Box::pin(self.read(subject))
    }

    fn get_or_create<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Key, KeyError>> {
        Box::pin(async move {
            for _ in 0..2 {
                match self.read(subject).await? {
                    KeyState::Key(key) => return Ok(key),
                    KeyState::Erased => return Err(KeyError::Erased { subject: subject.into() }),
                    KeyState::Absent => {}
                }
                if let Some(key) = self.create(subject).await? {
                    return Ok(key);
                }
            }
            Err(KeyError::Away { why: "somebody else makes the key at the same time".into() })
        })
    }

    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<(), KeyError>> {
        Box::pin(async move {
            let stream = Self::stream(subject)?;
            match self.0.change(&stream, Change::Tombstone, None).await {
                Ok(_) | Err(AppendError::Tombstoned { .. }) => Ok(()),
                Err(error) => Err(away(&error)),
            }
        })
    }
}
