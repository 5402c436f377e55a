//! An event as it was stored, decoded, with what is known about it.

use crate::{
    Metadata,
    event::{DecodeError, DecodePolicy, Decoded, Decoder, EventSet},
};
use factum_core::{Position, RecordedEvent, Revision, StreamName, Timestamp, Uuid};

/// A stored event, decoded. `event` is the fact; the rest says where and when it was stored.
#[derive(Clone, Debug)]
pub struct Envelope<E> {
    /// The fact.
    pub event: E,
    recorded: RecordedEvent,
}

impl<E: EventSet> Envelope<E> {
    /// Decodes a stored event: none where its type is not of the set, several where it was split.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names the position, the type and the version.
    pub fn decode(recorded: &RecordedEvent) -> Result<Decoded<Self>, DecodeError> {
        Self::decode_under(recorded, DecodePolicy::default())
    }

    /// The same, for a consumer with a policy of its own about unknown types and newer versions.
    ///
    /// # Errors
    ///
    /// As [`Envelope::decode`].
    pub fn decode_under(
        recorded: &RecordedEvent,
        policy: DecodePolicy,
    ) -> Result<Decoded<Self>, DecodeError> {
        Decoder { policy, keys: None }.envelope(recorded)
    }
}

impl<E> Envelope<E> {
    pub(crate) fn new(event: E, recorded: RecordedEvent) -> Self {
        Self { event, recorded }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.recorded.id()
    }

    /// Its place in the store.
    #[must_use]
    pub fn position(&self) -> Position {
        self.recorded.position()
    }

    /// The stream it is in.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        self.recorded.stream()
    }

    /// Its place in the stream.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.recorded.revision()
    }

    /// When it was stored.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded.recorded_at()
    }

    /// When it happened: as it says, otherwise when it was stored.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        self.recorded.occurred_at()
    }

    /// What is known about it. Parsed at each call.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata::of(&self.recorded)
    }

    /// As it was stored.
    #[must_use]
    pub fn recorded(&self) -> &RecordedEvent {
        &self.recorded
    }
}
