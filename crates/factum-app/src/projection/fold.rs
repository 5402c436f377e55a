//! Rows in memory that nobody keeps: a view as it was, or one row on demand.

use super::{Projection, Row, apply};
use crate::{
    App, Envelope,
    consumer::EventError,
    event::{DecodeError, DecodePolicy, Decoder},
    personal::{KeyError, Keys},
};
use factum_core::{EventStore, Position, Read, ReadError, RecordedEvent, next_batch};
use std::collections::HashMap;

/// Why rows could not be made.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum FoldError {
    /// The store did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A fact cannot be read. Nothing is shown without it.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The keys of personal data could not be had. See whether it
    /// [is retryable](KeyError::is_retryable).
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The projection cannot apply a fact.
    #[error(transparent)]
    Apply(#[from] EventError),
}

/// Rows, and the events that made them so.
pub(crate) struct Fold<P> {
    pub(crate) rows: HashMap<String, Option<P>>,
    /// The only key that is wanted.
    only: Option<String>,
    decode: DecodePolicy,
}

impl<P: Projection> Fold<P> {
    pub(crate) fn new(only: Option<String>, decode: DecodePolicy) -> Self {
        Self { rows: HashMap::new(), only, decode }
    }

    /// All that a read gives; answers the head that it saw.
    pub(crate) async fn read(&mut self, app: &App, read: Read) -> Result<Position, FoldError> {
        let mut reading = app.store().read(read).await?;
        while let Some(batch) = next_batch(&mut reading.batches).await {
            let events = batch?.events;
            let keys = Keys::of_batch(app.key_store(), &events).await?;
            for event in &events {
                self.take(event, keys.as_ref())?;
            }
        }
        Ok(reading.head)
    }

    fn take(&mut self, recorded: &RecordedEvent, keys: Option<&Keys>) -> Result<(), FoldError> {
        let decoder = Decoder { policy: self.decode, keys };
        let mut result = Ok(());
        decoder.envelope(recorded)?.for_each(|event| {
            if result.is_ok() {
                result = self.apply(&event);
            }
        });
        result
    }

    /// In place: after an error the rows are not used.
    fn apply(&mut self, event: &Envelope<P::Event>) -> Result<(), FoldError> {
        for key in P::keys(event) {
            if self.only.as_ref().is_some_and(|only| *only != key) {
                continue;
            }
            let slot = match self.rows.get_mut(&key) {
                Some(slot) => slot,
                None => self.rows.entry(key.clone()).or_default(),
            };
            let mut row = Row::new(key, slot.take());
            if let Err(why) = apply(&mut row, event) {
                return Err(EventError::new(event.recorded(), why.0).for_key(row.key).into());
            }
            *slot = row.value;
        }
        Ok(())
    }
}
