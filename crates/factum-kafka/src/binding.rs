//! A message as a record of Kafka, by the
//! [Kafka binding of CloudEvents](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md).
//! Pure: no client, no broker.

use crate::options::Mode;
use bytes::Bytes;
use factum_app::message::{Malformed, Message, STRUCTURED};
use rdkafka::message::{Header, Headers, OwnedHeaders};

/// What a record holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) value: Bytes,
}

const PREFIX: &str = "ce_";
const CONTENT_TYPE: &str = "content-type";
const CLOUD_EVENTS: &str = "application/cloudevents";

/// What a record, and each of its headers, adds to its bytes at most: lengths, offsets, times.
const RECORD_BYTES: usize = 64;
const HEADER_BYTES: usize = 10;

impl Record {
    pub(crate) fn of(message: &Message, mode: Mode) -> Self {
        let key = message.key.clone().map(String::into_bytes);
        match mode {
            Mode::Binary => Self { key, headers: headers(message), value: message.data.clone() },
            Mode::Structured => {
                let headers = vec![(CONTENT_TYPE.to_owned(), STRUCTURED.as_bytes().to_vec())];
                Self { key, headers, value: message.to_structured().into() }
            }
        }
    }

    /// An upper bound of its bytes in a request.
    pub(crate) fn bytes(&self) -> u64 {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let headers: usize = headers.map(|bytes| bytes + HEADER_BYTES).sum();
        let key = self.key.as_ref().map_or(0, Vec::len);
        (key + headers + self.value.len() + RECORD_BYTES) as u64
    }

    pub(crate) fn owned_headers(&self) -> OwnedHeaders {
        let some = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers
            .iter()
            .fold(some, |all, (key, value)| all.insert(Header { key, value: Some(value) }))
    }

    pub(crate) fn taken(from: &impl rdkafka::Message) -> Self {
        let headers = from.headers().map(|headers| {
            let pairs = headers.iter().map(|one| (one.key.to_owned(), one.value));
            pairs.filter_map(|(key, value)| Some((key, value?.to_vec()))).collect()
        });
        Self {
            key: from.key().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            value: Bytes::copy_from_slice(from.payload().unwrap_or_default()),
        }
    }

    /// The message in it.
    pub(crate) fn message(&self) -> Result<Message, Malformed> {
        let malformed = |why: String| Malformed { why, bytes: self.value.clone() };
        let content_type = self.content_type();
        let form = content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        let mut message = if form.starts_with(STRUCTURED) {
            Message::from_structured(&self.value).map_err(|error| malformed(error.to_string()))?
        } else if form.starts_with(CLOUD_EVENTS) {
            let cure = format!("{STRUCTURED} and the binary mode are understood");
            return Err(malformed(format!("a CloudEvent as {form:?}: {cure}")));
        } else {
            let attributes = self.attributes().map_err(malformed)?;
            Message::from_attributes(attributes, content_type, self.value.clone())
                .map_err(|error| malformed(error.to_string()))?
        };
        let key = || String::from_utf8(self.key.clone()?).ok();
        message.key = message.key.take().or_else(key);
        Ok(message)
    }

    fn content_type(&self) -> Option<String> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE))?;
        String::from_utf8(value.clone()).ok()
    }

    fn attributes(&self) -> Result<Vec<(String, String)>, String> {
        let ours = |(name, value): &(String, Vec<u8>)| {
            Some((name.strip_prefix(PREFIX)?.to_owned(), value.clone()))
        };
        let text = |(name, value): (String, Vec<u8>)| match String::from_utf8(value) {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(format!("the header {PREFIX}{name} is no UTF-8")),
        };
        self.headers.iter().filter_map(ours).map(text).collect()
    }
}

