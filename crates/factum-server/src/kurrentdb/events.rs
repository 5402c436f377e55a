//! Events and ids, between the protocol and the core. Pure.

use super::errors;
use crate::keys;
use bytes::Bytes;
use factum_core::{
    ContentType, EventData, EventType, RecordedEvent, StreamName, Uuid, system::STREAM_DELETED,
};
use factum_proto::event_store::client::{
    self as shared, StreamIdentifier,
    streams::{read_resp, read_resp::read_event},
    uuid::{Structured, Value},
};
use std::collections::BTreeMap;
use tonic::Status;

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

/// How ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdForm {
    Structured,
    Text,
}

/// An id as the client wants it.
pub(super) fn id_out(id: Uuid, form: IdForm) -> shared::Uuid {
    let value = match form {
        IdForm::Text => Value::String(id.to_string()),
        IdForm::Structured => {
            let (most, least) = id.as_u64_pair();
            Value::Structured(Structured {
                most_significant_bits: most.cast_signed(),
                least_significant_bits: least.cast_signed(),
            })
        }
    };
    shared::Uuid { value: Some(value) }
}

/// The id that the client gave, if it gave one.
pub(super) fn id_in(id: Option<shared::Uuid>) -> Result<Option<Uuid>, Status> {
    match id.and_then(|id| id.value) {
        None => Ok(None),
        Some(Value::Structured(halves)) => Ok(Some(Uuid::from_u64_pair(
            halves.most_significant_bits.cast_unsigned(),
            halves.least_significant_bits.cast_unsigned(),
        ))),
        Some(Value::String(text)) => match Uuid::parse_str(&text) {
            Ok(id) => Ok(Some(id)),
            Err(error) => Err(errors::invalid(format!("{text:?} is not a UUID: {error}"))),
        },
    }
}

/// The stream that the client named.
pub(super) fn stream_in(identifier: Option<StreamIdentifier>) -> Result<StreamName, Status> {
    let identifier = identifier.ok_or_else(|| errors::required("stream_identifier"))?;
    let name = std::str::from_utf8(&identifier.stream_name)
        .map_err(|_| errors::invalid("the stream name is not UTF-8"))?;
    StreamName::new(name).map_err(|error| errors::invalid(error.to_string()))
}

/// A stream's name on the wire.
pub(super) fn stream_out(stream: &StreamName) -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::copy_from_slice(stream.as_str().as_bytes()) }
}

/// An event to append, in either of its two message types.
#[derive(Debug, Default)]
pub(super) struct Proposed {
    pub(super) id: Option<shared::Uuid>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) custom_metadata: Bytes,
    pub(super) data: Bytes,
}

impl Proposed {
    /// Bytes that it holds while the append is in flight.
    pub(super) fn weight(&self) -> usize {
        let strings = self.metadata.iter().map(|(key, value)| key.len() + value.len());
        self.data.len() + self.custom_metadata.len() + strings.sum::<usize>()
    }

    /// The event; an id that is missing is made. `limit` is of the data, in bytes.
    pub(super) fn event(self, limit: usize) -> Result<EventData, Status> {
        let property =
            |name: &str| self.metadata.get(name).ok_or_else(|| errors::missing_property(name));
        let event_type = EventType::new(property("type")?);
        let event_type = event_type.map_err(|error| errors::invalid(error.to_string()))?;
        let is_json = property("content-type")? == JSON;
        let id = id_in(self.id)?.unwrap_or_else(Uuid::new_v4);
        if self.data.len() > limit {
            return Err(errors::event_too_large(&id.to_string(), self.data.len(), limit));
        }
        let keys = keys::of_metadata(&self.custom_metadata);
        let keys = keys.map_err(|error| errors::invalid(error.to_string()))?;
        Ok(EventData {
            id,
            event_type,
            content_type: if is_json { ContentType::Json } else { ContentType::Binary },
            data: self.data,
            metadata: self.custom_metadata,
            tags: keys.tags,
            occurred_at: keys.occurred_at,
        })
    }
}

