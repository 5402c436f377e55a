//! Reading: a cursor over the tables, which takes one batch after the other, each one statement.
//!
//! What a read may see is fixed by the head that it began with. Nothing below a settled head ever
//! changes or comes late, so that statements of different snapshots fit together, and no
//! transaction is held: a slow consumer is a place in the store.

mod batches;
mod rows;

pub use batches::PostgresBatches;

use crate::{heads, select::Selecting, shared::Shared, tail, terms::Locks};
use factum_core::{
    AsOf, Batch, Freshness, Position, Read, Select, StreamState, Timestamp,
    cursor::{Cursor, Filled, Found, Plan, Scope, Span, Visible},
};
use rows::Page;
use sqlx::{PgConnection, QueryBuilder};

/// What a read begins with.
pub(crate) struct Begun {
    pub(crate) head: Position,
    pub(crate) state: Option<StreamState>,
    pub(crate) cursor: Cursor,
    pub(crate) first: Batch,
}

/// Begins a read: its head first, then what stream it is about, then the first batch.
pub(crate) async fn begin(
    shared: &Shared,
    connection: &mut PgConnection,
    read: Read,
) -> Result<Begun, sqlx::Error> {
    let head = match read.freshness {
        Freshness::Settled => tail::settled(shared, connection).await?.head,
        Freshness::Current => current(shared, connection, &read.select).await?,
    };
    let of_stream = match &read.select {
        Select::Stream(stream) => Some(heads::of_one(shared, connection, stream, head).await?),
        Select::Query(_) => None,
    };
    let until = match read.as_of {
        AsOf::Position(position) => position.0.min(head),
        AsOf::Recorded(moment) => recorded_by(shared, connection, (moment, head)).await?,
        AsOf::Now | AsOf::Occurred(_) => head,
    };
    let state = of_stream.as_ref().map(factum_core::judge::StreamHead::state);
    let mut cursor = Cursor::new(Plan::of_read(read, Position(until), of_stream));
    let first = next_batch(shared, connection, (&mut cursor, until)).await?;
    Ok(Begun { head: Position(head), state, cursor, first })
}

/// The head for a decision: who writes what is selected was waited for.
async fn current(
    shared: &Shared,
    connection: &mut PgConnection,
    select: &Select,
) -> Result<u64, sqlx::Error> {
    let mut locks = Locks::new(shared.place.seed);
    match select {
        Select::Stream(stream) => locks.read(stream),
        Select::Query(query) => locks.query(query),
    }
    let (keys, exclusive) = locks.arrays();
    let asking = shared.query(&shared.statements.current_head).bind(keys).bind(exclusive);
    let row = asking.bind(shared.lock_timeout()).fetch_one(connection).await?;
    rows::number(&row, 0)
}

async fn recorded_by(
    shared: &Shared,
    connection: &mut PgConnection,
    (moment, head): (Timestamp, u64),
) -> Result<u64, sqlx::Error> {
    let asking = shared.query(&shared.statements.recorded_by).bind(moment.0);
    let row = asking.bind(heads::sql_number(head)).fetch_one(connection).await?;
    rows::number(&row, 0)
}

/// Reads the next batch, which may be empty, up to a position.
pub(crate) async fn next_batch(
    shared: &Shared,
    connection: &mut PgConnection,
    (cursor, until): (&mut Cursor, u64),
) -> Result<Batch, sqlx::Error> {
    let filled = match cursor.scope() {
        _ if cursor.is_done() => Filled::default(),
        Scope::Stream(_) => of_stream(shared, connection, (cursor, until)).await?,
        Scope::Query(_) => of_query(shared, connection, (cursor, until)).await?,
    };
    Ok(cursor.batch(filled, until))
}

async fn of_query(
    shared: &Shared,
    connection: &mut PgConnection,
    (cursor, until): (&mut Cursor, u64),
) -> Result<Filled, sqlx::Error> {
    let Scope::Query(query) = cursor.scope() else { return Ok(Filled::default()) };
    let Some(span) = cursor.span(until) else { return Ok(Filled::default()) };
    let mut page = page_of(shared, span, cursor.rows_max());
    let found = match page.selecting.query(&mut page.builder, query) {
        true => page.read(connection, "position").await?,
        false => Found::default(),
    };
    Ok(cursor.fill(found, span))
}

async fn of_stream(
    shared: &Shared,
    connection: &mut PgConnection,
    (cursor, until): (&mut Cursor, u64),
) -> Result<Filled, sqlx::Error> {
    let Scope::Stream(stream) = cursor.scope().clone() else { return Ok(Filled::default()) };
    let head = match cursor.head() {
        Some(known) => known.clone(),
        None => heads::of_one(shared, connection, &stream, until).await?,
    };
    let now = match head.metadata.max_age_s {
        Some(_) => shared.time(connection).await?,
        None => Timestamp::default(),
    };
    let Some(visible) = Visible::of(&head, now) else { return Ok(Filled::default()) };
    let Some(span) = cursor.span_of_stream(&visible) else { return Ok(Filled::default()) };
    let mut page = page_of(shared, span, cursor.rows_max());
    page.selecting.stream(&mut page.builder, stream.as_str(), until);
    let found = page.read(connection, "revision").await?;
    Ok(cursor.fill_of_stream(found, span, &visible))
}

fn page_of(shared: &Shared, span: Span, limit: usize) -> Page<'_> {
    let selecting = Selecting { schema: &shared.place.schema, span, limit };
    let builder = QueryBuilder::new(rows::BEFORE);
    Page { selecting, builder, is_named: !shared.options.pooler }
}
