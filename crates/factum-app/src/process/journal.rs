//! Where instances and the checkpoint of a process are: in the store, and nowhere else.

use super::{
    desk::{Desk, Key},
    record::{Record, STEP_TAKEN, Step},
};
use crate::{Metadata, consumer::Failure};
use factum_core::{
    AnyStore, Direction, EventData, EventStore, EventType, Expected, Freshness, InvalidName,
    Position, Query, Read, RecordedEvent, StreamMetadata, StreamName, StreamState, Uuid,
    next_batch,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// The type of the events of a checkpoint.
const CHECKPOINT: &str = "process.checkpoint.taken";

/// How far a process is. All that may be outstanding are the instances named here, and those that
/// took a step after `steps`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Every event up to here was taken.
    pub(crate) events: u64,
    pub(crate) steps: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) named: Vec<String>,
}

/// An instance as it is stored: what its stream must be like for the next step, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) expected: Expected,
    pub(crate) record: Option<Record>,
}

/// Why an instance could not be read.
#[derive(thiserror::Error, Debug)]
pub(crate) enum JournalError {
    #[error(transparent)]
    Read(#[from] factum_core::ReadError),
    #[error("the key makes no stream: {0}")]
    Name(#[from] InvalidName),
    #[error("stream {stream:?} cannot be an instance's: {why}")]
    Foreign { stream: StreamName, why: String },
}

/// The streams of a process.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    store: AnyStore,
    category: Arc<str>,
    pub(crate) checkpoint: StreamName,
    step_type: EventType,
    checkpoint_type: EventType,
}

impl Journal {
    pub(crate) fn new(store: AnyStore, process: &str) -> Result<Self, InvalidName> {
        let category: Arc<str> = format!("process.{process}").into();
        Ok(Self {
            store,
            checkpoint: StreamName::new(&format!("checkpoint-{category}"))?,
            category,
            step_type: EventType::new(STEP_TAKEN)?,
            checkpoint_type: EventType::new(CHECKPOINT)?,
        })
    }

    /// All steps of all instances.
    pub(crate) fn query(&self) -> Query {
        Query::category(&self.category)
    }

    pub(crate) fn stream(&self, key: &str) -> Result<StreamName, InvalidName> {
        StreamName::new(&format!("{}-{key}", self.category))
    }

    /// An instance, from its last step.
    pub(crate) async fn load(&self, key: &str) -> Result<Held, JournalError> {
        let stream = self.stream(key)?;
        let reading = self.store.read(last(&stream)).await?;
        let expected = match reading.state {
            None | Some(StreamState::Absent) => Expected::NoStream,
            Some(StreamState::Live { last } | StreamState::Deleted { last }) => Expected::At(last),
            Some(StreamState::Tombstoned) => {
                return Err(JournalError::Foreign { stream, why: "it is tombstoned".into() });
            }
        };
        let last = reading.events().await?.into_iter().next();
        let record = last.map(|event| step_of(&event).map(|step| step.instance)).transpose()?;
        Ok(Held { expected, record })
    }

    /// All steps of an instance, as they were taken.
    pub(crate) async fn steps(
        &self,
        key: &str,
    ) -> Result<Vec<(RecordedEvent, Step)>, JournalError> {
        let read = Read::stream(self.stream(key)?);
        let events = self.store.read(Read { freshness: Freshness::Current, ..read }).await?;
        let steps = events.events().await?.into_iter();
        steps.map(|event| step_of(&event).map(|step| (event, step))).collect()
    }

    /// A step, ready to be appended.
    pub(crate) fn step(
        &self,
        id: Uuid,
        step: &Step,
        metadata: &Metadata,
    ) -> Result<EventData, serde_json::Error> {
        let data = EventData::new(id, self.step_type.clone(), serde_json::to_vec(step)?);
        Ok(data.with_metadata(serde_json::to_vec(metadata)?))
    }

