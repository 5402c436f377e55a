//! A set of events as messages of others: the same, under the names that stored messages have.

use super::draft::PREFIX;
use crate::{
    bus::{Delivery, Handle, HandlerError},
    event::{DecodeError, Decoded, EventInfo, EventSet, Members, Raw},
};
use factum_core::{InvalidName, StreamName, Tag, Timestamp};

/// An event of another service.
#[derive(Clone, Debug)]
pub(super) struct Received<E>(pub(super) E);

impl<E: EventSet> EventSet for Received<E> {
    const MEMBERS: &'static Members = E::MEMBERS;

    fn decode(raw: &Raw<'_>) -> Result<Decoded<Self>, DecodeError> {
        match raw.event_type.strip_prefix(PREFIX) {
            None => Ok(Decoded::Skip),
            Some(event_type) => Ok(E::decode(&Raw { event_type, ..*raw })?.map(Received)),
        }
    }

    fn info(&self) -> &'static EventInfo {
        self.0.info()
    }

    fn stream(&self) -> Result<StreamName, InvalidName> {
        self.0.stream()
    }

    fn tags(&self) -> Result<Vec<Tag>, InvalidName> {
        self.0.tags()
    }

    fn tag_values(&self) -> Vec<(&'static str, String)> {
        self.0.tag_values()
    }

    fn occurred_at(&self) -> Option<Timestamp> {
        self.0.occurred_at()
    }

    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        self.0.encode()
    }
}

/// A handler of events, for messages.
pub(super) struct Opened<H>(pub(super) H);

impl<E: EventSet, H: Handle<E>> Handle<Received<E>> for Opened<H> {
    fn key(&self, event: &Received<E>) -> Option<String> {
        self.0.key(&event.0)
    }

    async fn handle(&self, delivery: Delivery<Received<E>>) -> Result<(), HandlerError> {
        self.0.handle(delivery.map(|received| received.0)).await
    }
}
