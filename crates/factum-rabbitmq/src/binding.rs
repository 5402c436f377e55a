//! A message as AMQP 0-9-1 carries it, and back: CloudEvents' AMQP binding, whose application
//! properties are RabbitMQ's headers.
//!
//! Pure, and apart so that what is on the wire can be read in one place.

use bytes::Bytes;
use factum_app::message::{Malformed, Message, STRUCTURED};
use factum_core::Timestamp;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{settings::Mode, topology};

/// What attributes are called in headers; a colon as the binding has it, an underscore as its newer
/// releases also allow.
const PREFIXES: [&str; 2] = ["cloudEvents:", "cloudEvents_"];

/// Attributes that need more than this go into the body, as structured mode has it: headers must
/// fit into one frame (128 KiB unless the broker says otherwise), a body need not.
const HEADERS_MAX: usize = 60_000;

/// A name or value of AMQP that is no longer than this.
const SHORT_MAX: usize = 255;

/// It stays on disk until it is acknowledged.
const PERSISTENT: u8 = 2;

/// What `basic.publish` is given.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Encoded {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Bytes,
}

impl Encoded {
    /// A message, in this mode where it can be.
    pub(crate) fn of(message: &Message, mode: Mode) -> Self {
        let short = |name: &str| name.len() + PREFIXES[0].len() <= SHORT_MAX;
        let fits = message.extensions.keys().all(|name| short(name))
            && message.content_type.as_ref().is_none_or(|text| text.len() <= SHORT_MAX)
            && attributes_bytes(message) <= HEADERS_MAX;
        let slot = topology::slot(message.key.as_deref().unwrap_or(&message.id));
        let mut headers = FieldTable::default();
        headers.insert(topology::SLOT_HEADER.into(), AMQPValue::LongLongInt(slot.into()));
        let (content_type, body) = if mode == Mode::Binary && fits {
            for (name, value) in message.attributes() {
                let name = ShortString::from(format!("{}{name}", PREFIXES[0]));
                headers.insert(name, AMQPValue::LongString(value.into()));
            }
            (message.content_type.clone(), message.data.clone())
        } else {
            (Some(STRUCTURED.to_owned()), message.to_structured().into())
        };
        Self { properties: properties(message, content_type, headers), body }
    }

    /// About how many bytes the broker is given.
    pub(crate) fn bytes(&self) -> u64 {
        let headers = self.properties.headers().iter().flat_map(FieldTable::inner);
        let sizes = headers.map(|(name, value)| name.as_str().len() + value_bytes(value));
        u64::try_from(self.body.len() + sizes.sum::<usize>()).unwrap_or(u64::MAX)
    }
}

/// What tools of RabbitMQ show of a message, where its text is short enough to be there.
fn properties(
    message: &Message,
    content_type: Option<String>,
    headers: FieldTable,
) -> BasicProperties {
    let short = |text: Option<&str>| text.and_then(|text| ShortString::try_new(text).ok());
    let mut properties =
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
    if let Some(text) = short(content_type.as_deref()) {
        properties = properties.with_content_type(text);
    }
    if let Some(text) = short(Some(&message.id)) {
        properties = properties.with_message_id(text);
    }
    if let Some(text) = short(Some(&message.name)) {
        properties = properties.with_type(text);
    }
    if let Some(text) = short(message.extensions.get("correlationid").map(String::as_str)) {
        properties = properties.with_correlation_id(text);
    }
    properties
}

fn attributes_bytes(message: &Message) -> usize {
    message.attributes().map(|(name, value)| PREFIXES[0].len() + name.len() + value.len()).sum()
}

fn value_bytes(value: &AMQPValue) -> usize {
    match value {
        AMQPValue::LongString(text) => text.len(),
        _ => size_of::<u64>(),
    }
}

/// The message in what came, or what is there instead.
pub(crate) fn decode(properties: &BasicProperties, body: Bytes) -> Result<Message, Malformed> {
    let content_type = properties.content_type().as_ref().map(|text| text.as_str().to_owned());
    let found = if content_type.as_deref().is_some_and(|text| text.starts_with(STRUCTURED)) {
        Message::from_structured(&body).map_err(|error| error.to_string())
    } else {
        Message::from_attributes(attributes(properties), content_type, body.clone())
            .map_err(|error| error.to_string())
    };
    found.map_err(|why| Malformed { why, bytes: body })
}

fn attributes(properties: &BasicProperties) -> Vec<(String, String)> {
    let headers = properties.headers().iter().flat_map(FieldTable::inner);
    let attribute = |(name, value): (&ShortString, &AMQPValue)| {
        let name = PREFIXES.iter().find_map(|prefix| name.as_str().strip_prefix(prefix))?;
        Some((name.to_owned(), text(value)?))
    };
    headers.filter_map(attribute).collect()
}

/// The canonical text of a value that others sent in its native form.
pub(crate) fn text(value: &AMQPValue) -> Option<String> {
    let text = match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.as_str().to_owned(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::Timestamp(seconds) => {
            let seconds = i64::try_from(*seconds).ok()?;
            Timestamp(seconds.checked_mul(1_000_000_000)?).to_string()
        }
        other => return integer(other).map(|number| number.to_string()),
    };
    Some(text)
}

