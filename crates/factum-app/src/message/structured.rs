//! A whole message as one JSON document: the structured mode of every binding
//! ([JSON event format](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md)).

use super::{AttributeError, Message};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

/// The content type of a message in structured mode.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// Why a document is no message.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum StructuredError {
    /// It is not JSON, or no object.
    #[error("no CloudEvent in structured mode: {0}")]
    Json(#[from] serde_json::Error),
    /// It lacks what every CloudEvent has.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// Its `data_base64` is none.
    #[error("its data_base64 is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// An attribute is an object or a list. CloudEvents have none such.
    #[error("its attribute {name:?} is neither a text, nor a number, nor a boolean")]
    Shape {
        /// Which.
        name: String,
    },
}

impl Message {
    /// It as one JSON document. A payload that is JSON stands in it as it is, any other as base64.
    #[must_use]
    pub fn to_structured(&self) -> Vec<u8> {
        let mut object: Map<String, Value> =
            self.attributes().map(|(name, value)| (name.to_owned(), value.into())).collect();
        object
            .extend(self.content_type.clone().map(|text| ("datacontenttype".into(), text.into())));
        if !self.data.is_empty() {
            let json = self.is_json().then(|| serde_json::from_slice(&self.data).ok()).flatten();
            match json {
                Some(json) => object.insert("data".into(), json),
                None => {
                    object.insert("data_base64".into(), BASE64_STANDARD.encode(&self.data).into())
                }
            };
        }
        Value::Object(object).to_string().into_bytes()
    }

    /// The message of a JSON document.
    ///
    /// # Errors
    ///
    /// It is none of a CloudEvent.
    pub fn from_structured(document: &[u8]) -> Result<Self, StructuredError> {
        let mut object: Map<String, Value> = serde_json::from_slice(document)?;
        let data = object.remove("data");
        let base64 = object.remove("data_base64");
        let attributes = object.into_iter().filter(|(_, value)| !value.is_null());
        let attributes = attributes.map(|(name, value)| match text(value) {
            Some(value) => Ok((name, value)),
            None => Err(StructuredError::Shape { name }),
        });
        let attributes = attributes.collect::<Result<Vec<_>, _>>()?;
        let mut message = Self::from_attributes(attributes, None, Bytes::new())?;
        message.data = match (data, base64) {
            (_, Some(Value::String(base64))) => BASE64_STANDARD.decode(base64)?.into(),
            // A text under another content type than JSON stands for itself.
            (Some(Value::String(text)), _) if !message.is_json() => text.into(),
            (Some(data), _) => data.to_string().into(),
            (None, _) => Bytes::new(),
        };
        Ok(message)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stands_in_it_as_it_is_and_bytes_as_base64() {
        let json = Message::new("1", "/a", "b").json(&serde_json::json!({ "n": 1 }));
        let document: Value = serde_json::from_slice(&json.to_structured()).unwrap();
        assert_eq!(document["data"]["n"], 1);
        assert_eq!(Message::from_structured(&json.to_structured()).unwrap(), json);
        let bytes = Message::new("1", "/a", "b").data("application/octet-stream", vec![0, 159, 1]);
        let document: Value = serde_json::from_slice(&bytes.to_structured()).unwrap();
        assert_eq!(document["data_base64"], "AJ8B");
        assert_eq!(Message::from_structured(&bytes.to_structured()).unwrap(), bytes);
    }

    #[test]
    fn what_others_write_is_read() {
        let document = br#"{"specversion":"1.0","id":"1","source":"/a","type":"b","sequence":7,
            "subject":null,"datacontenttype":"text/plain","data":"hello"}"#;
        let message = Message::from_structured(document).unwrap();
        assert_eq!(message.extensions["sequence"], "7");
        assert_eq!((&message.data[..], message.subject), (&b"hello"[..], None));
        for broken in [&b"7"[..], b"{}", br#"{"specversion":"1.0","id":{}}"#] {
            assert!(Message::from_structured(broken).is_err());
        }
    }
}
