//! An event as a CloudEvent 1.0 in JSON. [`crate::input`] reads it back without loss.
//!
//! `subject` is the stream, `time` is *occurred at*, `recordedtime` is *recorded at*. What
//! CloudEvents have no place for stands in extensions that begin with `factum`.

use super::json::json_data;
use crate::{input::extension, time::rfc3339};
use base64::{Engine, prelude::BASE64_STANDARD};
use factum::{ContentType, RecordedEvent, Tag};
use serde_json::{Map, Value, value::RawValue};
use std::fmt::Write;

/// The event on one line, without its end.
pub(super) fn line(event: &RecordedEvent, source: &str) -> String {
    let mut attributes = Map::new();
    let mut set = |key: &str, text: String| attributes.insert(key.to_owned(), Value::String(text));
    set("specversion", "1.0".to_owned());
    set("id", event.id().to_string());
    set("source", source.to_owned());
    set("type", event.event_type().as_str().to_owned());
    set("subject", event.stream().as_str().to_owned());
    set("time", rfc3339(event.occurred_at()));
    set("recordedtime", rfc3339(event.recorded_at()));
    set(extension::REVISION, event.revision().to_string());
    set(extension::POSITION, event.position().to_string());
    if !event.tags().is_empty() {
        let tags: Vec<&str> = event.tags().iter().map(Tag::as_str).collect();
        set(extension::TAGS, Value::from(tags).to_string());
    }
    match std::str::from_utf8(event.metadata()) {
        Ok("") => {}
        Ok(text) => drop(set(extension::METADATA, text.to_owned())),
        Err(_) => drop(set(extension::METADATA_BASE64, BASE64_STANDARD.encode(event.metadata()))),
    }
    let data = json_data(event);
    let is_json = event.content_type() == ContentType::Json;
    let media_type = if is_json { "application/json" } else { "application/octet-stream" };
    set("datacontenttype", media_type.to_owned());
    if data.is_none() && !(is_json && event.data().is_empty()) {
        set("data_base64", BASE64_STANDARD.encode(event.data()));
    }
    with_data(Value::Object(attributes).to_string(), data.as_deref())
}

/// Puts the data into the object as it is.
fn with_data(mut object: String, data: Option<&RawValue>) -> String {
    if let Some(data) = data {
        object.pop();
        write!(object, r#","data":{}}}"#, data.get()).expect("a String takes all");
    }
    object
}

#[cfg(test)]
mod tests {
    use super::{
        super::json::tests::{event, recorded},
        *,
    };
    use factum::{EventData, Timestamp};

    #[test]
    fn everything_of_an_event_is_in_it() {
        let event = event("{\"a\":1.10}")
            .with_metadata("{}")
            .with_tags([Tag::new("k:v").unwrap()])
            .with_occurred_at(Timestamp(0));
        let line = line(&recorded(event), "/shop");
        let value: Value = serde_json::from_str(&line).unwrap();
        for (key, text) in [
            ("specversion", "1.0"),
            ("source", "/shop"),
            ("subject", "order-1"),
            ("type", "order.placed"),
            ("time", "1970-01-01T00:00:00Z"),
            ("factumtags", "[\"k:v\"]"),
            ("factummetadata", "{}"),
        ] {
            assert_eq!(value[key], text, "{key}");
        }
        assert!(line.ends_with(r#""data":{"a":1.10}}"#), "{line}");
    }

    #[test]
    fn bytes_are_base64() {
        let bytes = EventData { content_type: ContentType::Binary, ..event("1") };
        let line = line(&recorded(bytes), "factum");
        assert!(line.contains(r#""data_base64":"MQ==""#) && !line.contains("\"data\":"));
    }
}
