//! The outbox's table, as this relay uses it: rows as the log has them, and what is noted there.
//!
//! A row that the log has told of and that was not published, as one with its key failed for good,
//! is marked with the slot (`claimed_by`): the log does not tell of it again. So are the rows that
//! were there before the slot. What must hold: every row that the log will not tell of again, and
//! that is not published, is marked.

use super::publish::Fate;
use crate::cdc::{
    CdcError, TableName,
    feed::{Change, Kind},
    pgoutput::Value,
    setup::code,
    table::quoted,
};
use factum_app::{
    message::{Message, Outgoing},
    outbox::{Headers, Row},
};
use factum_core::{Bytes, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};
use std::{collections::HashSet, time::Duration};

/// The columns that are read and written.
const COLUMNS: &[&str] = &[
    "sequence",
    "id",
    "aggregatetype",
    "aggregateid",
    "type",
    "payload",
    "headers",
    "attempts",
    "created_at",
    "published_at",
    "claimed_by",
    "claimed_until",
    "dead_at",
    "error",
];
/// Rows that are deleted at a time.
const SWEEP_MAX: i64 = 1_000;
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::int8 * 1000";

/// A row as it was read.
pub(super) enum Found {
    Whole(Row),
    Damaged(Damaged),
}

/// A row that cannot be published: somebody else wrote it, with headers that are none.
pub(super) struct Damaged {
    /// It has what stands in columns of their own.
    row: Row,
    headers: String,
    why: String,
}

impl Found {
    /// Puts a row's headers where they belong.
    fn restored(mut row: Row, headers: &str) -> Self {
        match Headers::restore(headers, row.outgoing.message.clone()) {
            Ok(message) => {
                row.outgoing.message = message;
                Self::Whole(row)
            }
            Err(error) => {
                let why = format!("row {}: its headers: {error}", row.sequence);
                Self::Damaged(Damaged { row, headers: headers.to_owned(), why })
            }
        }
    }
}

/// The table, for one slot.
#[derive(Clone, Debug)]
pub(super) struct Table {
    name: TableName,
    /// How its rows are marked.
    mark: String,
    slot: String,
}

impl Table {
    pub(super) fn new(name: &TableName, slot: &str) -> Self {
        Self { name: name.clone(), mark: format!("slot {slot}"), slot: slot.to_owned() }
    }

    /// A statement in which `{t}` is the table, `{s}` its schema, and `{now}` the time.
    fn sql(&self, sql: &str) -> AssertSqlSafe<String> {
        let sql = sql.replace("{t}", &self.name.quoted()).replace("{now}", NOW);
        AssertSqlSafe(sql.replace("{s}", &quoted(self.name.schema())))
    }

