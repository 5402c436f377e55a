//! A message as NATS carries it, and back: the
//! [binding](https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md)
//! of CloudEvents. In binary mode every attribute, the content type too, is a header behind `ce-`;
//! in structured mode the one header `content-type` says so.

use crate::settings::Mode;
use async_nats::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use factum_app::message::{Malformed, Message, STRUCTURED};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

const PREFIX: &str = "ce-";
const CONTENT_TYPE: &str = "content-type";
const DATA_CONTENT_TYPE: &str = "datacontenttype";
/// What the binding of HTTP has encoded, which that of NATS refers to; the library encodes all that
/// is not ASCII by itself.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// An id is encoded so that its separator is in neither half.
const ID: &AsciiSet = &ENCODED.add(b'#');
/// What precedes headers, and follows them.
const FRAME: usize = "NATS/1.0\r\n\r\n".len();

/// Headers and payload of a message.
pub(crate) struct Wire {
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Wire {
    /// How many bytes the server counts.
    pub(crate) fn len(&self) -> usize {
        let line = |name: &HeaderName, value: &HeaderValue| {
            let name: &str = name.as_ref();
            name.len() + value.as_str().len() + ": \r\n".len()
        };
        let of = |(name, values): (&HeaderName, &Vec<HeaderValue>)| {
            values.iter().map(|value| line(name, value)).sum::<usize>()
        };
        self.headers.iter().map(of).sum::<usize>() + FRAME + self.payload.len()
    }

    /// Sets a header. A name or value that is none of a header is left out: it was checked before.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            self.headers.insert(name, value);
        }
    }
}

/// The id that the server tells a message that comes again by: unambiguous, whatever is in both.
pub(crate) fn id(message: &Message) -> String {
    let encode = |text| utf8_percent_encode(text, ID);
    format!("{}#{}", encode(&message.source), encode(&message.id))
}

/// A text as a header's value.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The text of a header's value.
pub(crate) fn decode(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// A message as it goes out; or the attribute whose name is none.
pub(crate) fn write(message: &Message, mode: Mode) -> Result<Wire, String> {
    let payload = match mode {
        Mode::Binary => message.data.clone(),
        Mode::Structured => message.to_structured().into(),
    };
    let mut wire = Wire { headers: HeaderMap::new(), payload };
    if let Some(wrong) = message.extensions.keys().find(|name| !is_name(name)) {
        return Err(wrong.clone());
    }
    match mode {
        Mode::Structured => wire.set(CONTENT_TYPE, STRUCTURED),
        Mode::Binary => {
            let kind = message.content_type.clone().map(|value| (DATA_CONTENT_TYPE, value));
            for (name, value) in message.attributes().chain(kind) {
                wire.set(&format!("{PREFIX}{name}"), &encode(&value));
            }
        }
    }
    wire.set(header::NATS_MESSAGE_ID.as_ref(), &id(message));
    Ok(wire)
}

/// What came in.
pub(crate) fn read(headers: Option<&HeaderMap>, payload: &Bytes) -> Result<Message, Malformed> {
    let malformed = |why: String| Malformed { why, bytes: payload.clone() };
    let all = || headers.into_iter().flat_map(HeaderMap::iter);
    let all = || all().filter_map(|(name, values)| Some((lower(name), values.last()?.as_str())));
    let kind = all().find(|(name, _)| name == CONTENT_TYPE).map(|(_, value)| value);
    if kind.is_some_and(is_structured) {
        return Message::from_structured(payload).map_err(|error| malformed(error.to_string()));
    }
    let attribute = |(name, value): (String, &str)| {
        let name = name.strip_prefix(PREFIX)?.to_owned();
        Some((name, decode(value)))
    };
    let attributes = all().filter_map(attribute).collect::<Vec<_>>();
    Message::from_attributes(attributes, kind.map(str::to_owned), payload.clone())
        .map_err(|error| malformed(error.to_string()))
}

fn lower(name: &HeaderName) -> String {
    let name: &str = name.as_ref();
    name.to_ascii_lowercase()
}

/// Others write it without the format, which is JSON then.
fn is_structured(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == STRUCTURED || media == "application/cloudevents"
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Message {
        Message { subject: Some("Zoë \"50 %\"\r\nX: y".into()), ..Message::new("1", "/a b", "c") }
            .key("k")
            .with("tenant", "north")
            .json(&serde_json::json!({ "n": 1 }))
    }

    #[test]
    fn both_modes_there_and_back() {
        for mode in [Mode::Binary, Mode::Structured] {
            let wire = write(&full(), mode).unwrap();
            assert_eq!(read(Some(&wire.headers), &wire.payload).unwrap(), full(), "{mode:?}");
        }
    }

    #[test]
    fn headers_are_as_the_binding_has_them() {
        let wire = write(&full(), Mode::Binary).unwrap();
        let header = |name| wire.headers.get(name).map(HeaderValue::as_str);
        assert_eq!(header("ce-subject"), Some("Zo%C3%AB%20%2250%20%25%22%0D%0AX:%20y"));
        assert_eq!(header("ce-datacontenttype"), Some("application/json"));
        assert_eq!((header("content-type"), header("ce-partitionkey")), (None, Some("k")));
        let wire = write(&full(), Mode::Structured).unwrap();
        assert_eq!(wire.headers.len(), 2);
    }

    #[test]
    fn what_others_write_is_read() {
        let mut wire = Wire { headers: HeaderMap::new(), payload: "hi".into() };
        for (name, value) in [("Ce-Specversion", "1.0"), ("CE-ID", "1"), ("ce-source", "/a")] {
            wire.set(name, value);
        }
        let error = read(Some(&wire.headers), &wire.payload).unwrap_err();
        assert_eq!((error.why.contains("type"), &error.bytes[..]), (true, &b"hi"[..]));
        wire.set("ce-type", "b");
        wire.set("Content-Type", "text/plain");
        let message = read(Some(&wire.headers), &wire.payload).unwrap();
        assert_eq!(message.content_type.as_deref(), Some("text/plain"));
        assert!(read(None, &wire.payload).is_err());
    }

    #[test]
    fn ids_of_different_messages_differ() {
        let of = |source: &str, text: &str| id(&Message::new(text, source, "t"));
        assert_eq!(of("/orders", "7"), "/orders#7");
        assert_ne!(of("/a#b", "c"), of("/a", "b#c"));
        assert_ne!(of("/a b", "c"), of("/a", "b c"));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        assert_eq!(write(&full().with("Not-So", "x"), Mode::Binary).err(), Some("Not-So".into()));
    }
}
