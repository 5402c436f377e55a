//! Reading: a cursor, which takes one batch after the other, each in a transaction of its own.
//!
//! What a read may see is fixed by the head that it began with, so that batches of different
//! transactions fit together: nothing below a head ever changes or comes late.

mod batches;
mod plan;
mod rows;

pub use batches::SqliteBatches;
pub(crate) use plan::Plan;

use crate::{
    heads,
    select::{Selection, Span},
    shared::Shared,
};
use factum_core::{
    Batch, Position, RecordedEvent, StreamName, Timestamp, judge::StreamHead, page::PAGE_BYTES_MAX,
};
use plan::Scope;
use rows::{Rows, Wanted};
use sqlx::SqliteConnection;

/// Events in one batch, at most.
const BATCH_EVENTS_MAX: usize = 4096;
/// Rows that are looked at for the first batch.
const ROWS_FIRST: usize = 1024;
/// Rows that are looked at, at least, where they are wanted.
const ROWS_MIN: usize = 16;

/// A place in the store.
#[derive(Debug)]
pub(crate) struct Cursor {
    plan: Plan,
    selection: Option<Selection>,
    /// So many rows are looked at next: about as many as a batch holds.
    rows: usize,
    /// The last checkpoint.
    reached: u64,
}

/// What of a stream may be seen.
struct Visible {
    first: u64,
    last: u64,
    max_age: Option<StreamHead>,
    now: Timestamp,
}

impl Visible {
    fn of(head: &StreamHead, now: Timestamp) -> Option<Self> {
        let last = head.last.filter(|_| !head.tombstoned)?;
        let max_age = head.metadata.max_age_s.is_some().then(|| head.clone());
        Some(Self { first: head.metadata.first_visible(last).0, last: last.0, max_age, now })
    }

    fn has(&self, event: &RecordedEvent) -> bool {
        let expired = |head: &StreamHead| head.metadata.is_expired(event.recorded_at(), self.now);
        !self.max_age.as_ref().is_some_and(expired)
    }
}

/// What was found for a batch.
#[derive(Default)]
struct Filled {
    events: Vec<RecordedEvent>,
    /// Where to go on; `None` at the end.
    rest: Option<Span>,
    /// At the end: the last place that was looked at.
    seen: Option<u64>,
}

impl Cursor {
    pub(crate) fn new(plan: Plan) -> Self {
        let selection = match &plan.scope {
            Scope::Query(query) => Selection::of(query),
            Scope::Stream(_) => None,
        };
        let until = plan.until.map_or(0, |until| until.saturating_add(1));
        Self { reached: if plan.backward { until } else { 0 }, selection, rows: ROWS_FIRST, plan }
    }

    /// Whether it goes on for ever.
    pub(crate) fn is_live(&self) -> bool {
        self.plan.until.is_none()
    }

    /// Reads the next batch, which may be empty, in the transaction that is open.
    pub(crate) async fn next_batch(
        &mut self,
        connection: &mut SqliteConnection,
        shared: &Shared,
    ) -> Result<Batch, sqlx::Error> {
        let until = match self.plan.until {
            Some(until) => until,
            None => heads::head(&mut *connection).await?,
        };
        let filled = match self.plan.left {
            0 => Filled::default(),
            _ => match self.plan.scope.clone() {
                Scope::Stream(stream) => {
                    self.of_stream(connection, shared, (stream, until)).await?
                }
                Scope::Query(_) => self.of_query(connection, shared, until).await?,
            },
        };
        Ok(self.batch(filled, until))
    }

    /// Makes a batch of what was found, and moves on.
    fn batch(&mut self, filled: Filled, until: u64) -> Batch {
        let Filled { events, rest, seen } = filled;
        self.plan.left = self.plan.left.saturating_sub(events.len() as u64);
        let ended = rest.is_none();
        self.plan.go_on(rest, seen);
        let end = if self.plan.backward { 0 } else { until };
        let last = events.last().map(|event| event.position().0);
        let reached = match (&self.plan.scope, rest) {
            (Scope::Query(_), Some(rest)) if self.plan.backward => rest.last.saturating_add(1),
            (Scope::Query(_), Some(rest)) => rest.first - 1,
            _ => last.unwrap_or(self.reached),
        };
        self.reached = if ended && self.plan.left > 0 { end } else { reached };
        let caught_up = ended || self.plan.left == 0;
        Batch { events, through: Position(self.reached), caught_up }
    }