/// A whole number of any width.
pub(crate) fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some((*number).into()),
        AMQPValue::ShortShortUInt(number) => Some((*number).into()),
        AMQPValue::ShortInt(number) => Some((*number).into()),
        AMQPValue::ShortUInt(number) => Some((*number).into()),
        AMQPValue::LongInt(number) => Some((*number).into()),
        AMQPValue::LongUInt(number) => Some((*number).into()),
        AMQPValue::LongLongInt(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let message = Message::new("42", "/orders", "order.placed").key("order-7");
        let message = message.with("correlationid", "c1").with("causationid", "c2");
        let message = message.with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-1-01");
        Message { time: Some(Timestamp(1_700_000_000_000_000_000)), ..message }
            .json(&serde_json::json!({ "order": 7 }))
    }

    fn check_round_trip(message: &Message, mode: Mode) -> Encoded {
        let encoded = Encoded::of(message, mode);
        let back = decode(&encoded.properties, encoded.body.clone()).unwrap();
        assert_eq!(&back, message);
        encoded
    }

    fn header(encoded: &Encoded, name: &str) -> Option<String> {
        let headers = encoded.properties.headers().as_ref().unwrap();
        headers.inner().get(name).and_then(text)
    }

    #[test]
    fn binary_mode_has_the_payload_as_it_is_and_attributes_in_headers() {
        let encoded = check_round_trip(&message(), Mode::Binary);
        assert_eq!(&encoded.body[..], br#"{"order":7}"#);
        let content_type = encoded.properties.content_type().as_ref().unwrap();
        assert_eq!(content_type.as_str(), "application/json");
        assert_eq!(header(&encoded, "cloudEvents:specversion").unwrap(), "1.0");
        assert_eq!(header(&encoded, "cloudEvents:type").unwrap(), "order.placed");
        assert_eq!(header(&encoded, "cloudEvents:partitionkey").unwrap(), "order-7");
        assert_eq!(header(&encoded, "cloudEvents:correlationid").unwrap(), "c1");
        assert!(header(&encoded, "cloudEvents:traceparent").is_some());
        assert_eq!(header(&encoded, "cloudEvents:datacontenttype"), None);
    }

    #[test]
    fn structured_mode_has_all_in_the_payload() {
        let encoded = check_round_trip(&message(), Mode::Structured);
        assert!(encoded.body.starts_with(b"{"));
        assert_eq!(header(&encoded, "cloudEvents:id"), None);
        let binary = Message::new("1", "/a", "b").data("application/octet-stream", vec![0, 255]);
        check_round_trip(&binary, Mode::Structured);
        check_round_trip(&Message::new("1", "/a", "b"), Mode::Binary);
    }

    #[test]
    fn attributes_that_do_not_fit_into_headers_go_into_the_payload() {
        let long = message().with("note", "x".repeat(HEADERS_MAX));
        assert!(check_round_trip(&long, Mode::Binary).body.len() > HEADERS_MAX);
        check_round_trip(&Message::new("1".repeat(300), "/a", "b".repeat(300)), Mode::Binary);
        check_round_trip(&message().with("n".repeat(300), "x"), Mode::Binary);
        check_round_trip(&message().data("t".repeat(300), "x"), Mode::Binary);
    }

    #[test]
    fn native_values_of_others_are_read_as_text() {
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("cloudEvents:specversion", AMQPValue::LongString("1.0".into())),
            ("cloudEvents:id", AMQPValue::LongString("1".into())),
            ("cloudEvents:source", AMQPValue::LongString("/a".into())),
            ("cloudEvents_type", AMQPValue::LongString("b".into())),
            ("cloudEvents:time", AMQPValue::Timestamp(1_700_000_000)),
            ("cloudEvents:sequence", AMQPValue::LongLongInt(7)),
            ("cloudEvents:sampled", AMQPValue::Boolean(true)),
            ("other", AMQPValue::LongString("left alone".into())),
        ] {
            headers.insert(name.into(), value);
        }
        let properties = BasicProperties::default().with_headers(headers);
        let found = decode(&properties, Bytes::new()).unwrap();
        assert_eq!(found.time, Some(Timestamp(1_700_000_000_000_000_000)));
        assert_eq!(found.extensions.len(), 2);
        assert_eq!(found.extensions["sequence"], "7");
        assert_eq!(found.extensions["sampled"], "true");
    }

    #[test]
    fn what_is_no_cloud_event_comes_with_its_bytes() {
        let found = decode(&BasicProperties::default(), Bytes::from_static(b"hello")).unwrap_err();
        assert_eq!(&found.bytes[..], b"hello");
        assert!(found.why.contains("specversion"), "{}", found.why);
        let json = BasicProperties::default().with_content_type(STRUCTURED.into());
        assert!(decode(&json, Bytes::from_static(b"{")).is_err());
    }
}
