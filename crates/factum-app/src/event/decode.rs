//! From stored bytes to events: which version they are, and what may go wrong.

use super::{DecodePolicy, EventSet, Members, Unknown};
use crate::{Envelope, personal::Keys};
use factum_core::{ContentType, Position, RecordedEvent, StreamName, Uuid};
use memchr::memmem;
use serde::{Deserialize, de::DeserializeOwned};

/// The key of the metadata that holds the version; absent is 1.
const SCHEMA_VERSION: &str = "$schemaVersion";

/// A stored event before it is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// Its name, without a version that the name carried (`order.placed.v2`).
    pub event_type: &'a str,
    /// The version of its shape, from 1.
    pub version: u32,
    /// What `data` is.
    pub content_type: ContentType,
    /// The payload.
    pub data: &'a [u8],
    /// Where it stands.
    pub position: Position,
    /// The stream it is in.
    pub stream: &'a StreamName,
    /// Its id.
    pub id: Uuid,
    /// The keys of the subjects whose data it has.
    pub keys: Option<&'a Keys>,
    /// What the consumer does about what it does not know.
    pub policy: DecodePolicy,
    /// Where several versions are members of one set: which of them reads it.
    pub only: Option<u32>,
}

impl<'a> Raw<'a> {
    /// What is to be decoded of a stored event.
    #[must_use]
    pub fn of(event: &'a RecordedEvent) -> Self {
        let (event_type, named) = split_version(event.event_type().as_str());
        Self {
            event_type,
            version: stated_version(event.metadata()).or(named).unwrap_or(1),
            content_type: event.content_type(),
            data: event.data(),
            position: event.position(),
            stream: event.stream(),
            id: event.id(),
            keys: None,
            policy: DecodePolicy::default(),
            only: None,
        }
    }

    /// For a set with several versions of one event: narrowed to the version that reads it.
    #[must_use]
    pub fn among(self, members: &'static Members) -> Self {
        let only = self.only.or_else(|| members.reader(self.event_type, self.version));
        Self { only, ..self }
    }

    /// An error about this event.
    #[must_use]
    pub fn error(&self, why: Why) -> DecodeError {
        DecodeError {
            position: self.position,
            event_type: self.event_type.into(),
            version: self.version,
            why,
        }
    }
}

/// A name that ends in `.v2` is read as that version of the name before it.
fn split_version(name: &str) -> (&str, Option<u32>) {
    let split = name.rsplit_once(".v");
    let version = split.and_then(|(rest, digits)| Some((rest, digits.parse().ok()?)));
    match version {
        Some((rest, version)) => (rest, Some(version)),
        None => (name, None),
    }
}

/// The version that metadata states. Most states none, and is not parsed to find that out.
fn stated_version(metadata: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Stated {
        #[serde(rename = "$schemaVersion")]
        version: Option<u32>,
    }
    memmem::find(metadata, SCHEMA_VERSION.as_bytes())?;
    serde_json::from_slice::<Stated>(metadata).ok()?.version
}

/// A stored event as one of a set, for a consumer with this policy.
///
/// # Errors
///
/// [`DecodeError`] names the position, the type and the version.
pub fn decode<E: EventSet>(
    event: &RecordedEvent,
    policy: DecodePolicy,
) -> Result<Decoded<E>, DecodeError> {
    Decoder { policy, keys: None }.decode(event)
}

/// What a consumer decodes with: its policy, and the keys that were fetched for a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder<'a> {
    /// What it does about what it does not know.
    pub policy: DecodePolicy,
    /// The keys of the subjects in the batch; none where the app has no key store.
    pub keys: Option<&'a Keys>,
}