    /// Refuses a table that is no outbox.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<(), CdcError> {
        let sql = "SELECT x.name::text FROM unnest($1::text[]) AS x(name) WHERE NOT EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = to_regclass($2) AND attname = x.name
                AND NOT attisdropped)";
        let missing: Option<String> = sqlx::query_scalar(sql)
            .bind(COLUMNS)
            .bind(self.name.quoted())
            .fetch_optional(connection)
            .await?;
        match missing {
            None => Ok(()),
            Some(column) => Err(CdcError::NoOutbox { name: self.name.to_string(), column }),
        }
    }

    /// Makes the table of slots where it is missing: also for a slot that an operator made.
    pub(super) async fn make_slots(&self, connection: &mut PgConnection) -> Result<(), CdcError> {
        let name = format!("{}.factum_outbox_slots", quoted(self.name.schema()));
        let sql = "SELECT to_regclass($1) IS NULL";
        if !sqlx::query_scalar(sql).bind(&name).fetch_one(&mut *connection).await? {
            return Ok(());
        }
        let cure = format!("CREATE TABLE IF NOT EXISTS {name} (slot text PRIMARY KEY)");
        let made = sqlx::raw_sql(AssertSqlSafe(cure.clone())).execute(connection).await;
        match made {
            Ok(_) => Ok(()),
            // Another one made it in the same moment.
            Err(error) if matches!(code(&error), Some("42P07" | "23505")) => Ok(()),
            Err(error) if code(&error) == Some("42501") => {
                Err(CdcError::NoRight { why: error.to_string(), cure })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets that the rows before the slot are marked: whenever it is seen to be gone, whoever
    /// makes it anew.
    pub(super) async fn forget(&self, connection: &mut PgConnection) -> Result<(), CdcError> {
        let sql = self.sql("DELETE FROM {s}.factum_outbox_slots WHERE slot = $1");
        sqlx::query(sql).bind(&self.slot).execute(connection).await?;
        Ok(())
    }

    /// The same where an outcome says that it is gone.
    pub(super) async fn forget_if_gone<T>(
        &self,
        connection: &mut PgConnection,
        outcome: Result<T, CdcError>,
    ) -> Result<T, CdcError> {
        if outcome.as_ref().is_err_and(CdcError::is_of_slot_gone) {
            self.forget(connection).await?;
        }
        outcome
    }

    /// Marks the rows that were there before the slot, once: some of what came since may be among
    /// them, and is then published twice.
    pub(super) async fn adopt(&self, connection: &mut PgConnection) -> Result<(), CdcError> {
        let sql = self.sql(
            "WITH first AS (INSERT INTO {s}.factum_outbox_slots VALUES ($1)
                ON CONFLICT DO NOTHING RETURNING 1)
            UPDATE {t} SET claimed_by = $2, claimed_until = NULL
            WHERE published_at IS NULL AND EXISTS (SELECT FROM first)",
        );
        let query = sqlx::query(sql).bind(&self.slot).bind(&self.mark);
        query.execute(connection).await?;
        Ok(())
    }

    /// Marked rows that no dead one holds up, the oldest first, up to one that is damaged.
    pub(super) async fn free(
        &self,
        connection: &mut PgConnection,
        rows_max: usize,
    ) -> Result<(Vec<Row>, Option<Damaged>), CdcError> {
        let sql = self.sql(
            "SELECT sequence, id, aggregatetype, aggregateid, type, payload, headers::text,
                attempts, created_at
            FROM {t} AS one WHERE published_at IS NULL AND dead_at IS NULL AND claimed_by = $1
                AND NOT EXISTS (SELECT FROM {t} AS before WHERE before.published_at IS NULL
                    AND before.aggregateid = one.aggregateid AND before.sequence < one.sequence
                    AND before.dead_at IS NOT NULL)
            ORDER BY sequence LIMIT $2",
        );
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let query = sqlx::query(sql).bind(&self.mark).bind(limit);
        let mut whole = Vec::new();
        for row in &query.fetch_all(connection).await? {
            match stored(row)? {
                Found::Whole(row) => whole.push(row),
                // What is behind it with its key waits.
                Found::Damaged(damaged) => return Ok((whole, Some(damaged))),
            }
        }
        Ok((whole, None))
    }

    /// Whether any row is marked, dead ones included.
    pub(super) async fn has_marked(&self, connection: &mut PgConnection) -> Result<bool, CdcError> {
        let sql = "SELECT EXISTS (SELECT FROM {t} WHERE published_at IS NULL AND claimed_by = $1)";
        let query = sqlx::query_scalar(self.sql(sql)).bind(&self.mark);
        Ok(query.fetch_one(connection).await?)
    }

    /// Those of the rows' keys of which rows are marked.
    pub(super) async fn blocked(
        &self,
        connection: &mut PgConnection,
        rows: &[Row],
    ) -> Result<HashSet<String>, CdcError> {
        let keys = rows.iter().filter_map(|row| row.outgoing.message.key.clone());
        let sql = self.sql(
            "SELECT DISTINCT aggregateid FROM {t}
            WHERE published_at IS NULL AND claimed_by = $1 AND aggregateid = ANY ($2)",
        );
        let query = sqlx::query_scalar(sql).bind(&self.mark).bind(keys.collect::<Vec<_>>());
        Ok(query.fetch_all(connection).await?.into_iter().collect())
    }

    /// Those of the rows whose fate is noted already: the server has forgotten, in a crash, what
    /// was confirmed to it last, or was not told in time.
    pub(super) async fn noted(
        &self,
        connection: &mut PgConnection,
        rows: &[Row],
    ) -> Result<HashSet<u64>, CdcError> {
        let sql = "SELECT sequence FROM {t} WHERE sequence = ANY ($1)
            AND (published_at IS NOT NULL OR claimed_by = $2)";
        let sequences = rows.iter().map(|row| row.sequence.cast_signed()).collect::<Vec<_>>();
        let query = sqlx::query_scalar::<_, i64>(self.sql(sql)).bind(sequences).bind(&self.mark);
        let noted = query.fetch_all(connection).await?;
        Ok(noted.into_iter().map(i64::cast_unsigned).collect())
    }

    /// Notes what became of rows, durably. One that is gone from the table and has to wait is
    /// written again; that row of the log is then passed over.
    pub(super) async fn note(
        &self,
        connection: &mut PgConnection,
        fates: &[(&Row, &Fate)],
    ) -> Result<(), CdcError> {
        use sqlx::Connection;
        let mut all = connection.begin().await?;
        sqlx::raw_sql("SET LOCAL synchronous_commit = on").execute(&mut *all).await?;
        let published = fates.iter().filter(|(_, fate)| **fate == Fate::Published);
        let published = published.map(|(row, _)| row.sequence.cast_signed()).collect::<Vec<_>>();
        let sql = self.sql(
            "UPDATE {t} SET published_at = {now}, claimed_by = NULL, claimed_until = NULL,
                retry_at = NULL, dead_at = NULL, error = NULL
            WHERE sequence = ANY ($1) AND published_at IS NULL",
        );
        sqlx::query(sql).bind(published).execute(&mut *all).await?;
        for (row, fate) in fates {
            let error = match fate {
                Fate::Published => continue,
                Fate::Dead { error } => Some(error.as_str()),
                Fate::Waits => None,
            };
            let headers = Headers::json_of(&row.outgoing.message);
            self.mark(&mut all, (row, headers), error).await?;
        }
        all.commit().await?;
        Ok(())
    }

    /// Gives up a row that is damaged, durably: it would be met again at each start.
    pub(super) async fn bury(
        &self,
        connection: &mut PgConnection,
        damaged: Damaged,
    ) -> Result<(), CdcError> {
        use sqlx::Connection;
        let Damaged { row, headers, why } = damaged;
        let mut all = connection.begin().await?;
        sqlx::raw_sql("SET LOCAL synchronous_commit = on").execute(&mut *all).await?;
        self.mark(&mut all, (&row, headers), Some(&why)).await?;
        all.commit().await?;
        Ok(())
    }

    async fn mark(
        &self,
        connection: &mut PgConnection,
        (row, headers): (&Row, String),
        error: Option<&str>,
    ) -> Result<(), CdcError> {
        // A row of the log that was tried before is none that it tells of first: it has attempts.
        let sql = self.sql(
            "INSERT INTO {t} (sequence, id, aggregatetype, aggregateid, type, payload, headers,
                created_at, attempts, claimed_by, dead_at, error)
            OVERRIDING SYSTEM VALUE
            VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, 1, $9,
                CASE WHEN $10::text IS NULL THEN NULL ELSE {now} END, $10)
            ON CONFLICT (sequence) DO UPDATE SET claimed_by = $9,
                attempts = {t}.attempts + ($10::text IS NOT NULL)::int,
                claimed_until = NULL, dead_at = coalesce({t}.dead_at, excluded.dead_at),
                error = coalesce(excluded.error, {t}.error)
            WHERE {t}.published_at IS NULL",
        );
        let Outgoing { topic, message } = &row.outgoing;
        let query = sqlx::query(sql)
            .bind(row.sequence.cast_signed())
            .bind(&message.id)
            .bind(topic)
            .bind(message.key.as_deref())
            .bind(&message.name)
            .bind(&message.data[..])
            .bind(headers)
            .bind(row.created_at.0)
            .bind(&self.mark)
            .bind(error);
        query.execute(connection).await?;
        Ok(())
    }

    /// Deletes rows that were published so long ago; whether there may be more.
    pub(super) async fn sweep(
        &self,
        connection: &mut PgConnection,
        keep: Duration,
    ) -> Result<bool, CdcError> {
        let sql = self.sql(
            "DELETE FROM {t} WHERE sequence IN (SELECT sequence FROM {t}
                WHERE published_at < {now} - $1 ORDER BY published_at LIMIT $2)",
        );
        let keep = i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX);
        let swept = sqlx::query(sql).bind(keep).bind(SWEEP_MAX).execute(connection).await?;
        Ok(swept.rows_affected() >= SWEEP_MAX.unsigned_abs())
    }
}

