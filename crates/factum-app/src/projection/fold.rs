//! Rows in memory that nobody keeps: a view as it was, or one row on demand.

use super::{Projection, Row, apply};
use crate::{
    Envelope,
    consumer::EventError,
    event::{DecodeError, DecodePolicy},
};
use factum_core::{AnyStore, EventStore, Position, Read, ReadError, RecordedEvent, next_batch};
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
    pub(crate) async fn read(
        &mut self,
        store: &AnyStore,
        read: Read,
    ) -> Result<Position, FoldError> {
        let mut reading = store.read(read).await?;
        while let Some(batch) = next_batch(&mut reading.batches).await {
            for event in &batch?.events {
                self.take(event)?;
            }
        }
        Ok(reading.head)
    }

    pub(crate) fn take(&mut self, recorded: &RecordedEvent) -> Result<(), FoldError> {
        let mut result = Ok(());
        Envelope::decode_under(recorded, self.decode)?.for_each(|event| {
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
