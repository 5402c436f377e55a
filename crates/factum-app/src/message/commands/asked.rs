//! A command that came, as its message has it.

use super::{EXPIRES, KEY, REPLY_TO};
use crate::{Call, message::Message};
use bytes::Bytes;
use factum_core::{Timestamp, Uuid};

/// A command that came.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) data: Bytes,
    /// The id of the message.
    pub(super) id: String,
    /// Its sender's name for it.
    pub(super) key: String,
    pub(super) reply_to: Option<String>,
    pub(super) expires: Option<Timestamp>,
    /// Which command it is, and what is known about it.
    pub(super) call: Call,
    /// What is wrong with its message, if anything.
    pub(super) wrong: Option<String>,
}

impl Asked {
    pub(super) fn of(message: &Message) -> Self {
        let text = |name: &str| message.extensions.get(name);
        let expires = text(EXPIRES).map(|found| found.parse::<Timestamp>()).transpose();
        let json = message.is_json().then_some(()).ok_or_else(|| {
            let content_type = message.content_type.as_deref().unwrap_or_default();
            format!("it is {content_type:?}, and JSON is read here")
        });
        let time = expires.as_ref().map_err(|_| format!("its {EXPIRES} is no time by RFC 3339"));
        let wrong = json.err().or(time.err());
        // A source is a URI reference, and those have no blank.
        let key = text(KEY).unwrap_or(&message.id).clone();
        let unique = format!("{} {key}", message.source);
        let metadata = message.metadata();
        let metadata = match message.id.parse::<Uuid>() {
            Ok(id) => metadata.caused_by(id),
            Err(_) => metadata,
        };
        Self {
            name: message.name.clone(),
            data: message.data.clone(),
            id: message.id.clone(),
            reply_to: text(REPLY_TO).filter(|topic| !topic.is_empty()).cloned(),
            expires: expires.unwrap_or_default(),
            key,
            call: Call { key: Some(unique), metadata },
            wrong,
        }
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}
