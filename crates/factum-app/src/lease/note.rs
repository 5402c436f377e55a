//! What is written in the stream of a lease.

use crate::world::{World, uuid_v7};
use factum_core::{EventData, EventType, RecordedEvent, Uuid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const TAKEN: &str = "$lease.taken";
const RELEASED: &str = "$lease.released";

/// An entry in the stream of a lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Note {
    /// Somebody took it.
    Taken {
        /// The instance.
        holder: String,
    },
    /// Its holder gave it up.
    Released,
}

#[derive(Serialize, Deserialize, Default)]
struct Data {
    #[serde(default)]
    holder: String,
}

impl Note {
    /// What cannot be read is somebody else's, of a release that is not known here.
    pub(super) fn of(event: &RecordedEvent) -> Self {
        if event.event_type().as_str() == RELEASED {
            return Self::Released;
        }
        let data: Data = serde_json::from_slice(event.data()).unwrap_or_default();
        Self::Taken { holder: data.holder }
    }

    pub(super) fn event(&self, world: &dyn World) -> EventData {
        let (name, holder) = match self {
            Self::Taken { holder } => (TAKEN, holder.clone()),
            Self::Released => (RELEASED, String::new()),
        };
        let data = serde_json::to_vec(&Data { holder }).expect("a string becomes JSON");
        EventData::new(new_id(world), EventType::trusted(Arc::from(name)), data)
    }
}

pub(super) fn new_id(world: &dyn World) -> Uuid {
    uuid_v7(world.now(), world.random(), world.random())
}
