//! The JSON Schemas of what an app writes and publishes.

use super::{Described, Description, Kind};
use serde_json::Value;
use std::collections::BTreeMap;

impl Description {
    /// The JSON Schema of each event and integration event, by name and version:
    /// `order.placed.v1`. As `events.lock` has them.
    #[must_use]
    pub fn json_schemas(&self) -> BTreeMap<String, Value> {
        let all = self.events.iter().chain(self.messages());
        all.map(|one| (one.versioned(), one.schema.clone())).collect()
    }

    /// The integration events of all publications.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Described> {
        self.followers.iter().flat_map(|one| match &one.kind {
            Kind::Publication { messages } => messages.as_slice(),
            _ => &[],
        })
    }
}

impl Described {
    /// Its name with its version.
    pub(super) fn versioned(&self) -> String {
        format!("{}.v{}", self.name, self.version)
    }
}