impl Decoder<'_> {
    /// A stored event as one of a set.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names the position, the type and the version.
    pub fn decode<E: EventSet>(&self, event: &RecordedEvent) -> Result<Decoded<E>, DecodeError> {
        let Self { policy, keys } = *self;
        let raw = Raw { policy, keys, ..Raw::of(event) };
        match E::decode(&raw)? {
            Decoded::Skip
                if policy.unknown == Unknown::Refuse && !raw.event_type.starts_with('$') =>
            {
                Err(raw.error(Why::Unknown))
            }
            decoded => Ok(decoded),
        }
    }

    /// The same with what is known about it.
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`].
    pub fn envelope<E: EventSet>(
        &self,
        event: &RecordedEvent,
    ) -> Result<Decoded<Envelope<E>>, DecodeError> {
        Ok(self.decode(event)?.map(|one| Envelope::new(one, event.clone())))
    }
}

/// What a stored event is to a set.
#[derive(Clone, PartialEq, Debug)]
pub enum Decoded<E> {
    /// Its type is not of the set.
    Skip,
    /// One event.
    One(E),
    /// An old event that is another today, or several, or none: see [`super::ReadAs`].
    Several(Vec<E>),
}

impl<E> Decoded<E> {
    /// The same of another type.
    pub fn map<T>(self, into: impl FnMut(E) -> T) -> Decoded<T> {
        let mut into = into;
        match self {
            Self::Skip => Decoded::Skip,
            Self::One(event) => Decoded::One(into(event)),
            Self::Several(events) => Decoded::Several(events.into_iter().map(into).collect()),
        }
    }

    /// Each event of it.
    pub fn for_each(self, mut take: impl FnMut(E)) {
        match self {
            Self::Skip => {}
            Self::One(event) => take(event),
            Self::Several(events) => events.into_iter().for_each(take),
        }
    }
}

/// A stored event that this program cannot read. Nothing is skipped because of it.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("event {event_type:?} version {version} at position {position}: {why}")]
pub struct DecodeError {
    /// Where it stands.
    pub position: Position,
    /// Its name.
    pub event_type: Box<str>,
    /// Its version.
    pub version: u32,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a stored event.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It was written by a newer release of the application. Deploy that one here too.
    #[error("newer than version {known}, the newest that this program knows: update the program")]
    Newer {
        /// The newest version known.
        known: u32,
    },
    /// Older than the chain of upcasts begins. Add the missing struct and its upcast.
    #[error("older than version {known}, where the chain of upcasts begins: add the older struct")]
    Older {
        /// The oldest version known.
        known: u32,
    },
    /// Its type is not of the consumer's set, and the consumer wants to know every type. Add it.
    #[error(
        "its type is not of the set, and the consumer refuses unknown types: add it to the set"
    )]
    Unknown,
    /// The payload is not what the struct says. See what `factum events check` says about it.
    #[error("its payload does not fit the struct: {what}")]
    Payload {
        /// What the decoder found.
        what: Box<str>,
    },
    /// A personal field cannot be opened, though its subject was not erased. Mend the key store.
    #[error("the personal field {field:?} of {subject:?} cannot be read: {what}")]
    Personal {
        /// Which field.
        field: Box<str>,
        /// Whose.
        subject: Box<str>,
        /// What is wrong, and what to do.
        what: Box<str>,
    },
    /// The payload is of a format that this program was not built to read.
    #[error("its payload is {format}: build with the feature that reads it")]
    Format {
        /// What it is.
        format: Box<str>,
    },
}

/// From a JSON payload. Fields that the struct does not know are left alone.
///
/// # Errors
///
/// [`Why::Payload`], or [`Why::Format`] where it is no JSON by its content type.
pub fn decode_json<T: DeserializeOwned>(raw: &Raw<'_>) -> Result<T, DecodeError> {
    if raw.content_type != ContentType::Json {
        return Err(raw.error(Why::Format { format: "not JSON".into() }));
    }
    serde_json::from_slice(raw.data)
        .map_err(|error| raw.error(Why::Payload { what: error.to_string().into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_from_the_metadata_or_the_name() {
        for (metadata, version) in [
            ("", None),
            ("{}", None),
            (r#"{"$schemaVersion":3}"#, Some(3)),
            (r#"{"note":"$schemaVersion"}"#, None),
            (r#"{"$schemaVersion":"x"}"#, None),
        ] {
            assert_eq!(stated_version(metadata.as_bytes()), version, "{metadata}");
        }
        assert_eq!(split_version("order.placed"), ("order.placed", None));
        assert_eq!(split_version("order.placed.v2"), ("order.placed", Some(2)));
        assert_eq!(split_version("tv.very"), ("tv.very", None));
    }
}