fn headers(message: &Message) -> Vec<(String, Vec<u8>)> {
    let attributes = message.attributes();
    let attributes = attributes.map(|(name, value)| (format!("{PREFIX}{name}"), value.into()));
    let content_type = message.content_type.as_ref();
    let content_type = content_type.map(|text| (CONTENT_TYPE.to_owned(), text.clone().into()));
    attributes.chain(content_type).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Message {
        Message { subject: Some("7".into()), ..Message::new("1", "/orders", "order.placed") }
            .key("order-7")
            .with("traceparent", "00-1-2-01")
            .json(&serde_json::json!({ "a": 1 }))
    }

    #[test]
    fn both_modes_and_back() {
        for mode in [Mode::Binary, Mode::Structured] {
            for message in [full(), Message::new("1", "/orders", "order.placed")] {
                let record = Record::of(&message, mode);
                assert_eq!(record.message().unwrap(), message, "{mode:?}");
                assert_eq!(record.key.is_some(), message.key.is_some());
            }
        }
    }

    /// The value is the bytes as they are, or `data_base64`; the content type and where the schema
    /// is come along. That holds for what looks like JSON too.
    #[test]
    fn avro_and_protobuf_are_bytes_in_both_modes() {
        let check = |content_type: &str, data: &[u8]| {
            let mut message = full().data(content_type, data.to_vec());
            message.schema = Some("https://schemas.example/orders/1".into());
            let binary = Record::of(&message, Mode::Binary);
            assert_eq!((&binary.value[..], binary.message().unwrap()), (data, message.clone()));
            let structured = Record::of(&message, Mode::Structured);
            let document: serde_json::Value = serde_json::from_slice(&structured.value).unwrap();
            assert!(document["data_base64"].is_string() && document.get("data").is_none());
            assert_eq!(structured.message().unwrap(), message);
        };
        for data in [&b"\x08\x07\xff\x00"[..], b"{\"a\":1}", b"7"] {
            check("application/avro", data);
            check("application/protobuf; type=shop.Order", data);
        }
    }

    #[test]
    fn the_names_are_those_of_the_binding() {
        let record = Record::of(&full(), Mode::Binary);
        let value = |name: &str| {
            let mut found = record.headers.iter().filter(|(header, _)| header == name);
            String::from_utf8(found.next().unwrap().1.clone()).unwrap()
        };
        assert_eq!((value("ce_specversion"), value("ce_type")), ("1.0".into(), full().name));
        assert_eq!((value("content-type"), value("ce_subject")), (json(), "7".into()));
        assert!(record.headers.iter().all(|(name, _)| name != "ce_datacontenttype"));
        let structured = Record::of(&full(), Mode::Structured);
        assert_eq!(structured.content_type().as_deref(), Some(STRUCTURED));
    }

    fn json() -> String {
        "application/json".into()
    }

    #[test]
    fn what_others_send_is_understood_or_told_apart() {
        let mut record = Record::of(&full().key("x"), Mode::Structured);
        record.headers[0].1 = b"Application/CloudEvents+JSON; charset=UTF-8".to_vec();
        assert_eq!(record.message().unwrap(), full().key("x"));
        record.headers[0].1 = b"application/cloudevents-batch+json".to_vec();
        assert!(record.message().unwrap_err().why.contains("batch"));
        let plain = Record { value: Bytes::from_static(b"hello"), ..Record::default() };
        let malformed = plain.message().unwrap_err();
        assert!(malformed.why.contains("specversion") && malformed.bytes == "hello");
        let mut record = Record::of(&full(), Mode::Binary);
        record.headers.push(("ce_x".into(), vec![255]));
        assert!(record.message().unwrap_err().why.contains("ce_x"));
    }

    /// Java's producers set the record's key, and often no `partitionkey`.
    #[test]
    fn the_key_of_the_record_is_the_key_of_a_message_that_names_none() {
        let unkeyed = Message::new("1", "/orders", "order.placed");
        let mut record = Record::of(&unkeyed, Mode::Binary);
        record.key = Some(b"order-7".to_vec());
        assert_eq!(record.message().unwrap(), unkeyed.clone().key("order-7"));
        record.key = Some(vec![255, 0]);
        assert_eq!(record.message().unwrap(), unkeyed);
    }
}
