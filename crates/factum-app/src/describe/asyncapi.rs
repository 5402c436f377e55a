//! An AsyncAPI 3.0 document of what leaves the service: for who consumes it, and for generators.
//!
//! Schemas stand among the components, each by a name of its own: a reference within a payload is
//! read from the root of the document, so what a schema defines for itself is moved there too.

use super::{Described, Description};
use serde_json::{Map, Value, json};

impl Description {
    /// The integration events as an [AsyncAPI 3.0](https://www.asyncapi.com/docs/reference/specification/v3.0.0)
    /// document: a channel for each topic, with what the service sends there. Messages are
    /// CloudEvents 1.0; the schemas are those of their data.
    #[must_use]
    pub fn asyncapi(&self) -> Value {
        let (mut channels, mut operations) = (Map::new(), Map::new());
        let (mut messages, mut schemas) = (Map::new(), Map::new());
        for message in self.messages() {
            let address = message.topic.as_deref().unwrap_or_default();
            let (name, topic) = (key(&message.versioned()), key(address));
            schema_into(&mut schemas, message);
            messages.insert(name.clone(), component(message));
            let channel = channels
                .entry(topic.as_str())
                .or_insert_with(|| json!({ "address": address, "messages": {} }));
            let reference = json!({ "$ref": format!("#/components/messages/{name}") });
            if let Some(Value::Object(of_channel)) = channel.get_mut("messages") {
                of_channel.insert(name.clone(), reference);
            }
            let operation = operations.entry(format!("send.{topic}")).or_insert_with(|| {
                let channel = json!({ "$ref": format!("#/channels/{topic}") });
                json!({ "action": "send", "channel": channel, "messages": [] })
            });
            if let Some(Value::Array(of_operation)) = operation.get_mut("messages") {
                let reference = format!("#/channels/{topic}/messages/{name}");
                of_operation.push(json!({ "$ref": reference }));
            }
        }
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": self.service.as_deref().unwrap_or("service"),
                "version": self.version.as_deref().unwrap_or("0"),
            },
            "defaultContentType": "application/json",
            "channels": channels,
            "operations": operations,
            "components": { "messages": messages, "schemas": schemas },
        })
    }

    /// [`Description::asyncapi`] as the text of a file.
    ///
    /// # Panics
    ///
    /// Never: names and schemas become JSON.
    #[must_use]
    pub fn asyncapi_text(&self) -> String {
        let document = self.asyncapi();
        let text = serde_json::to_string_pretty(&document).expect("names and schemas become JSON");
        text + "\n"
    }
}

/// A name as a key of the document: letters, digits, `.`, `-` and `_` may stand there.
fn key(name: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect()
}

fn component(message: &Described) -> Value {
    json!({
        "name": message.name,
        "title": format!("{} version {}", message.name, message.version),
        "summary": format!("In order with what is of the same {}.", message.stream),
        "contentType": "application/json",
        "payload": { "$ref": format!("#/components/schemas/{}", key(&message.versioned())) },
    })
}

/// The schema of a message, and what it defines for itself.
fn schema_into(schemas: &mut Map<String, Value>, message: &Described) {
    let name = key(&message.versioned());
    let mut schema = message.schema.clone();
    let defined = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
    if let Some(Value::Object(defined)) = defined {
        for (own, mut definition) in defined {
            refer(&mut definition, &name);
            schemas.insert(format!("{name}.{}", key(&own)), definition);
        }
    }
    refer(&mut schema, &name);
    schemas.insert(name, schema);
}

/// References to its own definitions become references to where these stand now.
fn refer(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                match (keyword.as_str(), value) {
                    ("$ref", Value::String(target)) => {
                        if let Some(own) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/components/schemas/{name}.{}", key(own));
                        }
                    }
                    (_, value) => refer(value, name),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| refer(one, name)),
        _ => {}
    }
}
