//! A projection inline: in the transaction of the events themselves, by a store that has one.
//!
//! Apart from the consumer: nothing here waits. The store asks which rows the events of an append
//! are about, reads them, and writes the changes, all in the transaction of the append. An error
//! refuses the append: an inline projection has no other policy.

use super::{
    FoldError, Projection, Row, TargetError, apply, decode,
    target::{RowChange, StoredRow},
};
use crate::{Envelope, consumer::EventError};
use factum_core::RecordedEvent;
use std::collections::HashMap;

/// Why rows were not changed. The append is to be refused.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum InlineError {
    /// An event cannot be read or applied.
    #[error(transparent)]
    Event(#[from] FoldError),
    /// A row that is stored does not fit its type.
    #[error(transparent)]
    Row(#[from] TargetError),
    /// A row does not become JSON. Correct its `Serialize`.
    #[error("the row {key:?} does not become JSON: {source}")]
    Json {
        /// Which.
        key: String,
        /// What the encoder says.
        source: serde_json::Error,
    },
}

/// The keys of the rows that events are about, each once.
///
/// # Errors
///
/// An event of the projection cannot be read.
pub fn inline_keys<P: Projection>(events: &[RecordedEvent]) -> Result<Vec<String>, InlineError> {
    let mut keys = Vec::new();
    each::<P>(events, |event| {
        keys.extend(P::keys(event));
        Ok(())
    })?;
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// What becomes of these rows by events; `rows` are those that there are of [`inline_keys`].
///
/// # Errors
///
/// An event cannot be read or applied, or a row is of another form.
pub fn inline_changes<P: Projection>(
    events: &[RecordedEvent],
    rows: impl IntoIterator<Item = StoredRow>,
) -> Result<Vec<RowChange>, InlineError> {
    let mut held: HashMap<String, Row<P>> = HashMap::new();
    for stored in rows {
        let row = Row::new(stored.key.clone(), Some(decode(&stored)?));
        held.insert(stored.key, row);
    }
    each::<P>(events, |event| {
        for key in P::keys(event) {
            let row = held.entry(key.clone()).or_insert_with(|| Row::new(key.clone(), None));
            apply(row, event).map_err(|why| {
                FoldError::from(EventError::new(event.recorded(), why.0).for_key(key))
            })?;
        }
        Ok(())
    })?;
    let mut changes = Vec::new();
    for (key, row) in held.into_iter().filter(|(_, row)| row.changed) {
        let data = row.value.as_ref().map(serde_json::to_vec).transpose();
        let data = data.map_err(|source| InlineError::Json { key: key.clone(), source })?;
        changes.push(RowChange { key, at: row.at, data: data.map(Into::into) });
    }
    changes.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(changes)
}

fn each<P: Projection>(
    events: &[RecordedEvent],
    mut take: impl FnMut(&Envelope<P::Event>) -> Result<(), FoldError>,
) -> Result<(), InlineError> {
    for recorded in events {
        let mut done = Ok(());
        let decoded = Envelope::decode(recorded).map_err(FoldError::from)?;
        decoded.for_each(|event| {
            if done.is_ok() {
                done = take(&event);
            }
        });
        done?;
    }
    Ok(())
}
