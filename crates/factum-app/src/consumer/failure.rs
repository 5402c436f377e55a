//! What can go wrong while an event is handled: the event's fault, or the world's.

use crate::{
    event::{DecodeError, Raw, Why},
    personal::KeyError,
};
use factum_core::{Position, ReadError, RecordedEvent};

/// Why a handler did not do what it was asked to.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The world's fault: a store or a target is away. Whatever was not committed is forgotten, and
    /// the consumer begins again at its checkpoint, after a pause, as often as it takes.
    #[error("away: {why}")]
    Away {
        /// What is away, and what it said.
        why: String,
    },
    /// The event's fault. The policy says what becomes of it.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Somebody else moved the checkpoint. The consumer begins again at the one that is there.
    #[error("the checkpoint has moved: somebody else writes here")]
    Moved,
    /// There is nothing to do until somebody asks for it.
    #[error("there is nothing to do")]
    Idle,
    /// Nobody's to mend by waiting: a target of another form, damage. The consumer stops.
    #[error("{why}")]
    Fatal {
        /// What is wrong, and what to do.
        why: String,
    },
}

impl Failure {
    /// The world's fault.
    pub fn away(why: impl ToString) -> Self {
        Self::Away { why: why.to_string() }
    }

    /// Nobody's to mend by waiting.
    pub fn fatal(why: impl ToString) -> Self {
        Self::Fatal { why: why.to_string() }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        if error.is_retryable() { Self::away(error) } else { Self::fatal(error) }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        if error.is_retryable() { Self::away(error) } else { Self::fatal(error) }
    }
}

/// An event that could not be handled.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("event {event_type:?} version {version} at position {position}{}: {why}", of_key(key))]
pub struct EventError {
    /// Where it stands.
    pub position: Position,
    /// Its name.
    pub event_type: Box<str>,
    /// Its version.
    pub version: u32,
    /// For which key, where that is known; otherwise it is about its whole stream.
    pub key: Option<String>,
    /// Whether trying again may help. What cannot be decoded cannot be decoded again.
    pub retryable: bool,
    /// What went wrong.
    pub why: String,
    /// It was written by a newer release than this one.
    pub newer: bool,
}

impl EventError {
    /// One about an event, of which another attempt may come to more.
    pub fn new(event: &RecordedEvent, why: impl Into<String>) -> Self {
        let raw = Raw::of(event);
        Self {
            position: raw.position,
            event_type: raw.event_type.into(),
            version: raw.version,
            key: None,
            retryable: true,
            why: why.into(),
            newer: false,
        }
    }

    /// The same, for one of its keys.
    #[must_use]
    pub fn for_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }
}

fn of_key(key: &Option<String>) -> String {
    key.as_ref().map(|key| format!(" for key {key:?}")).unwrap_or_default()
}

impl From<DecodeError> for EventError {
    fn from(error: DecodeError) -> Self {
        Self {
            position: error.position,
            event_type: error.event_type,
            version: error.version,
            key: None,
            retryable: false,
            newer: matches!(error.why, Why::Newer { .. }),
            why: error.why.to_string(),
        }
    }
}
