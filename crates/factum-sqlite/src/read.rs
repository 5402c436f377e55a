//! Reading: a cursor over the file, which takes one batch after the other, each in a transaction of
//! its own.
//!
//! What a read may see is fixed by the head that it began with, so that batches of different
//! transactions fit together: nothing below a head ever changes or comes late.

mod batches;
mod rows;

pub use batches::SqliteBatches;

use crate::{heads, select::Selection, shared::Shared};
use factum_core::{
    Batch, StreamName,
    cursor::{Cursor, Filled, Plan, Scope, Visible},
};
use rows::{Rows, Wanted};
use sqlx::SqliteConnection;

/// A place in the store.
#[derive(Debug)]
pub(crate) struct Reader {
    cursor: Cursor,
    selection: Option<Selection>,
    /// The number of a read's stream: once its head is known, so is that.
    number: Option<i64>,
}

impl Reader {
    /// Of what is planned; of a stream whose head is in the plan with its number, if it has one.
    pub(crate) fn new(plan: Plan, number: Option<i64>) -> Self {
        let cursor = Cursor::new(plan);
        let selection = match cursor.scope() {
            Scope::Query(query) => Selection::of(query),
            Scope::Stream(_) => None,
        };
        Self { cursor, selection, number }
    }

    /// Whether it goes on for ever.
    pub(crate) fn is_live(&self) -> bool {
        self.cursor.is_live()
    }

    /// Reads the next batch, which may be empty, in the transaction that is open.
    pub(crate) async fn next_batch(
        &mut self,
        connection: &mut SqliteConnection,
        shared: &Shared,
    ) -> Result<Batch, sqlx::Error> {
        let until = match self.cursor.until() {
            Some(until) => until,
            None => heads::head(&mut *connection).await?,
        };
        let filled = match self.cursor.scope().clone() {
            _ if self.cursor.is_done() => Filled::default(),
            Scope::Stream(stream) => self.of_stream(connection, shared, (stream, until)).await?,
            Scope::Query(_) => self.of_query(connection, shared, until).await?,
        };
        Ok(self.cursor.batch(filled, until))
    }

    async fn of_query(
        &mut self,
        connection: &mut SqliteConnection,
        shared: &Shared,
        until: u64,
    ) -> Result<Filled, sqlx::Error> {
        let Some(span) = self.cursor.span(until) else { return Ok(Filled::default()) };
        let limit = self.cursor.rows_max();
        let (wanted, rest) = match &mut self.selection {
            None => (Wanted::All { span, limit }, None),
            Some(selection) => {
                let hits = selection.next(connection, span, limit).await?;
                if hits.positions.is_empty() {
                    return Ok(self.cursor.pass(hits.rest, span));
                }
                (Wanted::Positions { positions: hits.positions, span }, hits.rest)
            }
        };
        let rows = Rows::read(connection, shared, &wanted).await?;
        // Rows may end before what was wanted, by their bytes: then it goes on behind the last.
        let rest = if rows.is_all { rest } else { rows.last.and_then(|last| span.past(last)) };
        Ok(self.cursor.fill(rows.found(rest), span))
    }

    async fn of_stream(
        &mut self,
        connection: &mut SqliteConnection,
        shared: &Shared,
        (stream, until): (StreamName, u64),
    ) -> Result<Filled, sqlx::Error> {
        let (head, id) = match self.cursor.head() {
            Some(known) => (known.clone(), self.number),
            None => heads::stream_head(&mut *connection, &stream).await?,
        };
        let visible = Visible::of(&head, shared.options.clock.now());
        let (Some(visible), Some(id)) = (visible, id) else { return Ok(Filled::default()) };
        let Some(span) = self.cursor.span_of_stream(&visible) else {
            return Ok(Filled::default());
        };
        let limit = self.cursor.rows_max();
        let wanted = Wanted::Stream { id, span, limit, until };
        let rows = Rows::read(connection, shared, &wanted).await?;
        let last = rows.events.last().map(|event| event.revision().0);
        let rest = if rows.is_all { None } else { last.and_then(|last| span.past(last)) };
        Ok(self.cursor.fill_of_stream(rows.found(rest), span, &visible))
    }
}
