//! The attributes of a message as names and texts: what every binary binding puts into headers,
//! each with a prefix of its own. The content type is no part of it: bindings have a place for
//! that.

use super::Message;
use bytes::Bytes;
use factum_core::Timestamp;

/// Why headers and a payload are no message.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttributeError {
    /// One that every CloudEvent has is not there. Whoever sent it sends no CloudEvents.
    #[error("no CloudEvent: it has no attribute {name:?}")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// It is of another version of CloudEvents.
    #[error("a CloudEvent of version {found:?}, where 1.0 is understood")]
    Version {
        /// Which.
        found: String,
    },
    /// Its time is none by RFC 3339.
    #[error("its time {found:?} is none by RFC 3339")]
    Time {
        /// What is there.
        found: String,
    },
}

impl Message {
    /// All attributes but the content type, by their names on the wire.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, String)> {
        let must = [
            ("specversion", "1.0".to_owned()),
            ("id", self.id.clone()),
            ("source", self.source.clone()),
            ("type", self.name.clone()),
        ];
        let may = [
            ("subject", self.subject.clone()),
            ("time", self.time.as_ref().map(Timestamp::to_string)),
            ("partitionkey", self.key.clone()),
            ("dataschema", self.schema.clone()),
        ];
        let may = may.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        let more = self.extensions.iter().map(|(name, value)| (name.as_str(), value.clone()));
        must.into_iter().chain(may).chain(more)
    }

    /// The message of attributes without their prefix, a content type and a payload.
    ///
    /// # Errors
    ///
    /// It is no CloudEvent of version 1.0.
    pub fn from_attributes(
        attributes: impl IntoIterator<Item = (String, String)>,
        content_type: Option<String>,
        data: Bytes,
    ) -> Result<Self, AttributeError> {
        let mut version = None;
        let mut must: [Option<String>; 3] = [None, None, None];
        let mut message = Self { content_type, data, ..Self::default() };
        for (name, value) in attributes {
            match name.as_str() {
                "specversion" => version = Some(value),
                "id" => must[0] = Some(value),
                "source" => must[1] = Some(value),
                "type" => must[2] = Some(value),
                "subject" => message.subject = Some(value),
                "time" => message.time = Some(time(value)?),
                "partitionkey" => message.key = Some(value),
                "dataschema" => message.schema = Some(value),
                "datacontenttype" => message.content_type = Some(value),
                _ => drop(message.extensions.insert(name, value)),
            }
        }
        match version {
            None => return Err(AttributeError::Missing { name: "specversion" }),
            Some(found) if found != "1.0" => return Err(AttributeError::Version { found }),
            Some(_) => {}
        }
        let [id, source, name] = must;
        let there = |value: Option<String>, name| {
            value.filter(|value| !value.is_empty()).ok_or(AttributeError::Missing { name })
        };
        message.id = there(id, "id")?;
        message.source = there(source, "source")?;
        message.name = there(name, "type")?;
        Ok(message)
    }
}

fn time(found: String) -> Result<Timestamp, AttributeError> {
    found.parse().map_err(|_| AttributeError::Time { found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Message {
        Message {
            subject: Some("7".into()),
            time: Some(Timestamp(1_700_000_000_000_000_000)),
            schema: Some("/schemas/1".into()),
            ..Message::new("1", "/orders", "order.placed")
        }
        .key("order-7")
        .with("tenant", "north")
        .json(&serde_json::json!({ "a": 1 }))
    }

    #[test]
    fn attributes_and_back() {
        let attributes = full().attributes().map(|(k, v)| (k.to_owned(), v)).collect::<Vec<_>>();
        let back =
            Message::from_attributes(attributes, full().content_type, full().data.clone()).unwrap();
        assert_eq!(back, full());
    }

    #[test]
    fn what_is_no_cloud_event_is_told_apart() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Message::from_attributes(pairs, None, Bytes::new()).unwrap_err()
        };
        let missing = |name| AttributeError::Missing { name };
        assert_eq!(of(&[("id", "1")]), missing("specversion"));
        let version = AttributeError::Version { found: "0.3".into() };
        assert_eq!(of(&[("specversion", "0.3")]), version);
        let some = [("specversion", "1.0"), ("id", "1"), ("source", "/x"), ("type", "")];
        assert_eq!(of(&some), missing("type"));
        let time = AttributeError::Time { found: "noon".into() };
        assert_eq!(of(&[("time", "noon")]), time);
    }
}
