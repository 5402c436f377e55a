//! What is known about a fact besides the fact: who, why, by which program, in which trace.
//!
//! The framework fills it at every hop, command → event → process → command → event. On the wire it
//! is JSON; the names with a `$` are KurrentDB's convention.

use bytes::Bytes;
use factum_core::{RecordedEvent, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The metadata of an event or a command.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// What belongs together: the same for everything that one first command led to.
    #[serde(rename = "$correlationId", skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Uuid>,
    /// The id of the command or event that this came of.
    #[serde(rename = "$causationId", skip_serializing_if = "Option::is_none")]
    pub causation: Option<Uuid>,
    /// Who did it.
    #[serde(rename = "actor", skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// For whom: the tenant.
    #[serde(rename = "tenant", skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Which service wrote it.
    #[serde(rename = "service", skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// In which version.
    #[serde(rename = "serviceVersion", skip_serializing_if = "Option::is_none")]
    pub service_version: Option<String>,
    /// W3C trace context: <https://www.w3.org/TR/trace-context/>.
    #[serde(rename = "traceparent", skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    /// The state that goes with it.
    #[serde(rename = "tracestate", skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    /// The version of the payload's shape; absent is 1.
    #[serde(rename = "$schemaVersion", skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
    /// What the application adds.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Metadata {
    /// That of a stored event. What is not JSON of this shape is left alone: it is somebody else's.
    #[must_use]
    pub fn of(event: &RecordedEvent) -> Self {
        serde_json::from_slice(event.metadata()).unwrap_or_default()
    }

    /// For what is caused by something with this metadata and the id `by`.
    #[must_use]
    pub fn caused_by(&self, by: Uuid) -> Self {
        Self {
            correlation: self.correlation.or(Some(by)),
            causation: Some(by),
            schema_version: None,
            ..self.clone()
        }
    }
}

/// For an event of this version.
pub(crate) fn to_bytes(meta: &Metadata, version: u32) -> Result<Bytes, serde_json::Error> {
    if version <= 1 && meta.schema_version.is_none() {
        return serde_json::to_vec(meta).map(Bytes::from);
    }
    let versioned = Metadata { schema_version: (version > 1).then_some(version), ..meta.clone() };
    serde_json::to_vec(&versioned).map(Bytes::from)
}
