//! An event on its way to the store: encoded, with its stream and its metadata.

use super::EventSet;
use crate::{Metadata, metadata};
use factum_core::{ContentType, EventData, EventType, InvalidName, StreamName, Uuid};

/// Why an event could not be made ready for the store. Nothing was written.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// Its name, its stream or a tag is no valid name. Correct the value.
    #[error("{event_type}: {source}")]
    Name {
        /// Of which event.
        event_type: &'static str,
        /// What is wrong with the name.
        source: InvalidName,
    },
    /// It does not become JSON. Correct its `Serialize`.
    #[error("{event_type} does not become JSON: {source}")]
    Json {
        /// Of which event.
        event_type: &'static str,
        /// What the encoder says.
        source: serde_json::Error,
    },
}

/// An event and the stream that it goes to, ready to be appended.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// Where it goes.
    pub stream: StreamName,
    /// What is stored.
    pub data: EventData,
}

impl Draft {
    /// Makes an event ready.
    ///
    /// # Errors
    ///
    /// Its stream or a tag is no valid name, or it does not become JSON.
    pub fn new<E: EventSet>(event: &E, id: Uuid, meta: &Metadata) -> Result<Self, EncodeError> {
        let info = event.info();
        let event_type = info.event_type;
        let name = |source| EncodeError::Name { event_type, source };
        let json = |source| EncodeError::Json { event_type, source };
        let data = EventData {
            id,
            event_type: EventType::new(event_type).map_err(name)?,
            content_type: ContentType::Json,
            data: event.encode().map_err(json)?.into(),
            metadata: metadata::to_bytes(meta, info.version).map_err(json)?,
            tags: event.tags().map_err(name)?,
            occurred_at: event.occurred_at(),
        };
        Ok(Self { stream: event.stream().map_err(name)?, data })
    }
}
