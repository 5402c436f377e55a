//! A row of an outbox: the columns that Debezium's event router reads, and the rest of a message as
//! headers.

use crate::message::{Message, Outgoing};
use factum_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A row that a relay was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its number: rows are published in this order.
    pub sequence: u64,
    /// What is published, and where to.
    pub outgoing: Outgoing,
    /// How often it failed.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
}

/// What became of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// Its number.
    pub sequence: u64,
    /// What.
    pub outcome: Outcome,
}

/// What became of a row that was to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The broker has it.
    Published,
    /// It is to be tried again, so much later; what is behind it with its key waits.
    Failed {
        /// Why it failed.
        error: String,
        /// How long to wait.
        after: Duration,
    },
    /// It failed for good, and holds up its key until somebody decides.
    Dead {
        /// Why it failed.
        error: String,
    },
    /// It was not tried.
    Untried,
}

/// What of a message has no column of its own: a column of JSON.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Headers {
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataschema: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extensions: BTreeMap<String, String>,
}

impl Headers {
    /// Those of a message, as JSON.
    #[must_use]
    pub fn json_of(message: &Message) -> String {
        let headers = Self {
            source: message.source.clone(),
            subject: message.subject.clone(),
            time: message.time.map(|time| time.0),
            datacontenttype: message.content_type.clone(),
            dataschema: message.schema.clone(),
            extensions: message.extensions.clone(),
        };
        serde_json::to_string(&headers).expect("texts and numbers are JSON")
    }

    /// Puts those of a column into a message that has the rest.
    ///
    /// # Errors
    ///
    /// The column is no JSON of headers: somebody else wrote the row.
    pub fn restore(json: &str, message: Message) -> Result<Message, serde_json::Error> {
        let headers: Self = serde_json::from_str(json)?;
        Ok(Message {
            source: headers.source,
            subject: headers.subject,
            time: headers.time.map(Timestamp),
            content_type: headers.datacontenttype,
            schema: headers.dataschema,
            extensions: headers.extensions,
            ..message
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_back() {
        let message = Message {
            subject: Some("7".into()),
            time: Some(Timestamp(1)),
            schema: Some("/s".into()),
            ..Message::new("1", "/a", "b")
        };
        let message = message.with("tenant", "north").data("text/plain", "x");
        let bare = Message { data: message.data.clone(), ..Message::new("1", "", "b") };
        assert_eq!(Headers::restore(&Headers::json_of(&message), bare).unwrap(), message);
        assert!(Headers::restore("[]", Message::default()).is_err());
    }
}
