//! Events of the protocol, both ways. Pure.
//!
//! An event there has no stream, no time and no content type, and its metadata is a list of texts.
//! The list is stored as a JSON object with the keys in their order; `$stream` and `$occurredAt` in
//! it are the stream and the time. Without `$stream` the event goes to `dcb-N`, where N comes from
//! a hash of its tags, so that an event that is written again meets itself in one stream.

use super::errors;
use crate::keys::{self, BadKey};
use factum_core::{ContentType, EventData, EventType, RecordedEvent, StreamName, Tag, Uuid};
use factum_proto::umadb::v1::{self as wire, MetadataEntry};
use nojson::RawJson;
use tonic::Status;

/// Metadata that is no JSON object is shown as one entry with this key.
const WHOLE: &str = "$metadata";

/// An event, and the stream that it goes to.
pub(super) fn event(event: wire::Event, streams: u32) -> Result<(StreamName, EventData), Status> {
    let invalid = |why: String| errors::invalid(why);
    let event_type = EventType::new(&event.event_type);
    let event_type = event_type.map_err(|error| invalid(error.to_string()))?;
    let tags = event.tags.iter().map(|tag| Tag::new(tag)).collect::<Result<Vec<_>, _>>();
    let tags = tags.map_err(|error| invalid(error.to_string()))?;
    let id = id(&event.uuid)?;
    let stream = stream(&event.metadata, &tags, streams);
    let stream = stream.map_err(|error| invalid(error.to_string()))?;
    let occurred_at = value(&event.metadata, keys::OCCURRED_AT).map(keys::occurred_at);
    let occurred_at = occurred_at.transpose().map_err(|error| invalid(error.to_string()))?;
    let data = EventData {
        id,
        event_type,
        content_type: ContentType::Binary,
        data: event.data,
        metadata: metadata_in(&event.metadata).into(),
        tags,
        occurred_at,
    };
    Ok((stream, data))
}

fn id(text: &str) -> Result<Uuid, Status> {
    if text.is_empty() {
        return Ok(Uuid::new_v4());
    }
    let parsed = Uuid::parse_str(text);
    parsed.map_err(|error| errors::invalid(format!("{text:?} is not a UUID: {error}")))
}

fn value<'a>(metadata: &'a [MetadataEntry], key: &str) -> Option<&'a str> {
    metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

fn stream(metadata: &[MetadataEntry], tags: &[Tag], streams: u32) -> Result<StreamName, BadKey> {
    match value(metadata, keys::STREAM) {
        None => Ok(default_stream(tags, streams)),
        Some(name) => {
            let stream = StreamName::new(name).map_err(BadKey::Stream)?;
            if stream.is_system() { Err(BadKey::SystemStream(stream)) } else { Ok(stream) }
        }
    }
}

/// `dcb-N`, N by a hash of the tags in their order of text.
fn default_stream(tags: &[Tag], streams: u32) -> StreamName {
    let number = if streams <= 1 { 0 } else { hash(tags) % u64::from(streams) };
    StreamName::new(&format!("dcb-{number}")).expect("a short name without a NUL")
}

