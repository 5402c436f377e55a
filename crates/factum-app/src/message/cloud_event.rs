//! A message as CloudEvents 1.0 has it. The published crate for them is left alone: its bindings
//! are of old releases of the brokers' clients, and it brings a calendar and an error library.

use crate::Metadata;
use bytes::Bytes;
use factum_core::{Timestamp, Uuid};
use std::collections::BTreeMap;

/// A message: a [CloudEvent](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
///
/// ```
/// use factum_app::message::Message;
/// let message = Message::new("42", "/orders", "order.confirmed")
///     .key("order-7")
///     .json(&serde_json::json!({ "order": 7 }));
/// assert_eq!(message.content_type.as_deref(), Some("application/json"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// With `source`, which message it is: the same whenever it is sent again.
    pub id: String,
    /// Who says so: a URI reference, as `/orders`.
    pub source: String,
    /// What it is: `type` on the wire.
    pub name: String,
    /// What it is about, within the source.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// What it is in order with: the extension `partitionkey` on the wire.
    pub key: Option<String>,
    /// What `data` is: `datacontenttype` on the wire.
    pub content_type: Option<String>,
    /// Where the shape of `data` is described, a URI: `dataschema` on the wire.
    pub schema: Option<String>,
    /// All other attributes, by name: lower-case letters and digits.
    pub extensions: BTreeMap<String, String>,
    /// The payload.
    pub data: Bytes,
}

impl Message {
    /// One without a payload.
    pub fn new(id: impl Into<String>, source: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), source: source.into(), name: name.into(), ..Self::default() }
    }

    /// In order with what has the same key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With this payload.
    #[must_use]
    pub fn data(mut self, content_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        self.content_type = Some(content_type.into());
        self.data = data.into();
        self
    }

    /// With this payload, as JSON.
    #[must_use]
    pub fn json(self, data: &serde_json::Value) -> Self {
        self.data("application/json", data.to_string())
    }

    /// With an attribute more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// With what is known about what it came of: correlation and causation
    /// ([extension](https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/correlation.md)),
    /// the W3C trace context
    /// ([extension](https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md)),
    /// actor and tenant.
    #[must_use]
    pub fn about(mut self, known: &Metadata) -> Self {
        let id = |id: &Option<Uuid>| id.as_ref().map(Uuid::to_string);
        for (name, value) in [
            ("correlationid", id(&known.correlation)),
            ("causationid", id(&known.causation)),
            ("traceparent", known.trace_parent.clone()),
            ("tracestate", known.trace_state.clone()),
            ("actor", known.actor.clone()),
            ("tenant", known.tenant.clone()),
        ] {
            self.extensions.extend(value.map(|value| (name.to_owned(), value)));
        }
        self
    }

    /// What it says about what it came of. An id that is no UUID is somebody else's, and left out.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        let text = |name: &str| self.extensions.get(name).cloned();
        let id = |name: &str| text(name).and_then(|id| id.parse().ok());
        Metadata {
            correlation: id("correlationid"),
            causation: id("causationid"),
            trace_parent: text("traceparent"),
            trace_state: text("tracestate"),
            actor: text("actor"),
            tenant: text("tenant"),
            ..Metadata::default()
        }
    }

    /// Whether its payload is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let text = self.content_type.as_deref().unwrap_or("application/json");
        let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media == "application/json" || media == "text/json" || media.ends_with("+json")
    }
}
