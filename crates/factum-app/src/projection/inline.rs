//! A projection inline: in the transaction of the events themselves, by a store that has one.
//!
//! Apart from the consumer: nothing here waits. The store asks which rows the events of an append
//! are about, reads them, and writes the changes, all in the transaction of the append. An error
//! refuses the append: an inline projection has no other policy.

use super::{
    FoldError, Projection, Row, TargetError, apply, decode,
    target::{RowChange, StoredRow, Table},
};
use crate::{
    Envelope,
    consumer::{EventError, query_of},
    event::Unknown,
};
use factum_core::{InvalidName, Item, Query, RecordedEvent};
use std::{collections::HashMap, fmt, marker::PhantomData};

/// How many events that the rows have missed an append takes in, at most, before its own. With more
/// the rows are left to the consumer.
pub const MISSED_MAX: u64 = 1_000;

/// A projection for a store that keeps its rows in the transaction of each append, whatever its
/// type.
///
/// What such a store does, under its write lock: where the checkpoint of the generation that is
/// read stands at the last event before the append, it applies the append's events, and moves the
/// checkpoint to their last; an error refuses the append. Where the checkpoint is behind (somebody
/// wrote who did not have the projection) it applies up to [`MISSED_MAX`] events in between first.
/// Where there are more, or one of them cannot be applied, or something is parked, it leaves the
/// rows as they are: the consumer, which follows all the while, goes on from the checkpoint. When
/// that has caught up, its commit applies what is left up to the head, under the same lock. So the
/// checkpoint alone says what is in the rows, whoever wrote them, and no event is missed or applied
/// twice.
pub trait Inline: fmt::Debug + Send + Sync + 'static {
    /// Where its rows are.
    fn table(&self) -> &Table;

    /// The events that it reads.
    fn query(&self) -> &Query;

    /// As [`inline_keys`].
    ///
    /// # Errors
    ///
    /// As there.
    fn keys(&self, events: &[RecordedEvent]) -> Result<Vec<String>, InlineError>;

    /// As [`inline_changes`].
    ///
    /// # Errors
    ///
    /// As there.
    fn changes(
        &self,
        events: &[RecordedEvent],
        rows: Vec<StoredRow>,
    ) -> Result<Vec<RowChange>, InlineError>;
}

/// A projection of this type.
pub(crate) struct Inlined<P> {
    table: Table,
    query: Query,
    marker: PhantomData<fn() -> P>,
}

impl<P: Projection> Inlined<P> {
    pub(crate) fn new() -> Result<Self, InvalidName> {
        let table = Table { name: P::NAME.to_owned(), version: P::VERSION };
        let query = query_of::<P::Event>(&Item::default(), Unknown::Skip)?;
        Ok(Self { table, query, marker: PhantomData })
    }
}

impl<P> fmt::Debug for Inlined<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlined").field("table", &self.table).finish_non_exhaustive()
    }
}

impl<P: Projection> Inline for Inlined<P> {
    fn table(&self) -> &Table {
        &self.table
    }

    fn query(&self) -> &Query {
        &self.query
    }

    fn keys(&self, events: &[RecordedEvent]) -> Result<Vec<String>, InlineError> {
        inline_keys::<P>(events)
    }

    fn changes(
        &self,
        events: &[RecordedEvent],
        rows: Vec<StoredRow>,
    ) -> Result<Vec<RowChange>, InlineError> {
        inline_changes::<P>(events, rows)
    }
}

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
