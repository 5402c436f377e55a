//! What a store must answer, worked out anew: a list of events, and a few maps.
//!
//! Nothing here is taken from the engine or from its order of judgement; it is what the
//! documentation promises, written down as simply as it goes. Ids of events that the store writes
//! by itself, and recorded times, are not foretold.

mod judge;
mod scavenge;
mod truth;

pub use scavenge::{Fate, scavenged};
pub use truth::{Truth, Visible};

use factum_core::{
    Append, AppendError, Change, ContentType, EventData, EventType, Expected, Receipt,
    RecordedEvent, StreamMetadata, StreamName, StreamState, Tag, Timestamp, Uuid,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What a store is asked to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// An append.
    Append(Append),
    /// A change of a stream.
    Change(StreamName, Change, Option<Expected>),
}

/// An event as it must come back.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: u64,
    /// What it says.
    pub said: Said,
}

/// What an event says.
#[derive(Clone, Debug)]
pub struct Said {
    /// `None`: the store's own choice.
    pub id: Option<Uuid>,
    /// Its type.
    pub event_type: EventType,
    /// What its data is.
    pub content_type: ContentType,
    /// Its data.
    pub data: Vec<u8>,
    /// Its metadata.
    pub metadata: Vec<u8>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// When it happened.
    pub occurred_at: Option<Timestamp>,
}

impl From<&EventData> for Said {
    fn from(event: &EventData) -> Self {
        Self {
            id: Some(event.id),
            event_type: event.event_type.clone(),
            content_type: event.content_type,
            data: event.data.to_vec(),
            metadata: event.metadata.to_vec(),
            tags: event.tags.clone(),
            occurred_at: event.occurred_at,
        }
    }
}

impl Event {
    /// Whether this is it.
    #[must_use]
    pub fn is(&self, event: &RecordedEvent) -> bool {
        let said = &self.said;
        self.stream == *event.stream()
            && self.revision == event.revision().0
            && said.id.is_none_or(|id| id == event.id())
            && said.event_type == *event.event_type()
            && said.content_type == event.content_type()
            && said.data == event.data()
            && said.metadata == event.metadata()
            && said.tags == event.tags()
            && said.occurred_at == event.occurred_at_given()
    }
}

/// A stream.
#[derive(Clone, Debug, Default)]
struct Stream {
    /// How many events it has.
    len: u64,
    tombstoned: bool,
    metadata: Option<StreamMetadata>,
}

/// The state of a store.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// All events, in order.
    pub events: Vec<Arc<Event>>,
    /// Tracked positions.
    pub tracked: BTreeMap<String, u64>,
    streams: HashMap<StreamName, Stream>,
    /// Those of `events` that a scavenge took.
    gone: BTreeSet<usize>,
    /// Where each (stream, id) stands in `events`.
    ids: HashMap<(StreamName, Uuid), usize>,
}

impl Model {
    /// What the store must answer, and does.
    pub fn perform(&mut self, task: &Task) -> Result<Receipt, AppendError> {
        match task {
            Task::Append(append) => self.append(append),
            Task::Change(stream, change, expected) => self.change(stream, change, *expected),
        }
    }

    /// Whether these are all of the events.
    pub fn compare(&self, events: &[RecordedEvent]) -> Result<(), String> {
        let left = self.events.iter().enumerate().filter(|(nth, _)| !self.gone.contains(nth));
        for ((nth, expected), found) in left.zip(events) {
            if !expected.is(found) || found.position().0 != nth as u64 + 1 {
                return Err(format!("position {}: {found:?} instead of {expected:?}", nth + 1));
            }
        }
        let count = self.events.len() - self.gone.len();
        match events.len() == count {
            true => Ok(()),
            false => Err(format!("{} events instead of {count}", events.len())),
        }
    }

    /// What a stream is.
    #[must_use]
    pub fn state_of(&self, stream: &StreamName) -> StreamState {
        self.state(stream)
    }

    /// Whether a stream has an event with this id.
    #[must_use]
    pub fn knows(&self, stream: &StreamName, id: Uuid) -> bool {
        self.ids.contains_key(&(stream.clone(), id))
    }

    fn push(&mut self, stream: &StreamName, said: Said) -> u64 {
        let revision = self.streams.get(stream).map_or(0, |known| known.len);
        if let Some(id) = said.id {
            self.ids.insert((stream.clone(), id), self.events.len());
        }
        if let Some(of) = stream.metadata_of() {
            let metadata = StreamMetadata::from_json(&said.data).expect("the model wrote it");
            self.streams.entry(of).or_default().metadata = Some(metadata);
        }
        let known = self.streams.entry(stream.clone()).or_default();
        known.len += 1;
        known.tombstoned = said.event_type.as_str() == "$streamDeleted";
        self.events.push(Arc::new(Event { stream: stream.clone(), revision, said }));
        revision
    }
}
