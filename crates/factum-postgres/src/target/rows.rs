//! Rows of a generation: by key, in the order of the keys' bytes.

use super::On;
use factum_app::projection::target::{List, RowChange, StoredRow, is_listed};
use factum_core::{Bytes, Position};
use sqlx::{Row, postgres::PgRow};
use std::collections::HashMap;

/// Rows that are looked at together where a list leaves some out.
const PAGE_ROWS: u32 = 512;
/// Rows of generations that are gone which one commit removes.
const SWEPT_MAX: i64 = 4096;

/// A view and a generation of it.
type Of = (i64, i64);

/// Rows in the order of the keys.
pub(super) async fn load(
    on: &mut On<'_>,
    (view, generation): Of,
    keys: &[String],
) -> Result<Vec<Option<StoredRow>>, sqlx::Error> {
    let sql = "SELECT key, at, data FROM {s}.factum_view_rows
        WHERE view = $1 AND generation = $2 AND key = ANY ($3)";
    let loading = on.query(sql).bind(view).bind(generation).bind(bytes(keys));
    let mut found = HashMap::with_capacity(keys.len());
    for row in loading.fetch_all(&mut *on.connection).await? {
        let row = stored(&row)?;
        found.insert(row.key.clone(), row);
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

fn bytes(keys: &[String]) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.clone().into_bytes()).collect()
}

/// A key as it was given.
pub(super) fn key_of(bytes: Vec<u8>) -> Result<String, sqlx::Error> {
    String::from_utf8(bytes).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn stored(row: &PgRow) -> Result<StoredRow, sqlx::Error> {
    let data: &str = row.try_get(2)?;
    Ok(StoredRow {
        key: key_of(row.try_get(0)?)?,
        at: Position(row.try_get::<i64, _>(1)?.cast_unsigned()),
        data: Bytes::copy_from_slice(data.as_bytes()),
    })
}

/// Puts rows, and takes those that are to go. Each key is there once.
pub(super) async fn write(
    on: &mut On<'_>,
    (view, generation): Of,
    changes: &[RowChange],
) -> Result<(), sqlx::Error> {
    let (mut keys, mut places, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let mut gone = Vec::new();
    for RowChange { key, at, data } in changes {
        let Some(data) = data else {
            gone.push(key.clone().into_bytes());
            continue;
        };
        keys.push(key.clone().into_bytes());
        places.push(at.0.cast_signed());
        rows.push(text(data)?.to_owned());
    }
    if !keys.is_empty() {
        let sql = "INSERT INTO {s}.factum_view_rows
            SELECT $1, $2, * FROM unnest($3::bytea[], $4::bigint[], $5::text[])
            ON CONFLICT (view, generation, key)
            DO UPDATE SET at = excluded.at, data = excluded.data";
        let putting = on.query(sql).bind(view).bind(generation).bind(keys).bind(places);
        putting.bind(rows).execute(&mut *on.connection).await?;
    }
    if !gone.is_empty() {
        let sql = "DELETE FROM {s}.factum_view_rows
            WHERE view = $1 AND generation = $2 AND key = ANY ($3)";
        let taking = on.query(sql).bind(view).bind(generation).bind(gone);
        taking.execute(&mut *on.connection).await?;
    }
    Ok(())
}

/// A row's JSON, which is kept as the text that it is.
fn text(data: &Bytes) -> Result<&str, sqlx::Error> {
    std::str::from_utf8(data).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Rows behind a key, with a prefix, with fields.
pub(super) async fn list(
    on: &mut On<'_>,
    of: Of,
    list: &List,
) -> Result<Vec<StoredRow>, sqlx::Error> {
    let limit = list.limit as usize;
    let page = if list.fields.is_empty() { list.limit } else { PAGE_ROWS };
    let (mut listed, mut after) = (Vec::new(), list.after.clone());
    while listed.len() < limit {
        let rows = page_of(on, of, (list, after.as_deref(), page)).await?;
        let count = rows.len();
        after = rows.last().map(|row| row.key.clone());
        let left = limit - listed.len();
        listed.extend(rows.into_iter().filter(|row| is_listed(list, row)).take(left));
        if count < page as usize {
            break;
        }
    }
    Ok(listed)
}

async fn page_of(
    on: &mut On<'_>,
    (view, generation): Of,
    (list, after, page): (&List, Option<&str>, u32),
) -> Result<Vec<StoredRow>, sqlx::Error> {
    let sql = "SELECT key, at, data FROM {s}.factum_view_rows
        WHERE view = $1 AND generation = $2
            AND key >= greatest(coalesce($3, ''::bytea), coalesce($4, ''::bytea))
            AND ($3 IS NULL OR key <> $3)
            AND ($4 IS NULL OR substring(key FROM 1 FOR octet_length($4)) = $4)
        ORDER BY key LIMIT $5";
    let listing = on.query(sql).bind(view).bind(generation);
    let listing = listing.bind(after.map(|after| after.as_bytes().to_vec()));
    let listing = listing.bind(list.prefix.clone().map(String::into_bytes)).bind(i64::from(page));
    listing.fetch_all(&mut *on.connection).await?.iter().map(stored).collect()
}

/// Removes some rows of a generation that is gone.
pub(super) async fn sweep(on: &mut On<'_>) -> Result<(), sqlx::Error> {
    // Whoever sweeps already is not waited for.
    let sql = "SELECT view, generation FROM {s}.factum_view_garbage
        LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = on.query(sql).fetch_optional(&mut *on.connection).await? else {
        return Ok(());
    };
    let (view, generation): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let some = "DELETE FROM {s}.factum_view_rows WHERE view = $1 AND generation = $2 AND key IN (
        SELECT key FROM {s}.factum_view_rows WHERE view = $1 AND generation = $2 LIMIT $3)";
    let swept = on.query(some).bind(view).bind(generation).bind(SWEPT_MAX);
    if swept.execute(&mut *on.connection).await?.rows_affected() < SWEPT_MAX.cast_unsigned() {
        let done = "DELETE FROM {s}.factum_view_garbage WHERE view = $1 AND generation = $2";
        let done = on.query(done).bind(view).bind(generation);
        done.execute(&mut *on.connection).await?;
    }
    Ok(())
}
