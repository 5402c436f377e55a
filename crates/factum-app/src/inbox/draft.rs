//! A message as the event that it is stored as.

use crate::{Metadata, message::Message};
use factum_core::{ContentType, EventData, EventType, InvalidName, StreamName, Tag, Uuid};
use serde_json::{Map, Value};

/// What the types of stored messages begin with: whoever follows events of that name is not handed
/// the messages of others.
pub(super) const PREFIX: &str = "received:";

/// A message that is to be stored.
pub(super) struct Draft {
    pub(super) stream: StreamName,
    pub(super) event: EventData,
    /// Which message it is, for ever.
    pub(super) identity: Tag,
}

impl Draft {
    /// That of a message, in an inbox.
    pub(super) fn of(category: &str, id: Uuid, message: &Message) -> Result<Self, InvalidName> {
        let key = message.key.as_ref().unwrap_or(&message.id);
        let stream = StreamName::new(&format!("{category}-{key}"))?;
        // A source is a URI reference, and those have no blank.
        let identity = Tag::new(&format!("{category} {} {}", message.source, message.id))?;
        let name = EventType::new(&format!("{PREFIX}{}", message.name))?;
        let metadata = serde_json::to_vec(&metadata(message)).expect("texts are JSON");
        let mut event = EventData::new(id, name, message.data.clone())
            .with_tags([identity.clone()])
            .with_metadata(metadata);
        event.occurred_at = message.time;
        event.content_type = match message.is_json() {
            true => ContentType::Json,
            false => ContentType::Binary,
        };
        Ok(Self { stream, event, identity })
    }
}

/// What is known about it: who sent it, and what it came of.
fn metadata(message: &Message) -> Metadata {
    let mut about: Map<String, Value> =
        message.attributes().map(|(k, v)| (k.to_owned(), v.into())).collect();
    about.extend(message.content_type.clone().map(|text| ("datacontenttype".into(), text.into())));
    let more = Map::from_iter([("$message".to_owned(), Value::Object(about))]);
    let version = message.extensions.get("schemaversion").and_then(|text| text.parse().ok());
    Metadata { schema_version: version, more, ..message.metadata() }
}
