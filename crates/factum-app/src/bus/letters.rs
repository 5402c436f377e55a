//! Dead letters as they are stored: each consumer and lane has a stream,
//! `deadletters.CONSUMER-LANE`.
//!
//! A letter's payload is the event's, byte for byte; what else is known of the event, and why it is
//! here, is the letter's metadata. A lane is what waits together: a key, or a stream where the key
//! is not known.

use crate::{
    App, Metadata,
    consumer::{EventError, Failure},
};
use factum_core::{
    AnyStore, Append, AppendError, Check, ContentType, EventData, EventStore, EventType, Freshness,
    InvalidName, Position, Query, Read, ReadError, RecordedEvent, Revision, StreamName, Timestamp,
    Uuid, next_batch,
    page::{PageBuilder, Place},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// How many letters a consumer may have before it stops.
const LETTERS_MAX: u64 = 10_000;
/// How many bytes of letters go into one append, unless a single one is larger.
const APPEND_BYTES_MAX: usize = 4 << 20;
/// How often an append is sent, at most, where its outcome is unknown or the store is busy.
const SENDS_MAX: u32 = 8;

const ADDED: &str = "deadletter.added";
const RELEASED: &str = "deadletter.released";
const SETTLED: &str = "deadletter.settled";

/// What is known of an event that became a letter.
#[derive(Debug, Serialize, Deserialize)]
struct Cover {
    position: u64,
    stream: String,
    revision: u64,
    id: Uuid,
    r#type: String,
    binary: bool,
    recorded_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    occurred_at: Option<i64>,
    metadata: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

/// Bytes in JSON: as text, where they are text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Raw(Vec<u8>),
}

/// What somebody decided about a letter.
#[derive(Debug, Serialize, Deserialize)]
struct Settled {
    position: u64,
    how: String,
}

/// A letter, opened.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) event: RecordedEvent,
    pub(crate) error: Option<String>,
    pub(crate) attempts: u32,
}

/// What waits together.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// By position.
    pub(crate) letters: BTreeMap<u64, Row>,
    /// They are to be handed over again.
    released: bool,
    settled: Vec<u64>,
}

/// The stream of a lane.
pub(crate) fn stream(consumer: &str, lane: &str) -> Result<StreamName, InvalidName> {
    StreamName::new(&format!("{}-{lane}", category(consumer)))
}

/// A category ends at the first `-`, so that a name has none here.
fn category(consumer: &str) -> String {
    format!("deadletters.{}", consumer.replace('%', "%25").replace('-', "%2D"))
}

fn lane_of_stream(stream: &StreamName) -> String {
    format!("$stream-{stream}")
}

fn event(id: Uuid, name: &str, data: impl Into<factum_core::Bytes>) -> EventData {
    EventData::new(id, EventType::new(name).expect("the names in here are names"), data)
}

/// That a lane is to be handed over again.
pub(crate) fn released(id: Uuid) -> EventData {
    event(id, RELEASED, "{}")
}

/// That a letter is done with.
pub(crate) fn settled(id: Uuid, position: Position, how: &str) -> EventData {
    let settled = Settled { position: position.0, how: how.to_owned() };
    event(id, SETTLED, serde_json::to_vec(&settled).expect("numbers and text are JSON"))
}

fn added(id: Uuid, of: &RecordedEvent, error: Option<String>) -> EventData {
    let metadata = match std::str::from_utf8(of.metadata()) {
        Ok(text) => Bytes::Text(text.to_owned()),
        Err(_) => Bytes::Raw(of.metadata().to_vec()),
    };
    let cover = Cover {
        position: of.position().0,
        stream: of.stream().to_string(),
        revision: of.revision().0,
        id: of.id(),
        r#type: of.event_type().to_string(),
        binary: of.content_type() == ContentType::Binary,
        recorded_at: of.recorded_at().0,
        occurred_at: of.occurred_at_given().map(|at| at.0),
        metadata,
        error,
        tags: of.tags().iter().map(ToString::to_string).collect(),
    };
    let cover = serde_json::to_vec(&cover).expect("numbers and text are JSON");
    let data = factum_core::Bytes::copy_from_slice(of.data());
    let letter = event(id, ADDED, data).with_metadata(cover);
    EventData { content_type: of.content_type(), ..letter }
}

