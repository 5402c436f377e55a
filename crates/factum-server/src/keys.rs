//! What an event's metadata says in place of fields that a protocol does not have: `$tags`,
//! `$occurredAt` and `$stream`.
//!
//! The metadata itself is stored as it came. Where fields came otherwise, over a protocol that has
//! them, metadata is told with the keys in front ([`told`]): in the one way in which our client
//! writes them too, so that it takes them off again, byte for byte.

use bytes::Bytes;
use factum_core::{EventType, InvalidName, RecordedEvent, StreamName, Tag, Timestamp};
use nojson::{RawJson, RawJsonValue};

/// The key of the tags: an array of strings.
const TAGS: &str = "$tags";
/// The key of the time at which it happened: RFC 3339 with an offset.
pub(crate) const OCCURRED_AT: &str = "$occurredAt";
/// The key of the stream.
pub(crate) const STREAM: &str = "$stream";

/// A key with a value that means nothing.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadKey {
    #[error("metadata `$tags` must be an array of strings")]
    Tags,
    #[error("metadata `$tags`: {0}")]
    Tag(InvalidName),
    #[error(
        "metadata `$occurredAt` must be a time as RFC 3339 has it, with an offset, from 1677 to \
         2262, as in \"2026-01-31T12:00:00+01:00\": {0}"
    )]
    OccurredAt(String),
    #[error("metadata `$stream`: {0}")]
    Stream(InvalidName),
    #[error("metadata `$stream`: {0:?} is a stream of the system, which is not seen here")]
    SystemStream(StreamName),
}

/// What metadata says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) tags: Vec<Tag>,
    pub(crate) occurred_at: Option<Timestamp>,
}

/// Reads the keys, where the metadata is a JSON object that has them.
pub(crate) fn of_metadata(metadata: &[u8]) -> Result<Keys, BadKey> {
    let mut keys = Keys::default();
    if !mentions(metadata, TAGS) && !mentions(metadata, OCCURRED_AT) {
        return Ok(keys);
    }
    let Some(json) = std::str::from_utf8(metadata).ok().and_then(|text| RawJson::parse(text).ok())
    else {
        return Ok(keys);
    };
    let Ok(members) = json.value().to_object() else {
        return Ok(keys);
    };
    for (key, value) in members {
        match key.to_unquoted_string_str().as_deref() {
            Ok(TAGS) => keys.tags = tags(value)?,
            Ok(OCCURRED_AT) => {
                let text = value.to_unquoted_string_str();
                let text = text.map_err(|_| BadKey::OccurredAt("it is not a string".into()))?;
                keys.occurred_at = Some(occurred_at(&text)?);
            }
            _ => {}
        }
    }
    Ok(keys)
}

/// Whether it is worth parsing: most metadata has none of the keys.
fn mentions(metadata: &[u8], key: &str) -> bool {
    metadata.windows(key.len()).any(|window| window == key.as_bytes())
}

fn tags(value: RawJsonValue<'_, '_>) -> Result<Vec<Tag>, BadKey> {
    let tag = |value: RawJsonValue<'_, '_>| {
        let text = value.to_unquoted_string_str().map_err(|_| BadKey::Tags)?;
        Tag::new(&text).map_err(BadKey::Tag)
    };
    value.to_array().map_err(|_| BadKey::Tags)?.map(tag).collect()
}

/// Reads a time as RFC 3339 has it.
pub(crate) fn occurred_at(text: &str) -> Result<Timestamp, BadKey> {
    let time: jiff::Timestamp =
        text.parse().map_err(|error: jiff::Error| BadKey::OccurredAt(error.to_string()))?;
    let nanoseconds = i64::try_from(time.as_nanosecond());
    nanoseconds.map(Timestamp).map_err(|_| BadKey::OccurredAt("out of range".into()))
}

/// Writes a time as RFC 3339 has it.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.0))
        .expect("64 bits of nanoseconds are within the calendar")
        .to_string()
}

/// An event's metadata with the keys of the fields that it does not have itself. Metadata that is
/// no JSON object has no place for them, and is told as it is.
pub(crate) fn told(event: &RecordedEvent) -> Bytes {
    let metadata = event.metadata_bytes();
    let (tags, at) = (event.tags(), event.occurred_at_given());
    // Most events have neither, and are not parsed.
    if tags.is_empty() && at.is_none() {
        return metadata;
    }
    put(&metadata, tags, at).map_or(metadata, Bytes::from)
}

fn put(metadata: &[u8], tags: &[Tag], at: Option<Timestamp>) -> Option<String> {
    let text = std::str::from_utf8(metadata).ok()?;
    let (own, members) = if text.is_empty() { (Own::default(), "}") } else { own(text)? };
    let mut front = Vec::with_capacity(2);
    if !tags.is_empty() && !own.has_tags {
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        front.push(format!("\"{TAGS}\":{}", nojson::Json(tags)));
    }
    if let Some(at) = at.filter(|_| !own.has_occurred_at) {
        front.push(format!("\"{OCCURRED_AT}\":\"{}\"", rfc3339(at)));
    }
    // A space keeps `{}` apart from no metadata at all.
    let separator = match (text.is_empty(), own.is_empty) {
        (true, _) => "",
        (false, true) => " ",
        (false, false) => ",",
    };
    (!front.is_empty()).then(|| format!("{{{}{separator}{members}", front.join(",")))
}

/// What metadata has itself.
struct Own {
    is_empty: bool,
    has_tags: bool,
    has_occurred_at: bool,
}

impl Default for Own {
    fn default() -> Self {
        Self { is_empty: true, has_tags: false, has_occurred_at: false }
    }
}

