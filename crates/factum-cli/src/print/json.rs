//! An event as a JSON object on one line. [`crate::input`] reads these lines back: what is written
//! here and imported there is the same event.
//!
//! The keys, in this order: `stream, revision, position, id, type, data, metadata, tags,
//! recordedAt, occurredAt`. Data and metadata are JSON inside the object. Data that is not JSON
//! stands in base64 under `dataBase64` in the place of `data`; metadata that is not, under
//! `metadataBase64`. No metadata is `null`.

use crate::{json::one_line, time::rfc3339};
use base64::{Engine, prelude::BASE64_STANDARD};
use factum::{ContentType, Receipt, RecordedEvent, Tag, Uuid};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    stream: &'a str,
    revision: u64,
    position: u64,
    id: String,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Skip::skip")]
    metadata: Skip,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_base64: Option<String>,
    tags: Vec<&'a str>,
    recorded_at: String,
    occurred_at: String,
}

/// A member that is a value, null, or not there.
#[derive(Serialize)]
#[serde(untagged)]
enum Skip {
    Value(Option<Box<RawValue>>),
    Nothing,
}

impl Skip {
    fn skip(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// The event on one line, without its end.
pub(super) fn line(event: &RecordedEvent) -> String {
    let data = json_data(event);
    let (metadata, metadata_base64) = metadata(event.metadata());
    let line = Line {
        stream: event.stream().as_str(),
        revision: event.revision().0,
        position: event.position().0,
        id: event.id().to_string(),
        r#type: event.event_type().as_str(),
        data_base64: data.is_none().then(|| BASE64_STANDARD.encode(event.data())),
        data,
        metadata,
        metadata_base64,
        tags: event.tags().iter().map(Tag::as_str).collect(),
        recorded_at: rfc3339(event.recorded_at()),
        occurred_at: rfc3339(event.occurred_at()),
    };
    serde_json::to_string(&line).expect("texts, numbers and JSON are JSON")
}

/// The data as JSON on one line; `None` for bytes, and for what its writer called JSON and is not.
pub(super) fn json_data(event: &RecordedEvent) -> Option<Box<RawValue>> {
    let is_json = event.content_type() == ContentType::Json;
    is_json.then(|| one_line(event.data())).flatten()
}

fn metadata(bytes: &[u8]) -> (Skip, Option<String>) {
    match one_line(bytes) {
        _ if bytes.is_empty() => (Skip::Value(None), None),
        // `null` says that there is none.
        Some(json) if json.get() != "null" => (Skip::Value(Some(json)), None),
        _ => (Skip::Nothing, Some(BASE64_STANDARD.encode(bytes))),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Appended<'a> {
    stream: &'a str,
    first_revision: u64,
    last_revision: u64,
    position: u64,
    ids: Vec<String>,
    replayed: bool,
}

/// The receipt of an append to one stream on one line.
pub(crate) fn receipt(stream: &str, ids: &[Uuid], receipt: &Receipt) -> String {
    let written = receipt.streams.iter().find(|written| written.stream.as_str() == stream);
    let appended = Appended {
        stream,
        first_revision: written.map_or(0, |written| written.first.0),
        last_revision: written.map_or(0, |written| written.last.0),
        position: receipt.position.0,
        ids: ids.iter().map(Uuid::to_string).collect(),
        replayed: receipt.replayed,
    };
    serde_json::to_string(&appended).expect("texts and numbers are JSON")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use factum::{
        Append, EventData, EventType, MemoryStore, Read, StreamName, Timestamp, blocking,
    };

    /// An event as a store gives it back.
    pub(in crate::print) fn recorded(event: EventData) -> RecordedEvent {
        let store = MemoryStore::with_clock(|| Timestamp(1_000_000_000));
        let store = blocking::Store::new(factum::AnyStore::new(store));
        let stream = StreamName::new("order-1").unwrap();
        store.append(Append::to(stream.clone(), [event])).unwrap();
        store.read(Read::stream(stream)).unwrap().next().unwrap().unwrap()
    }

    pub(in crate::print) fn event(data: &'static str) -> EventData {
        EventData::new(Uuid::from_u128(1), EventType::new("order.placed").unwrap(), data)
    }

    #[test]
    fn the_keys_are_those_that_are_documented_in_their_order() {
        let event = event("{ \"a\":\n 1.10 }")
            .with_metadata("{\"by\": \"me\"}")
            .with_tags([Tag::new("k:v").unwrap()])
            .with_occurred_at(Timestamp(0));
        assert_eq!(
            line(&recorded(event)),
            concat!(
                r#"{"stream":"order-1","revision":0,"position":1,"#,
                r#""id":"00000000-0000-0000-0000-000000000001","type":"order.placed","#,
                r#""data":{"a":1.10},"metadata":{"by":"me"},"tags":["k:v"],"#,
                r#""recordedAt":"1970-01-01T00:00:01Z","occurredAt":"1970-01-01T00:00:00Z"}"#
            )
        );
    }

    #[test]
    fn bytes_are_base64_and_no_metadata_is_null() {
        let bytes = EventData { content_type: ContentType::Binary, ..event("1") };
        assert!(line(&recorded(bytes)).contains(r#""dataBase64":"MQ==","metadata":null,"#));
        let not_json = line(&recorded(event("{").with_metadata("null")));
        assert!(not_json.contains(r#""dataBase64":"ew==","metadataBase64":"bnVsbA==","#));
    }
}
