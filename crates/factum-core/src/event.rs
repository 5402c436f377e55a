//! Events: one to append, and one as it was stored.

use crate::{EventType, Position, Revision, StreamName, Tag, Timestamp, page::Page};
use bytes::Bytes;
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// What an event's data is. Metadata is JSON by convention, bytes in fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum ContentType {
    /// A JSON text (`application/json`). Not checked by a store.
    #[default]
    Json,
    /// Anything else (`application/octet-stream`).
    Binary,
}

/// An event to append.
///
/// ```
/// use factum_core::{EventData, EventType, Tag, Uuid};
/// let event = EventData::new(
///     Uuid::from_u128(1),
///     EventType::new("order.placed")?,
///     r#"{"total": 12}"#,
/// )
/// .with_tags([Tag::new("customer:7")?]);
/// assert_eq!(event.tags.len(), 1);
/// # Ok::<(), factum_core::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventData {
    /// Makes a retry of the append recognisable. Not nil.
    pub id: Uuid,
    /// What happened.
    pub event_type: EventType,
    /// What `data` is.
    pub content_type: ContentType,
    /// The fact itself; may be empty.
    pub data: Bytes,
    /// What is known about the fact; comes back unchanged; may be empty.
    pub metadata: Bytes,
    /// Indexed for queries and conditions; a key may repeat.
    pub tags: Vec<Tag>,
    /// When it happened, where that is not when it is recorded.
    pub occurred_at: Option<Timestamp>,
}

impl EventData {
    /// A JSON event without metadata and tags.
    pub fn new(id: Uuid, event_type: EventType, data: impl Into<Bytes>) -> Self {
        Self {
            id,
            event_type,
            content_type: ContentType::Json,
            data: data.into(),
            metadata: Bytes::new(),
            tags: Vec::new(),
            occurred_at: None,
        }
    }

    /// The same event with these tags.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        self.tags = tags.into_iter().collect();
        self
    }

    /// The same event with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: impl Into<Bytes>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// The same event, happened at this moment.
    #[must_use]
    pub fn with_occurred_at(mut self, at: Timestamp) -> Self {
        self.occurred_at = Some(at);
        self
    }

    /// Bytes of payload: data and metadata.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.data.len() + self.metadata.len()
    }

    /// Bytes that count towards the limit of an append: payload and names.
    #[must_use]
    pub fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.as_str().len()).sum();
        self.payload_bytes() + self.event_type.as_str().len() + tags
    }
}

/// An event as it was stored. Cloning is one reference count.
///
/// It is a view into the [`Page`] that it was read with: holding one event holds that page
/// (≤ 256 KiB, unless a single event is larger). To keep a few of many, [`RecordedEvent::to_data`].
#[derive(Clone)]
pub struct RecordedEvent {
    pub(crate) page: Arc<Page>,
    pub(crate) index: u32,
}

impl RecordedEvent {
    fn slot(&self) -> &crate::page::Slot {
        self.page.slot(self.index)
    }

    /// The event's id, as its writer gave it.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.slot().id
    }

    /// The stream it is in.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        self.page.stream(self.slot())
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        self.page.event_type(self.slot())
    }

    /// Its place in the stream, from 0.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.slot().revision
    }

    /// Its place in the store, from 1.
    #[must_use]
    pub fn position(&self) -> Position {
        self.slot().position
    }

    /// When the store recorded it: never earlier than the event before it.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.slot().recorded_at
    }

    /// When it happened: as its writer said, otherwise when it was recorded.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        self.slot().occurred_at.unwrap_or(self.slot().recorded_at)
    }

    /// When it happened, if its writer said so.
    #[must_use]
    pub fn occurred_at_given(&self) -> Option<Timestamp> {
        self.slot().occurred_at
    }

    /// What the data is.
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        self.slot().content_type
    }

    /// The fact itself.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.page.bytes(&self.slot().data)
    }

    /// The fact itself, as a shared slice of the page.
    #[must_use]
    pub fn data_bytes(&self) -> Bytes {
        self.page.shared(&self.slot().data)
    }

    /// What is known about the fact.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        self.page.bytes(&self.slot().metadata)
    }

    /// What is known about the fact, as a shared slice of the page.
    #[must_use]
    pub fn metadata_bytes(&self) -> Bytes {
        self.page.shared(&self.slot().metadata)
    }

    /// Bytes of payload: data and metadata.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.data().len() + self.metadata().len()
    }

    /// The event's tags, in the order in which they were given.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        self.page.tags(&self.slot().tags)
    }

    /// A copy of what was appended, free of the page.
    #[must_use]
    pub fn to_data(&self) -> EventData {
        EventData {
            id: self.id(),
            event_type: self.event_type().clone(),
            content_type: self.content_type(),
            data: Bytes::copy_from_slice(self.data()),
            metadata: Bytes::copy_from_slice(self.metadata()),
            tags: self.tags().to_vec(),
            occurred_at: self.occurred_at_given(),
        }
    }
}

impl fmt::Debug for RecordedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedEvent")
            .field("position", &self.position())
            .field("stream", self.stream())
            .field("revision", &self.revision())
            .field("event_type", self.event_type())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl PartialEq for RecordedEvent {
    fn eq(&self, other: &Self) -> bool {
        let place = |e: &Self| (e.position(), e.revision(), e.recorded_at(), e.id());
        let said = |e: &Self| (e.content_type(), e.occurred_at_given());
        place(self) == place(other)
            && said(self) == said(other)
            && self.stream() == other.stream()
            && self.event_type() == other.event_type()
            && self.data() == other.data()
            && self.metadata() == other.metadata()
            && self.tags() == other.tags()
    }
}

impl Eq for RecordedEvent {}
