//! Tags and *occurred at*, for which the protocol has no fields: keys of the event's metadata.
//!
//! `"$tags"` is an array of strings, `"$occurredAt"` a time as RFC 3339 has it. They are put in
//! front of the metadata's own keys, in one way only; metadata that begins in just that way is
//! given back without them, byte for byte what it was. What others wrote counts all the same, and
//! stays as it is.

use bytes::Bytes;
use factum_core::{EventData, Tag, Timestamp};
use nojson::{RawJson, RawJsonValue};
use std::{borrow::Cow, fmt::Write as _};

const TAGS: &str = "$tags";
const OCCURRED_AT: &str = "$occurredAt";

/// What metadata says beside itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) tags: Vec<Tag>,
    pub(super) occurred_at: Option<Timestamp>,
}

/// The metadata as it is sent; why not, where there is no place for the keys.
pub(super) fn put(event: &EventData) -> Result<Bytes, Cow<'static, str>> {
    let Some(front) = front(&event.tags, event.occurred_at) else {
        return Ok(event.metadata.clone());
    };
    let own = tail(&event.metadata).ok_or(
        "keep tags or a time of occurrence beside metadata that is no JSON object: KurrentDB's \
         protocol has no other place for them",
    )?;
    if read(&event.metadata) != Keys::default() {
        return Err("keep tags or a time of occurrence beside metadata that has `$tags` or \
                    `$occurredAt` itself: give them in one place"
            .into());
    }
    Ok([front.as_bytes(), &own].concat().into())
}

/// What the metadata says, and the metadata as it was before [`put`].
pub(super) fn take(metadata: &Bytes) -> (Keys, Bytes) {
    let keys = read(metadata);
    let front = front(&keys.tags, keys.occurred_at);
    let tail = front.and_then(|front| metadata.strip_prefix(front.as_bytes()));
    let own = tail.and_then(|tail| match tail.split_first()? {
        (b'}', []) => Some(Bytes::new()),
        (b',' | b' ', rest) => Some([b"{", rest].concat().into()),
        _ => None,
    });
    (keys, own.unwrap_or_else(|| metadata.clone()))
}

/// `{"$tags":[…],"$occurredAt":"…"`, if there is anything to say.
fn front(tags: &[Tag], occurred_at: Option<Timestamp>) -> Option<String> {
    let mut members = Vec::new();
    if !tags.is_empty() {
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        members.push(format!("\"{TAGS}\":{}", nojson::Json(tags)));
    }
    if let Some(at) = occurred_at {
        members.push(format!("\"{OCCURRED_AT}\":\"{}\"", rfc3339(at)));
    }
    let mut front = String::from("{");
    write!(front, "{}", members.join(",")).expect("a String takes all");
    (!members.is_empty()).then_some(front)
}

/// What follows the keys, so that the metadata's own bytes can be told from it: all but its first
/// brace, after a comma, or after a space where it has no key. Only a `}` where it is empty.
fn tail(metadata: &[u8]) -> Option<Vec<u8>> {
    if metadata.is_empty() {
        return Some(b"}".to_vec());
    }
    let rest = metadata.strip_prefix(b"{")?;
    let json = RawJson::parse(std::str::from_utf8(metadata).ok()?).ok()?;
    let is_empty = json.value().to_object().ok()?.next().is_none();
    let separator = if is_empty { b" " } else { b"," };
    Some([&separator[..], rest].concat())
}

/// The keys, where the metadata is an object that has them. A value that means nothing is none: a
/// KurrentDB holds what anybody wrote.
fn read(metadata: &[u8]) -> Keys {
    let mut keys = Keys::default();
    let mentions = |key: &str| metadata.windows(key.len()).any(|part| part == key.as_bytes());
    // Most metadata has none of them, and need not be parsed.
    if !mentions(TAGS) && !mentions(OCCURRED_AT) {
        return keys;
    }
    let json = std::str::from_utf8(metadata).ok().and_then(|text| RawJson::parse(text).ok());
    let Some(members) = json.as_ref().and_then(|json| json.value().to_object().ok()) else {
        return keys;
    };
    for (key, value) in members {
        match key.to_unquoted_string_str().as_deref() {
            Ok(TAGS) => keys.tags = tags(value).unwrap_or_default(),
            Ok(OCCURRED_AT) => keys.occurred_at = occurred_at(value),
            _ => {}
        }
    }
    keys
}

fn tags(value: RawJsonValue<'_, '_>) -> Option<Vec<Tag>> {
    let tag = |value: RawJsonValue<'_, '_>| Tag::new(&value.to_unquoted_string_str().ok()?).ok();
    value.to_array().ok()?.map(tag).collect()
}

fn occurred_at(value: RawJsonValue<'_, '_>) -> Option<Timestamp> {
    let time: jiff::Timestamp = value.to_unquoted_string_str().ok()?.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}

fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.0))
        .expect("64 bits of nanoseconds are within the calendar")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::{EventType, Uuid};

    fn event(metadata: &str, tags: &[&str], at: Option<i64>) -> EventData {
        let event_type = EventType::new("t").unwrap();
        let event = EventData::new(Uuid::from_u128(1), event_type, "{}");
        let tags = tags.iter().map(|tag| Tag::new(tag).unwrap());
        let event = event.with_tags(tags).with_metadata(metadata.to_owned());
        EventData { occurred_at: at.map(Timestamp), ..event }
    }

    #[test]
    fn what_was_put_in_is_taken_out_byte_for_byte() {
        for metadata in
            ["", "{}", "{ }", "{  }", "{\n}", r#"{"a":1}"#, r#"{ "a" : {} }"#, "{\"a\":\"}\"}"]
        {
            for tags in [&["k:1"][..], &["a\"b\\", "é,\n\u{1}", "k:1", "k:1"]] {
                for at in [None, Some(0), Some(-1), Some(i64::MIN), Some(1_700_000_000_123_456_789)]
                {
                    let event = event(metadata, tags, at);
                    let sent = put(&event).unwrap();
                    assert!(
                        RawJson::parse(std::str::from_utf8(&sent).unwrap()).is_ok(),
                        "{sent:?}"
                    );
                    let (keys, own) = take(&sent);
                    assert_eq!(keys, Keys { tags: event.tags, occurred_at: event.occurred_at });
                    assert_eq!(own, metadata, "{sent:?}");
                }
            }
        }
    }

    #[test]
    fn without_tags_metadata_is_anything() {
        for metadata in
            ["", "no json", "[\"$tags\"]", "{}", "{\"$tags\":1}", "{\"$occurredAt\":\"x\"}"]
        {
            let sent = put(&event(metadata, &[], None)).unwrap();
            assert_eq!(take(&sent), (Keys::default(), Bytes::from(metadata.to_owned())));
        }
    }

    #[test]
    fn what_has_no_place_for_them_is_refused() {
        for metadata in ["no json", "[]", " {}", "{", "1", r#"{"$tags":["b"]}"#] {
            assert!(put(&event(metadata, &["a"], None)).is_err(), "{metadata}");
            assert!(put(&event(metadata, &[], Some(1))).is_err(), "{metadata}");
        }
    }

    #[test]
    fn the_keys_of_others_count_and_stay() {
        let metadata =
            Bytes::from(r#"{"a":1,"$tags":["k:1"],"$occurredAt":"1970-01-01T01:00:00+01:00"}"#);
        let keys = Keys { tags: vec![Tag::new("k:1").unwrap()], occurred_at: Some(Timestamp(0)) };
        assert_eq!(take(&metadata), (keys, metadata.clone()));
    }
}