/// A stored event on the wire: its tags and its time are in its metadata, however they came.
pub(super) fn recorded(event: &RecordedEvent, form: IdForm) -> read_event::RecordedEvent {
    let content_type = match event.content_type() {
        ContentType::Json => JSON,
        ContentType::Binary => BINARY,
    };
    let created_ticks = event.recorded_at().0 / 100;
    let position = event.position().0;
    read_event::RecordedEvent {
        id: Some(id_out(event.id(), form)),
        stream_identifier: Some(stream_out(event.stream())),
        stream_revision: revision(event),
        prepare_position: position,
        commit_position: position,
        metadata: BTreeMap::from([
            ("type".to_owned(), event.event_type().to_string()),
            ("content-type".to_owned(), content_type.to_owned()),
            ("created".to_owned(), created_ticks.to_string()),
        ]),
        custom_metadata: keys::told(event),
        data: event.data_bytes(),
    }
}

/// The revision as the protocol shows it: a tombstone's is the greatest.
pub(super) fn revision(event: &RecordedEvent) -> u64 {
    if event.event_type().as_str() == STREAM_DELETED { i64::MAX as u64 } else { event.revision().0 }
}

/// What is read at one place: the event itself, or a link with what it points to.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) event: Option<RecordedEvent>,
    pub(super) link: Option<RecordedEvent>,
}

/// A read event on the wire.
pub(super) fn read_event(resolved: &Resolved, form: IdForm) -> read_resp::Content {
    let original = resolved.link.as_ref().or(resolved.event.as_ref());
    let position = original
        .map_or(read_event::Position::NoPosition(shared::Empty {}), |original| {
            read_event::Position::CommitPosition(original.position().0)
        });
    read_resp::Content::Event(read_resp::ReadEvent {
        event: resolved.event.as_ref().map(|event| recorded(event, form)),
        link: resolved.link.as_ref().map(|link| recorded(link, form)),
        position: Some(position),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tonic::Code;

    #[test]
    fn ids_survive_both_forms() {
        for id in [Uuid::from_u128(1), Uuid::from_u128(u128::MAX), Uuid::new_v4()] {
            for form in [IdForm::Structured, IdForm::Text] {
                assert_eq!(id_in(Some(id_out(id, form))).unwrap(), Some(id));
            }
        }
        assert_eq!(id_in(None).unwrap(), None);
        assert_eq!(id_in(Some(shared::Uuid { value: None })).unwrap(), None);
        let bad = shared::Uuid { value: Some(Value::String("no".into())) };
        assert_eq!(id_in(Some(bad)).unwrap_err().code(), Code::InvalidArgument);
    }

    fn proposed(metadata: &[(&str, &str)], custom: &str) -> Proposed {
        let metadata = metadata.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Proposed {
            metadata: metadata.collect(),
            custom_metadata: custom.to_owned().into(),
            data: "12345".into(),
            ..Proposed::default()
        }
    }

    #[test]
    fn type_and_content_type_are_required() {
        let both = [("type", "t"), ("content-type", JSON)];
        let event = proposed(&both, "").event(5).unwrap();
        assert_eq!((event.content_type, event.id.is_nil()), (ContentType::Json, false));
        let other = proposed(&[("type", "t"), ("content-type", "text/plain")], "").event(5);
        assert_eq!(other.unwrap().content_type, ContentType::Binary);
        for (given, missing) in [(&both[1..], "type"), (&both[..1], "content-type")] {
            let status = proposed(given, "").event(5).unwrap_err();
            let message = format!("Required Metadata Property '{missing}' is missing");
            assert_eq!((status.code(), status.message()), (Code::InvalidArgument, &*message));
        }
        let too_large = proposed(&both, "").event(4).unwrap_err();
        let exception = too_large.metadata().get("exception").unwrap();
        assert_eq!(exception, "maximum-append-event-size-exceeded");
    }

    #[test]
    fn keys_of_metadata_become_fields_and_stay() {
        let both = [("type", "t"), ("content-type", JSON)];
        let custom = r#"{"$tags":["a"],"$occurredAt":"1970-01-01T00:00:01Z"}"#;
        let event = proposed(&both, custom).event(5).unwrap();
        assert_eq!((event.tags.len(), event.occurred_at.unwrap().0), (1, 1_000_000_000));
        assert_eq!(event.metadata, custom);
        let status = proposed(&both, r#"{"$tags":3}"#).event(5).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}