    async fn of_query(
        &mut self,
        connection: &mut SqliteConnection,
        shared: &Shared,
        until: u64,
    ) -> Result<Filled, sqlx::Error> {
        let Some(span) = self.plan.span(until) else { return Ok(Filled::default()) };
        let limit = self.plan.rows_max(self.rows);
        let (wanted, rest) = match &mut self.selection {
            None => (Wanted::All { span, limit }, None),
            Some(selection) => {
                let hits = selection.next(connection, span, limit).await?;
                if hits.positions.is_empty() {
                    return Ok(Filled {
                        rest: hits.rest,
                        seen: Some(span.last),
                        ..Filled::default()
                    });
                }
                (Wanted::Positions { positions: hits.positions, span }, hits.rest)
            }
        };
        let rows = self.read(connection, shared, &wanted).await?;
        // Rows may end before what was wanted, by their bytes: then it goes on behind the last.
        let rest = if rows.is_all { rest } else { rows.last.and_then(|last| span.past(last)) };
        Ok(self.filled(rows.events, span, rest, |_| true))
    }

    async fn of_stream(
        &mut self,
        connection: &mut SqliteConnection,
        shared: &Shared,
        (stream, until): (StreamName, u64),
    ) -> Result<Filled, sqlx::Error> {
        let (head, id) = match self.plan.head.clone() {
            Some(known) => known,
            None => heads::stream_head(&mut *connection, &stream).await?,
        };
        let visible = Visible::of(&head, shared.options.clock.now());
        let (Some(visible), Some(id)) = (visible, id) else { return Ok(Filled::default()) };
        let Some(span) = self.plan.span(visible.last) else { return Ok(Filled::default()) };
        let span = Span { first: span.first.max(visible.first), ..span };
        if span.first > span.last {
            return Ok(Filled::default());
        }
        let limit = self.plan.rows_max(self.rows);
        let wanted = Wanted::Stream { id, span, limit, until };
        let rows = self.read(connection, shared, &wanted).await?;
        let last = rows.events.last().map(|event| event.revision().0);
        let rest = if rows.is_all { None } else { last.and_then(|last| span.past(last)) };
        Ok(self.filled(rows.events, span, rest, |event| visible.has(event)))
    }

    /// Reads rows, and learns from them how many to look at next.
    async fn read(
        &mut self,
        connection: &mut SqliteConnection,
        shared: &Shared,
        wanted: &Wanted,
    ) -> Result<Rows, sqlx::Error> {
        let rows = Rows::read(connection, shared, wanted).await?;
        self.rows = match rows.is_cut {
            true => rows.events.len().max(ROWS_MIN),
            false if rows.bytes < PAGE_BYTES_MAX as u64 / 2 => {
                (self.rows * 2).min(BATCH_EVENTS_MAX)
            }
            false => self.rows,
        };
        Ok(rows)
    }

    /// Takes of what was read what is wanted, and as much as is wanted.
    fn filled(
        &self,
        read: Vec<RecordedEvent>,
        span: Span,
        rest: Option<Span>,
        is_visible: impl Fn(&RecordedEvent) -> bool,
    ) -> Filled {
        let left = usize::try_from(self.plan.left).unwrap_or(usize::MAX);
        let occurred_by = self.plan.occurred_by;
        let had = |event: &RecordedEvent| {
            occurred_by.is_none_or(|moment| event.occurred_at() <= moment) && is_visible(event)
        };
        let mut wanted = read.into_iter().filter(had);
        let events: Vec<RecordedEvent> = wanted.by_ref().take(left).collect();
        let is_cut = wanted.next().is_some();
        let place = |event: &RecordedEvent| self.plan.place(event);
        let rest = match is_cut {
            true => events.last().and_then(|last| span.past(place(last))),
            false => rest,
        };
        Filled { events, rest, seen: Some(span.last) }
    }
}