/// FNV-1a, 64 bits: the same in every release, on every machine.
fn hash(tags: &[Tag]) -> u64 {
    let mut sorted: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    sorted.sort_unstable();
    let bytes = sorted.iter().flat_map(|tag| tag.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn metadata_in(entries: &[MetadataEntry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    nojson::object(|f| entries.iter().try_for_each(|entry| f.member(&entry.key, &entry.value)))
        .to_string()
}

fn metadata_out(metadata: &[u8]) -> Vec<MetadataEntry> {
    let Ok(text) = std::str::from_utf8(metadata) else {
        return Vec::new();
    };
    let entry = |key: &str, value: &str| MetadataEntry { key: key.into(), value: value.into() };
    let Ok(json) = RawJson::parse(text) else {
        return if text.is_empty() { Vec::new() } else { vec![entry(WHOLE, text)] };
    };
    let Ok(members) = json.value().to_object() else {
        return vec![entry(WHOLE, text)];
    };
    let member = |(key, value): (nojson::RawJsonValue<'_, '_>, nojson::RawJsonValue<'_, '_>)| {
        let value = value.to_unquoted_string_str().unwrap_or(value.as_raw_str().into());
        Some(entry(&key.to_unquoted_string_str().ok()?, &value))
    };
    members.filter_map(member).collect()
}

/// Whether an event is seen here.
pub(super) fn is_visible(event: &RecordedEvent) -> bool {
    !event.stream().is_system()
}

/// A stored event. Where it was written with a stream or a time of its own by another protocol, the
/// metadata says so.
pub(super) fn sequenced(event: &RecordedEvent, streams: u32) -> wire::SequencedEvent {
    let mut metadata = metadata_out(event.metadata());
    let mut tell = |key: &str, value: String| {
        if !metadata.iter().any(|entry| entry.key == key) {
            metadata.push(MetadataEntry { key: key.into(), value });
        }
    };
    if *event.stream() != default_stream(event.tags(), streams) {
        tell(keys::STREAM, event.stream().to_string());
    }
    if let Some(occurred_at) = event.occurred_at_given() {
        tell(keys::OCCURRED_AT, keys::rfc3339(occurred_at));
    }
    wire::SequencedEvent {
        position: event.position().0,
        event: Some(wire::Event {
            event_type: event.event_type().to_string(),
            tags: event.tags().iter().map(Tag::to_string).collect(),
            data: event.data_bytes(),
            uuid: event.id().to_string(),
            metadata,
        }),
        tracking_info: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<MetadataEntry> {
        let entry = |(key, value): &(&str, &str)| MetadataEntry {
            key: (*key).into(),
            value: (*value).into(),
        };
        pairs.iter().map(entry).collect()
    }

    fn made(metadata: &[(&str, &str)], tags: &[&str]) -> Result<(StreamName, EventData), Status> {
        let wire = wire::Event {
            event_type: "t".into(),
            tags: tags.iter().map(|tag| (*tag).into()).collect(),
            metadata: entries(metadata),
            ..wire::Event::default()
        };
        event(wire, 16)
    }

    #[test]
    fn metadata_keeps_order_and_repetition() {
        let list = entries(&[("b", "1"), ("a", "\"\n"), ("b", "2")]);
        assert_eq!(metadata_out(metadata_in(&list).as_bytes()), list);
        assert_eq!(metadata_in(&[]), "");
        assert_eq!(metadata_out(b""), []);
        assert_eq!(
            metadata_out(br#"{"n":1,"o":{"x":2}}"#),
            entries(&[("n", "1"), ("o", r#"{"x":2}"#)])
        );
        assert_eq!(metadata_out(b"[1]"), entries(&[(WHOLE, "[1]")]));
        assert_eq!(metadata_out(b"plain"), entries(&[(WHOLE, "plain")]));
        assert_eq!(metadata_out(b"\xff"), []);
    }

    #[test]
    fn a_stream_is_named_or_comes_from_the_tags() {
        let (stream, _) = made(&[("$stream", "order-1")], &["a"]).unwrap();
        assert_eq!(stream.as_str(), "order-1");
        let (first, _) = made(&[], &["a", "b"]).unwrap();
        let (second, _) = made(&[], &["b", "a"]).unwrap();
        assert_eq!(first, second, "the order of tags means nothing");
        assert_eq!(default_stream(&[], 1).as_str(), "dcb-0");
        assert!(made(&[("$stream", "$secret")], &[]).is_err());
        assert!(made(&[("$stream", "")], &[]).is_err());
    }

    #[test]
    fn the_hash_is_for_ever() {
        let tag = |text| Tag::new(text).unwrap();
        assert_eq!(hash(&[]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(&[tag("student:1"), tag("course:2")]), 0x650c_b3e7_4068_1d6e);
        assert_ne!(hash(&[tag("ab")]), hash(&[tag("a"), tag("b")]));
    }

    #[test]
    fn times_and_ids_are_checked() {
        let (_, event) = made(&[("$occurredAt", "1970-01-01T00:00:01Z")], &[]).unwrap();
        assert_eq!(event.occurred_at.unwrap().0, 1_000_000_000);
        assert!(!event.id.is_nil());
        assert!(made(&[("$occurredAt", "yesterday")], &[]).is_err());
        assert!(id("no").is_err());
        assert!(made(&[], &[""]).is_err());
    }
}
