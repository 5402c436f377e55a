//! The heads of streams: what their last events and their metadata say, up to a position.

use crate::shared::Shared;
use factum_core::{Revision, StreamMetadata, StreamName, judge::StreamHead, system};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::sync::Arc;

/// A number as PostgreSQL has it: what is past the largest one is no event's.
pub(crate) fn sql_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The heads of these streams, in their order.
pub(crate) async fn of(
    shared: &Shared,
    connection: &mut PgConnection,
    streams: &[StreamName],
    until: u64,
) -> Result<Vec<StreamHead>, sqlx::Error> {
    let names: Vec<&str> = streams.iter().map(StreamName::as_str).collect();
    let asking = shared.query(&shared.statements.heads).bind(names).bind(sql_number(until));
    let rows = asking.fetch_all(connection).await?;
    streams.iter().zip(&rows).map(|(stream, row)| head(stream, row)).collect()
}

fn head(stream: &StreamName, row: &PgRow) -> Result<StreamHead, sqlx::Error> {
    let last: Option<i64> = row.try_get(0)?;
    let set: Option<&[u8]> = row.try_get(2)?;
    let metadata = set.and_then(|json| StreamMetadata::from_json(json).ok());
    Ok(StreamHead {
        last: last.map(|last| Revision(last.cast_unsigned())),
        tombstoned: row.try_get::<Option<&str>, _>(1)? == Some(system::STREAM_DELETED),
        metadata: Arc::new(metadata.unwrap_or_else(|| StreamMetadata::initial(stream))),
    })
}

/// The head of one stream.
pub(crate) async fn of_one(
    shared: &Shared,
    connection: &mut PgConnection,
    stream: &StreamName,
    until: u64,
) -> Result<StreamHead, sqlx::Error> {
    let heads = of(shared, connection, std::slice::from_ref(stream), until).await?;
    heads.into_iter().next().ok_or(sqlx::Error::RowNotFound)
}

/// The tracked position of a source.
pub(crate) async fn tracked(
    shared: &Shared,
    connection: &mut PgConnection,
    source: &str,
) -> Result<Option<u64>, sqlx::Error> {
    let asking = shared.query(&shared.statements.tracked).bind(source.to_owned());
    let Some(row) = asking.fetch_optional(connection).await? else { return Ok(None) };
    let number: &str = row.try_get(0)?;
    number.parse().map(Some).map_err(|_| sqlx::Error::Decode("a tracked position".into()))
}
