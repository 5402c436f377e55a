//! From a message back to an integration event: for the service that is told.

use crate::{
    event::{DecodeError, Decoded, EventSet, Raw},
    message::Message,
};
use factum_core::{ContentType, InvalidName, Position, StreamName, Uuid};

/// Why a message is no integration event of a set.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Its payload is not JSON. Whoever sent it has another format: agree on one.
    #[error("message {id:?} of {source_uri:?} is {content_type:?}, and JSON is read here")]
    ContentType {
        /// Which message.
        id: String,
        /// Of whom.
        source_uri: String,
        /// What it is.
        content_type: String,
    },
    /// Its key makes no name: it is too long, or holds a NUL.
    #[error("the key of message {id:?} of {source_uri:?}: {why}")]
    Key {
        /// Which message.
        id: String,
        /// Of whom.
        source_uri: String,
        /// What is wrong.
        why: InvalidName,
    },
    /// It does not fit the struct, or is of a newer version.
    #[error("message {id:?} of {source_uri:?}: {why}")]
    Decode {
        /// Which message.
        id: String,
        /// Of whom.
        source_uri: String,
        /// What is wrong.
        why: Box<DecodeError>,
    },
}

impl Message {
    /// The integration event that it is, in whatever version it was sent that the set's upcasts
    /// know; [`Decoded::Skip`] where the set has none of its name.
    ///
    /// # Errors
    ///
    /// It is one of the set, and cannot be read.
    pub fn event<E: EventSet>(&self) -> Result<Decoded<E>, ReceiveError> {
        let about = || (self.id.clone(), self.source.clone());
        if !self.is_json() {
            let ((id, source_uri), content_type) = (about(), self.content_type.clone());
            let content_type = content_type.unwrap_or_default();
            return Err(ReceiveError::ContentType { id, source_uri, content_type });
        }
        let stream = StreamName::new(self.key.as_deref().unwrap_or("message"));
        let stream = stream.map_err(|why| {
            let (id, source_uri) = about();
            ReceiveError::Key { id, source_uri, why }
        })?;
        let version = self.extensions.get("schemaversion").and_then(|text| text.parse().ok());
        let raw = Raw {
            event_type: &self.name,
            version: version.unwrap_or(1),
            content_type: ContentType::Json,
            data: &self.data,
            position: Position::START,
            stream: &stream,
            id: self.id.parse().unwrap_or(Uuid::nil()),
            keys: None,
            policy: crate::DecodePolicy::default(),
            only: None,
        };
        E::decode(&raw).map_err(|why| {
            let (id, source_uri) = about();
            ReceiveError::Decode { id, source_uri, why: Box::new(why) }
        })
    }
}