    /// A checkpoint, ready to be appended.
    pub(crate) fn checkpoint_event(
        &self,
        id: Uuid,
        checkpoint: &Checkpoint,
    ) -> Result<EventData, serde_json::Error> {
        let data = serde_json::to_vec(checkpoint)?;
        Ok(EventData::new(id, self.checkpoint_type.clone(), data))
    }

    /// The last checkpoint, and what its stream must be like for the next.
    pub(crate) async fn saved(&self) -> Result<(Option<Checkpoint>, Expected), Failure> {
        let reading = self.store.read(last(&self.checkpoint)).await?;
        let expected = match reading.state {
            Some(StreamState::Live { last } | StreamState::Deleted { last }) => Expected::At(last),
            _ => Expected::NoStream,
        };
        let Some(event) = reading.events().await?.into_iter().next() else {
            return Ok((None, expected));
        };
        let saved = serde_json::from_slice(event.data());
        let saved = saved.map_err(|error| {
            Failure::fatal(format!("{} at {}: {error}", self.checkpoint, event.position()))
        })?;
        Ok((Some(saved), expected))
    }

    /// Keeps the last checkpoint only. Not needed, so that it may fail.
    pub(crate) async fn keep_one_checkpoint(&self) {
        let one = StreamMetadata { max_count: Some(1), ..StreamMetadata::default() };
        let change = factum_core::Change::SetMetadata(one);
        let _ = self.store.change(&self.checkpoint, change, Some(Expected::NoStream)).await;
    }

    /// Puts on the desk what is outstanding. Answers up to where that is known.
    pub(crate) async fn recover(
        &self,
        from: &Checkpoint,
        desk: &mut Desk,
    ) -> Result<Position, Failure> {
        let read = Read {
            from: Some(from.steps.saturating_add(1)),
            freshness: Freshness::Current,
            ..Read::query(self.query())
        };
        let mut reading = self.store.read(read).await?;
        for key in &from.named {
            let held = self.load(key).await.map_err(JournalError::into_failure)?;
            if let Some(record) = held.record {
                desk.put(&key.as_str().into(), Position::START, &record);
            }
        }
        let mut before = Position(from.steps);
        let mut latest: HashMap<Key, (Position, Record)> = HashMap::new();
        while let Some(batch) = next_batch(&mut reading.batches).await {
            for event in batch?.events {
                if event.event_type().as_str() != STEP_TAKEN {
                    continue;
                }
                let key = self.key_of(&event);
                let record = step_of(&event).map_err(JournalError::into_failure)?.instance;
                match record.is_outstanding() {
                    true => latest.insert(key, (before, record)),
                    false => {
                        desk.put(&key, before, &record);
                        latest.remove(&key)
                    }
                };
                before = event.position();
            }
        }
        for (key, (since, record)) in latest {
            desk.put(&key, since, &record);
        }
        Ok(reading.head)
    }

    fn key_of(&self, event: &RecordedEvent) -> Key {
        let key = event.stream().as_str().get(self.category.len() + 1..);
        key.unwrap_or_default().into()
    }
}

impl JournalError {
    /// Where no event is to blame.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Read(error) => error.into(),
            other => Failure::fatal(other),
        }
    }
}

fn last(stream: &StreamName) -> Read {
    Read {
        direction: Direction::Backward,
        limit: Some(1),
        freshness: Freshness::Current,
        ..Read::stream(stream.clone())
    }
}

fn step_of(event: &RecordedEvent) -> Result<Step, JournalError> {
    let stream = event.stream();
    let foreign = |why: String| JournalError::Foreign { stream: stream.clone(), why };
    if event.event_type().as_str() != STEP_TAKEN {
        let why = format!("{} at {} is no step", event.event_type(), event.position());
        return Err(foreign(why));
    }
    serde_json::from_slice(event.data())
        .map_err(|error| foreign(format!("the step at {}: {error}", event.position())))
}