/// The letter, as the event that it was.
fn open(letter: &RecordedEvent) -> Option<(u64, Row)> {
    let cover: Cover = serde_json::from_slice(letter.metadata()).ok()?;
    let place = Place {
        stream: StreamName::new(&cover.stream).ok()?,
        revision: Revision(cover.revision),
        position: Position(cover.position),
        recorded_at: Timestamp(cover.recorded_at),
    };
    let metadata = match cover.metadata {
        Bytes::Text(text) => text.into_bytes(),
        Bytes::Raw(raw) => raw,
    };
    let tags = cover.tags.iter().map(|tag| factum_core::Tag::new(tag));
    let mut builder = PageBuilder::default();
    let data = EventData {
        id: cover.id,
        event_type: EventType::new(&cover.r#type).ok()?,
        content_type: letter.content_type(),
        data: letter.data_bytes(),
        metadata: metadata.into(),
        tags: tags.collect::<Result<_, _>>().ok()?,
        occurred_at: cover.occurred_at.map(Timestamp),
    };
    builder.push_data(place, &data);
    let event = builder.build().pop()?;
    let attempts = u32::from(cover.error.is_some());
    Some((cover.position, Row { event, error: cover.error, attempts }))
}

/// The lanes of a consumer in which something waits, or was settled.
async fn read_lanes(store: &AnyStore, consumer: &str) -> Result<BTreeMap<String, Lane>, ReadError> {
    let category = category(consumer);
    let read = Read::query(Query::category(&category));
    let mut reading = store.read(Read { freshness: Freshness::Current, ..read }).await?;
    let mut lanes: BTreeMap<String, Lane> = BTreeMap::new();
    while let Some(batch) = next_batch(&mut reading.batches).await {
        for event in batch?.events {
            let name = event.stream().as_str().get(category.len() + 1..).unwrap_or_default();
            lanes.entry(name.to_owned()).or_default().apply(&event);
        }
    }
    Ok(lanes)
}

/// The lanes of a consumer in which something waits.
pub(crate) async fn read_all(
    store: &AnyStore,
    consumer: &str,
) -> Result<BTreeMap<String, Lane>, ReadError> {
    let mut lanes = read_lanes(store, consumer).await?;
    lanes.retain(|_, lane| !lane.letters.is_empty());
    Ok(lanes)
}

impl Lane {
    fn apply(&mut self, event: &RecordedEvent) {
        match event.event_type().as_str() {
            ADDED => {
                let Some((position, row)) = open(event) else { return };
                // One that failed again: nothing is to be handed over any more.
                self.released &= row.error.is_none();
                let attempts = self.letters.get(&position).map_or(0, |before| before.attempts);
                let attempts = attempts + row.attempts;
                self.letters.insert(position, Row { attempts, ..row });
            }
            RELEASED => self.released = true,
            SETTLED => {
                let Ok(settled) = serde_json::from_slice::<Settled>(event.data()) else { return };
                self.letters.remove(&settled.position);
                self.settled.push(settled.position);
            }
            _ => {}
        }
        self.released &= !self.letters.is_empty();
    }
}

/// The letters of a running consumer: which lanes are held up, and what is to be written.
pub(crate) struct Letters {
    consumer: Arc<str>,
    /// What waits, by position.
    lanes: HashMap<String, HashSet<u64>>,
    /// What was settled, and may come again, as it is after the checkpoint.
    settled: HashSet<(String, u64)>,
    released: Vec<(String, Vec<RecordedEvent>)>,
    written: Vec<(StreamName, EventData)>,
    /// Written in one append with what was done.
    settling: Vec<(StreamName, EventData)>,
    app: App,
    /// That this instance of the app has the consumer.
    pub(crate) fence: Option<Check>,
}

impl Letters {
    pub(crate) fn new(app: App, consumer: &str) -> Self {
        Self {
            consumer: consumer.into(),
            lanes: HashMap::new(),
            settled: HashSet::new(),
            released: Vec::new(),
            written: Vec::new(),
            settling: Vec::new(),
            app,
            fence: None,
        }
    }

    /// Forgets what is not durable, and reads the rest.
    pub(crate) async fn load(&mut self, after: Position) -> Result<(), Failure> {
        self.written.clear();
        self.settling.clear();
        self.lanes.clear();
        self.settled.clear();
        self.released.clear();
        for (name, lane) in read_lanes(self.app.store(), &self.consumer).await? {
            let settled = lane.settled.iter().filter(|position| **position > after.0);
            self.settled.extend(settled.map(|position| (name.clone(), *position)));
            if lane.released {
                let events = lane.letters.values().map(|row| row.event.clone()).collect();
                self.released.push((name.clone(), events));
            }
            if !lane.letters.is_empty() {
                self.lanes.insert(name, lane.letters.into_keys().collect());
            }
        }
        Ok(())
    }

    /// What is to be handed over again, lane by lane.
    pub(crate) fn take_released(&mut self) -> Vec<(String, Vec<RecordedEvent>)> {
        std::mem::take(&mut self.released)
    }

    /// Whether an event is not to be handled: it waits behind a letter, or was dealt with.
    pub(crate) fn hold(&mut self, event: &RecordedEvent, key: &str) -> Result<bool, Failure> {
        let position = event.position().0;
        for lane in [lane_of_stream(event.stream()), key.to_owned()] {
            if self.settled.contains(&(lane.clone(), position)) {
                return Ok(true);
            }
            if self.lanes.contains_key(&lane) {
                self.write(event, lane, None)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An event failed for good.
    pub(crate) fn add(&mut self, event: &RecordedEvent, error: &EventError) -> Result<(), Failure> {
        let lane = error.key.clone().unwrap_or_else(|| lane_of_stream(event.stream()));
        if self.settled.contains(&(lane.clone(), event.position().0)) {
            return Ok(());
        }
        self.write(event, lane, Some(error.why.clone()))
    }

    fn write(
        &mut self,
        event: &RecordedEvent,
        lane: String,
        error: Option<String>,
    ) -> Result<(), Failure> {
        let stream = stream(&self.consumer, &lane).map_err(Failure::fatal)?;
        if self.lanes.entry(lane).or_default().insert(event.position().0) {
            self.written.push((stream, added(self.id(), event, error)));
        }
        if self.count() > LETTERS_MAX {
            return Err(Failure::fatal(format!(
                "{} has more than {LETTERS_MAX} dead letters: replay or discard some",
                self.consumer
            )));
        }
        Ok(())
    }

    /// A letter that was handed over again is done.
    pub(crate) fn settle(&mut self, lane: &str, position: Position) -> Result<(), Failure> {
        if let Some(positions) = self.lanes.get_mut(lane) {
            positions.remove(&position.0);
            if positions.is_empty() {
                self.lanes.remove(lane);
            }
        }
        self.settled.insert((lane.to_owned(), position.0));
        let stream = stream(&self.consumer, lane).map_err(Failure::fatal)?;
        self.settling.push((stream, settled(self.id(), position, "replayed")));
        Ok(())
    }

    /// A letter that was handed over again failed again.
    pub(crate) fn failed_again(
        &mut self,
        lane: &str,
        event: &RecordedEvent,
        why: String,
    ) -> Result<(), Failure> {
        let stream = stream(&self.consumer, lane).map_err(Failure::fatal)?;
        self.written.push((stream, added(self.id(), event, Some(why))));
        Ok(())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.lanes.values().map(|lane| lane.len() as u64).sum()
    }

    fn id(&self) -> Uuid {
        self.app.context(&Metadata::default()).id()
    }

    /// What says that letters are done: for the append with what was done.
    pub(crate) fn take_settling(&mut self) -> Vec<(StreamName, EventData)> {
        std::mem::take(&mut self.settling)
    }

    /// Makes durable what is to be written.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        let several = self.app.store().capabilities().multi_stream;
        let written = self.take_settling().into_iter().chain(std::mem::take(&mut self.written));
        let mut written = written.peekable();
        while written.peek().is_some() {
            let checks = self.fence.iter().cloned().collect();
            let mut append = Append { checks, ..Append::default() };
            let mut bytes = 0;
            while let Some((_, next)) = written.peek()
                && (append.events.is_empty() || (several && bytes < APPEND_BYTES_MAX))
            {
                bytes += next.weight();
                append.events.extend(written.next());
            }
            match self.app.send(append, SENDS_MAX).await {
                Ok(_) => {}
                Err(error) if is_away(&error) => return Err(Failure::away(error)),
                Err(error) => return Err(Failure::fatal(error)),
            }
        }
        Ok(())
    }
}

/// Another instance of the app has the consumer, or the store does not answer.
pub(super) fn is_away(error: &AppendError) -> bool {
    matches!(error, AppendError::Conflict { .. }) || error.is_retryable()
}