fn malformed(why: impl std::fmt::Display) -> CdcError {
    CdcError::Undecodable { why: format!("a row of the outbox: {why}") }
}

fn stored(row: &PgRow) -> Result<Found, CdcError> {
    let message = Message {
        id: row.try_get(1)?,
        key: row.try_get(3)?,
        name: row.try_get(4)?,
        data: Bytes::from(row.try_get::<Vec<u8>, _>(5)?),
        ..Message::default()
    };
    let bare = Row {
        sequence: row.try_get::<i64, _>(0)?.cast_unsigned(),
        outgoing: Outgoing { topic: row.try_get(2)?, message },
        attempts: row.try_get::<i32, _>(7)?.cast_unsigned(),
        created_at: Timestamp(row.try_get(8)?),
    };
    Ok(Found::restored(bare, row.try_get(6)?))
}

/// The row that a change of the log tells of; none where it is no new one.
pub(super) fn told(change: &Change) -> Result<Option<Found>, CdcError> {
    let Kind::Insert { after } = &change.kind else { return Ok(None) };
    let value = |name: &str| {
        let place = change.table.columns.iter().position(|column| column.name == name);
        match place.and_then(|place| after.get(place)) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        }
    };
    let text = |name: &str| value(name).ok_or_else(|| malformed(format!("{name} is not there")));
    let number = |name: &str| text(name)?.parse::<i64>().map_err(malformed);
    let attempts = number("attempts")?;
    if attempts > 0 || value("dead_at").is_some() || value("published_at").is_some() {
        return Ok(None);
    }
    let message = Message {
        id: text("id")?.to_owned(),
        key: value("aggregateid").map(str::to_owned),
        name: text("type")?.to_owned(),
        data: hex(text("payload")?)?,
        ..Message::default()
    };
    let bare = Row {
        sequence: number("sequence")?.cast_unsigned(),
        outgoing: Outgoing { topic: text("aggregatetype")?.to_owned(), message },
        attempts: 0,
        created_at: Timestamp(number("created_at")?),
    };
    Ok(Some(Found::restored(bare, text("headers")?)))
}

/// Bytes as PostgreSQL writes them.
fn hex(text: &str) -> Result<Bytes, CdcError> {
    let digits = text.strip_prefix("\\x").ok_or_else(|| malformed("its payload is no bytea"))?;
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return Err(malformed("its payload ends in half a byte"));
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().map(Bytes::from).ok_or_else(|| malformed("no hexadecimal"))
}
