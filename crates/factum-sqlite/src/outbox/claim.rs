//! Which rows a relay may take, and rows as messages.

use factum_app::{
    message::{Message, Outgoing},
    outbox::{Claim, DeadRow, Headers, Row as OutboxRow},
};
use factum_core::{Bytes, Timestamp};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

/// A row waits while one before it, with its key, is dead, waits itself, or is somebody else's.
/// That one is looked for in the order of the key, and found first where it is the oldest.
const CLAIM: &str = "
UPDATE factum_outbox SET claimed_by = ?1, claimed_until = ?2
WHERE sequence IN (
    SELECT sequence FROM factum_outbox AS one
    WHERE published_at IS NULL AND dead_at IS NULL
        AND coalesce(retry_at, 0) <= ?3 AND coalesce(claimed_until, 0) <= ?3
        AND NOT EXISTS (
            SELECT 1 FROM factum_outbox AS before
            WHERE before.published_at IS NULL AND before.aggregateid = one.aggregateid
                AND before.sequence < one.sequence
                AND (before.dead_at IS NOT NULL OR before.retry_at > ?3
                    OR before.claimed_until > ?3))
    ORDER BY sequence LIMIT ?4)
RETURNING sequence, id, aggregatetype, aggregateid, type, payload, headers, attempts, created_at";

const DEAD: &str = "
SELECT sequence, id, aggregatetype, aggregateid, type, payload, headers, attempts, created_at,
    error, dead_at
FROM factum_outbox WHERE dead_at IS NOT NULL ORDER BY sequence LIMIT ?";

/// Whether any row waits that is not dead.
pub(super) async fn is_there(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM factum_outbox
        WHERE published_at IS NULL AND dead_at IS NULL)";
    sqlx::query_scalar(sql).fetch_one(connection).await
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claim: Claim,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let rows = sqlx::query(CLAIM)
        .bind(claim.relay)
        .bind(claim.until.0)
        .bind(claim.now.0)
        .bind(claim.rows_max)
        .fetch_all(connection)
        .await?;
    let mut rows = rows.iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
    // SQLite returns them in any order.
    rows.sort_unstable_by_key(|row| row.sequence);
    Ok(rows)
}

pub(super) async fn dead(
    connection: &mut SqliteConnection,
    rows_max: u32,
) -> Result<Vec<DeadRow>, sqlx::Error> {
    let rows = sqlx::query(DEAD).bind(rows_max).fetch_all(connection).await?;
    let dead = |row: &SqliteRow| {
        let error: Option<String> = row.try_get(9)?;
        let dead_at = Timestamp(row.try_get(10)?);
        Ok(DeadRow { row: row_of(row)?, error: error.unwrap_or_default(), dead_at })
    };
    rows.iter().map(dead).collect()
}

fn row_of(row: &SqliteRow) -> Result<OutboxRow, sqlx::Error> {
    let data: Vec<u8> = row.try_get(5)?;
    let bare = Message {
        id: row.try_get(1)?,
        key: row.try_get(3)?,
        name: row.try_get(4)?,
        data: Bytes::from(data),
        ..Message::default()
    };
    let headers: &str = row.try_get(6)?;
    let message = Headers::restore(headers, bare)
        .map_err(|error| sqlx::Error::Decode(format!("headers of the outbox: {error}").into()))?;
    Ok(OutboxRow {
        sequence: row.try_get::<i64, _>(0)?.cast_unsigned(),
        outgoing: Outgoing { topic: row.try_get(2)?, message },
        attempts: row.try_get(7)?,
        created_at: Timestamp(row.try_get(8)?),
    })
}
