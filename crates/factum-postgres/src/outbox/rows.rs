//! Rows as they are written, read and marked.

use crate::beside::Beside;
use factum_app::{
    message::{Message, Outgoing},
    outbox::{DeadRow, Headers, Outcome, Row as OutboxRow, Settled},
};
use factum_core::{Bytes, Timestamp};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::{BTreeSet, HashSet};

/// Numbers are given once the locks of the keys are held, in the order of the batch; the time is
/// the server's.
const INSERT: &str = "
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($1, key) FROM unnest($2::int4[]) AS x(key))
INSERT INTO {s}.factum_outbox
    (id, aggregatetype, aggregateid, type, payload, headers, traceparent, created_at)
SELECT id, topic, key, type, payload, headers::jsonb, traceparent,
    (extract(epoch FROM clock_timestamp()) * 1000000)::int8 * 1000
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::text[])
    WITH ORDINALITY AS x(id, topic, key, type, payload, headers, traceparent, nth)
WHERE (SELECT count(*) FROM locked) >= 0
ORDER BY nth";

/// Whoever published them, they are published.
const PUBLISHED: &str = "UPDATE {s}.factum_outbox SET published_at = $2, claimed_by = NULL,
    claimed_until = NULL, retry_at = NULL, dead_at = NULL, error = NULL
    WHERE sequence = ANY ($1) AND published_at IS NULL";
const UNPUBLISHED: &str = "UPDATE {s}.factum_outbox AS row SET attempts = attempts + x.tried,
    retry_at = x.retry_at, dead_at = x.dead_at, error = coalesce(x.error, row.error),
    claimed_by = NULL, claimed_until = NULL
    FROM unnest($2::int8[], $3::int4[], $4::int8[], $5::int8[], $6::text[])
        AS x(sequence, tried, retry_at, dead_at, error)
    WHERE row.sequence = x.sequence AND claimed_by = $1 AND published_at IS NULL";

pub(super) async fn insert(
    on: &Beside,
    connection: &mut PgConnection,
    batch: &[Outgoing],
) -> Result<(), sqlx::Error> {
    let keys = batch.iter().filter_map(|one| one.message.key.as_deref());
    // Each once and in order, so that two batches do not wait for each other.
    let locks = keys.map(|key| on.hash(key)).collect::<BTreeSet<_>>();
    let of = |get: fn(&Outgoing) -> &str| batch.iter().map(get).collect::<Vec<_>>();
    let may = |get: fn(&Message) -> Option<&str>| {
        batch.iter().map(|one| get(&one.message)).collect::<Vec<_>>()
    };
    let headers = batch.iter().map(|one| Headers::json_of(&one.message));
    on.query(INSERT)
        .bind(on.hash("keys of the outbox"))
        .bind(locks.into_iter().collect::<Vec<_>>())
        .bind(of(|one| &one.message.id))
        .bind(of(|one| &one.topic))
        .bind(may(|message| message.key.as_deref()))
        .bind(of(|one| &one.message.name))
        .bind(batch.iter().map(|one| &one.message.data[..]).collect::<Vec<_>>())
        .bind(headers.collect::<Vec<_>>())
        .bind(may(|message| message.extensions.get("traceparent").map(String::as_str)))
        .execute(connection)
        .await
        .map(drop)
}

pub(super) async fn published(
    on: &Beside,
    connection: &mut PgConnection,
    (rows, now): (Vec<i64>, Timestamp),
) -> Result<(), sqlx::Error> {
    on.query(PUBLISHED).bind(rows).bind(now.0).execute(connection).await.map(drop)
}

pub(super) async fn unpublished(
    on: &Beside,
    connection: &mut PgConnection,
    (relay, rows, now): (&str, Vec<Settled>, Timestamp),
) -> Result<(), sqlx::Error> {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Settled { sequence, outcome } in rows {
        let (tried, retry_at, dead_at, error) = match outcome {
            Outcome::Published => continue,
            Outcome::Failed { error, after } => {
                let after = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
                (1, Some(now.0.saturating_add(after)), None, Some(error))
            }
            Outcome::Dead { error } => (1, None, Some(now.0), Some(error)),
            Outcome::Untried => (0, None, None, None),
        };
        columns.0.push(sequence.cast_signed());
        columns.1.push(tried);
        columns.2.push(retry_at);
        columns.3.push(dead_at);
        columns.4.push(error);
    }
    let query = on.query(UNPUBLISHED).bind(relay.to_owned()).bind(columns.0).bind(columns.1);
    query.bind(columns.2).bind(columns.3).bind(columns.4).execute(connection).await.map(drop)
}

/// Of rows that were claimed those that can be published, in their order; and what becomes of the
/// others: one that cannot be restored is dead, and what is behind it with its key is not tried.
pub(super) fn claimed(rows: &[PgRow]) -> Result<(Vec<OutboxRow>, Vec<Settled>), sqlx::Error> {
    let rows = rows.iter().map(row_of).collect::<Result<Vec<_>, _>>();
    let mut rows = rows?;
    // They are returned in any order.
    rows.sort_unstable_by_key(|(row, _)| row.sequence);
    let (mut whole, mut others, mut blocked) = (Vec::new(), Vec::new(), HashSet::new());
    for (row, damage) in rows {
        let key = row.outgoing.message.key.clone();
        let outcome = match damage {
            Some(error) => Outcome::Dead { error: format!("row {}: {error}", row.sequence) },
            None if key.as_ref().is_some_and(|key| blocked.contains(key)) => Outcome::Untried,
            None => {
                whole.push(row);
                continue;
            }
        };
        blocked.extend(key);
        others.push(Settled { sequence: row.sequence, outcome });
    }
    Ok((whole, others))
}

/// A row; and what is wrong with it, where it cannot be restored: somebody else wrote it. It then
/// has what stands in columns of their own.
fn row_of(row: &PgRow) -> Result<(OutboxRow, Option<String>), sqlx::Error> {
    let data: Vec<u8> = row.try_get(5)?;
    let bare = Message {
        id: row.try_get(1)?,
        key: row.try_get(3)?,
        name: row.try_get(4)?,
        data: Bytes::from(data),
        ..Message::default()
    };
    let headers: &str = row.try_get(6)?;
    let (message, damage) = match Headers::restore(headers, bare.clone()) {
        Ok(message) => (message, None),
        Err(error) => (bare, Some(format!("its headers: {error}"))),
    };
    let row = OutboxRow {
        sequence: row.try_get::<i64, _>(0)?.cast_unsigned(),
        outgoing: Outgoing { topic: row.try_get(2)?, message },
        attempts: row.try_get::<i32, _>(7)?.cast_unsigned(),
        created_at: Timestamp(row.try_get(8)?),
    };
    Ok((row, damage))
}

pub(super) fn dead_of(row: &PgRow) -> Result<DeadRow, sqlx::Error> {
    let error: Option<String> = row.try_get(9)?;
    let dead_at = Timestamp(row.try_get(10)?);
    let (row, _) = row_of(row)?;
    Ok(DeadRow { row, error: error.unwrap_or_default(), dead_at })
}
