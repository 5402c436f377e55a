//! Dead letters, for people: to list, to replay, to discard.

use super::letters::{self, Row};
use crate::{App, Metadata};
use factum_core::{
    Append, AppendError, Bytes, EventType, InvalidName, Position, ReadError, Revision, StreamName,
    Timestamp, Uuid,
};
use std::fmt;

/// How often an append is sent, at most, where its outcome is unknown or the store is busy.
const SENDS_MAX: u32 = 8;

/// An event that could not be handled, or that waits behind one.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetter {
    /// Whose it is.
    pub consumer: String,
    /// What waits with it: the key; `$stream-NAME` where the event does not say its key.
    pub lane: String,
    /// Why it failed; `None` where it waits behind one that did.
    pub error: Option<String>,
    /// How often it failed.
    pub attempts: u32,
    /// Where it stands.
    pub position: Position,
    /// The stream it is in.
    pub stream: StreamName,
    /// Its place there.
    pub revision: Revision,
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub event_type: EventType,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Its payload, as it was stored.
    pub data: Bytes,
    /// Its metadata, as it was stored.
    pub metadata: Bytes,
}

/// For people.
impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumer, lane, event_type, position, attempts, .. } = self;
        write!(f, "{consumer} {lane}: {event_type} at {position} ")?;
        match &self.error {
            Some(error) => write!(f, "failed {attempts} times: {error}"),
            None => write!(f, "waits"),
        }
    }
}

/// Why nothing was done about a dead letter.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// The name of a consumer or a lane makes no stream.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is none such. Somebody else may have dealt with it.
    #[error("{consumer:?} has no dead letters for {lane:?}")]
    None {
        /// Which consumer.
        consumer: String,
        /// For what.
        lane: String,
    },
    /// The store does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take what was decided.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The dead letters of an app.
#[derive(Clone, Debug)]
pub struct DeadLetters<'a>(&'a App);

impl App {
    /// The dead letters of its consumers: of every instance of the app, as they are in the store.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters(self)
    }
}

impl DeadLetters<'_> {
    /// Those of a consumer, lane by lane, in the order in which they will be replayed.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    pub async fn list(&self, consumer: &str) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let lanes = letters::read_all(self.0.store(), consumer).await?;
        let mut all = Vec::new();
        for (lane, rows) in lanes {
            all.extend(rows.letters.into_values().map(|row| dead(consumer, &lane, row)));
        }
        Ok(all)
    }

    /// Hands a lane over again, the oldest first, decoded as the program of now does it. If one
    /// fails again, it and those behind it stay.
    ///
    /// # Errors
    ///
    /// There are none such, or the store does not take it.
    pub async fn replay(&self, consumer: &str, lane: &str) -> Result<(), DeadLetterError> {
        if !letters::read_all(self.0.store(), consumer).await?.contains_key(lane) {
            let (consumer, lane) = (consumer.to_owned(), lane.to_owned());
            return Err(DeadLetterError::None { consumer, lane });
        }
        let event = letters::released(self.id());
        self.append(letters::stream(consumer, lane)?, event).await?;
        self.again(consumer);
        Ok(())
    }

    /// Leaves an event out for good. Those behind it wait for a replay.
    ///
    /// # Errors
    ///
    /// The store does not take it.
    pub async fn discard(&self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        let event = letters::settled(self.id(), letter.position, "discarded");
        self.append(letters::stream(&letter.consumer, &letter.lane)?, event).await?;
        self.again(&letter.consumer);
        Ok(())
    }

    fn id(&self) -> Uuid {
        self.0.context(&Metadata::default()).id()
    }

    async fn append(
        &self,
        stream: StreamName,
        event: factum_core::EventData,
    ) -> Result<(), DeadLetterError> {
        self.0.send(Append::to(stream, [event]), SENDS_MAX).await?;
        Ok(())
    }

    /// The consumer begins at its checkpoint again, where it sees what was decided.
    fn again(&self, consumer: &str) {
        if let Some(consumer) = self.0.consumer(consumer) {
            consumer.kick();
        }
    }
}

fn dead(consumer: &str, lane: &str, row: Row) -> DeadLetter {
    let Row { event, error, attempts } = row;
    DeadLetter {
        consumer: consumer.to_owned(),
        lane: lane.to_owned(),
        error,
        attempts,
        position: event.position(),
        stream: event.stream().clone(),
        revision: event.revision(),
        id: event.id(),
        event_type: event.event_type().clone(),
        recorded_at: event.recorded_at(),
        data: event.data_bytes(),
        metadata: event.metadata_bytes(),
    }
}