/// What is in an object, and all of it after its first brace.
fn own(text: &str) -> Option<(Own, &str)> {
    let members = text.strip_prefix('{')?;
    let json = RawJson::parse(text).ok()?;
    let mut own = Own::default();
    for (key, _) in json.value().to_object().ok()? {
        own.is_empty = false;
        match key.to_unquoted_string_str().as_deref() {
            Ok(TAGS) => own.has_tags = true,
            Ok(OCCURRED_AT) => own.has_occurred_at = true,
            _ => {}
        }
    }
    Some((own, members))
}

/// The type of a link: its data is `revision@stream`.
pub(crate) const LINK: &str = "$>";

/// Whether an event is a link.
pub(crate) fn is_link(event_type: &EventType) -> bool {
    event_type.as_str() == LINK
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(metadata: &str, tags: &[&str], occurred_at_s: Option<i64>) {
        let keys = of_metadata(metadata.as_bytes()).unwrap();
        let tags = tags.iter().map(|tag| Tag::new(tag).unwrap()).collect();
        let occurred_at = occurred_at_s.map(|s| Timestamp(s * 1_000_000_000));
        assert_eq!(keys, Keys { tags, occurred_at }, "{metadata}");
    }

    #[test]
    fn keys_are_read_where_metadata_is_an_object() {
        check(r#"{"$tags":["a:1","b\u00e9"],"x":1}"#, &["a:1", "bé"], None);
        check(r#"{"$tags":[]}"#, &[], None);
        check(r#"{"$occurredAt":"1970-01-01T01:00:00+01:00"}"#, &[], Some(0));
        check(r#"{"$occurredAt":"1969-12-31T23:59:59Z"}"#, &[], Some(-1));
        for other in ["", "{}", "[\"$tags\"]", "not json, but $tags", "\"$tags\"", "\u{0}$tags"] {
            check(other, &[], None);
        }
        assert_eq!(of_metadata(b"\xff$tags").unwrap(), Keys::default());
        let deep = format!("{{\"$tags\":{}", "[".repeat(100_000));
        assert_eq!(of_metadata(deep.as_bytes()).unwrap(), Keys::default());
    }

    #[test]
    fn bad_values_are_refused_with_the_key() {
        for (bad, key) in [
            (r#"{"$tags":"a"}"#, "$tags"),
            (r#"{"$tags":[1]}"#, "$tags"),
            (r#"{"$tags":[""]}"#, "$tags"),
            (r#"{"$tags":null}"#, "$tags"),
            (r#"{"$occurredAt":1}"#, "$occurredAt"),
            (r#"{"$occurredAt":"2026-01-31"}"#, "$occurredAt"),
            (r#"{"$occurredAt":"2026-01-31T12:00:00"}"#, "$occurredAt"),
            (r#"{"$occurredAt":"9000-01-31T12:00:00Z"}"#, "$occurredAt"),
        ] {
            let error = of_metadata(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(key), "{bad}: {error}");
        }
    }

    fn check_put(metadata: &str, tags: &[&str], at: Option<i64>, expected: Option<&str>) {
        let tags: Vec<Tag> = tags.iter().map(|tag| Tag::new(tag).unwrap()).collect();
        let put = put(metadata.as_bytes(), &tags, at.map(Timestamp));
        assert_eq!(put.as_deref(), expected, "{metadata}");
        if let Some(put) = put {
            assert!(RawJson::parse(&put).is_ok(), "{put}");
        }
    }

    #[test]
    fn fields_are_put_in_front_of_metadata() {
        const AT: &str = "\"$occurredAt\":\"1970-01-01T00:00:00Z\"";
        check_put("", &["a:1", "\"b"], None, Some(r#"{"$tags":["a:1","\"b"]}"#));
        check_put("", &[], Some(0), Some(&format!("{{{AT}}}")));
        check_put("{}", &["a"], Some(0), Some(&format!(r#"{{"$tags":["a"],{AT} }}"#)));
        check_put("{\n}", &["a"], None, Some("{\"$tags\":[\"a\"] \n}"));
        check_put(r#"{ "x":1}"#, &["a"], None, Some(r#"{"$tags":["a"], "x":1}"#));
        let inner = r#"{"x":{"$tags":[]},"y":"$occurredAt"}"#;
        let put = format!(r#"{{"$tags":["a"],{AT},{}"#, &inner[1..]);
        check_put(inner, &["a"], Some(0), Some(&put));
    }

    #[test]
    fn keys_of_its_own_are_left_alone() {
        let both = r#"{"x":1,"$tags":["a"],"$occurredAt":"1970-01-01T01:00:00+01:00"}"#;
        check_put(both, &["a"], Some(0), None);
        check_put(r#"{"\u0024tags":["a"]}"#, &["a"], None, None);
        let tags_only = r#"{"$tags":["a"]}"#;
        let with_time = r#"{"$occurredAt":"1970-01-01T00:00:00Z","$tags":["a"]}"#;
        check_put(tags_only, &["a"], Some(0), Some(with_time));
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        for metadata in ["no json", "[]", " {}", "{", "1", "{\"a\":1}x", &deep] {
            check_put(metadata, &["a"], Some(0), None);
        }
        let tag = [Tag::new("a").unwrap()];
        assert_eq!(put(b"{\"\xff\":1}", &tag, None), None);
    }

    #[test]
    fn times_survive_being_written() {
        for ns in [0, 1, -1, i64::MAX, i64::MIN, 1_700_000_000_123_456_789] {
            assert_eq!(occurred_at(&rfc3339(Timestamp(ns))), Ok(Timestamp(ns)));
        }
    }
}
