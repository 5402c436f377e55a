//! Rows of a generation: by key, in the order of the keys' bytes.

use crate::range::end_of;
use factum_app::projection::target::{List, RowChange, StoredRow, is_listed};
use factum_core::{Bytes, Position};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};
use std::collections::HashMap;

/// Rows in one statement, at most. Fewer are written by statements of 64, 32, …, so that few
/// statements are prepared.
const ROWS_MAX: usize = 128;
/// Rows that are looked at together where a list leaves some out.
const PAGE_ROWS: u32 = 512;
/// Rows of generations that are gone which one commit removes.
const SWEPT_MAX: i64 = 4096;

/// A view and a generation of it.
type Of = (i64, i64);

/// Slices of lengths that are powers of two.
fn slices<T>(mut all: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let count = ROWS_MAX.min(1 << all.len().checked_ilog2()?);
        let (now, later) = all.split_at(count);
        all = later;
        Some(now)
    })
}

/// Rows in the order of the keys.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    (view, generation): Of,
    keys: &[String],
) -> Result<Vec<Option<StoredRow>>, sqlx::Error> {
    let mut found = HashMap::with_capacity(keys.len());
    for keys in slices(keys) {
        let mut query =
            QueryBuilder::<Sqlite>::new("SELECT key, at, data FROM factum_view_rows WHERE view = ");
        query.push_bind(view).push(" AND generation = ").push_bind(generation);
        let mut among = query.push(" AND key IN (").separated(",");
        for key in keys {
            among.push_bind(key.as_str());
        }
        query.push(")");
        for row in query.build().fetch_all(&mut *connection).await? {
            let row = stored(&row)?;
            found.insert(row.key.clone(), row);
        }
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

fn stored(row: &SqliteRow) -> Result<StoredRow, sqlx::Error> {
    let data: &str = row.try_get(2)?;
    Ok(StoredRow {
        key: row.try_get(0)?,
        at: Position(row.try_get::<i64, _>(1)?.cast_unsigned()),
        data: Bytes::copy_from_slice(data.as_bytes()),
    })
}

/// Puts rows, and takes those that are to go.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    (view, generation): Of,
    changes: &[RowChange],
) -> Result<(), sqlx::Error> {
    let (mut put, mut gone) = (Vec::new(), Vec::new());
    for RowChange { key, at, data } in changes {
        match data {
            Some(data) => put.push((key.as_str(), at.0.cast_signed(), text(data)?)),
            None => gone.push(key.as_str()),
        }
    }
    for rows in slices(&put) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO factum_view_rows ");
        query.push_values(rows, |mut row, (key, at, data)| {
            row.push_bind(view).push_bind(generation).push_bind(*key).push_bind(*at);
            row.push_bind(*data);
        });
        query.push(" ON CONFLICT DO UPDATE SET at = excluded.at, data = excluded.data");
        query.build().execute(&mut *connection).await?;
    }
    for keys in slices(&gone) {
        let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM factum_view_rows WHERE view = ");
        query.push_bind(view).push(" AND generation = ").push_bind(generation);
        let mut among = query.push(" AND key IN (").separated(",");
        for key in keys {
            among.push_bind(*key);
        }
        query.push(")").build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// A row's JSON, which SQLite keeps as text, so that its functions for JSON can be used on it.
fn text(data: &Bytes) -> Result<&str, sqlx::Error> {
    std::str::from_utf8(data).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Rows behind a key, with a prefix, with fields.
pub(super) async fn list(
    connection: &mut SqliteConnection,
    of: Of,
    list: &List,
) -> Result<Vec<StoredRow>, sqlx::Error> {
    let limit = list.limit as usize;
    let page = if list.fields.is_empty() { list.limit } else { PAGE_ROWS };
    let (mut listed, mut after) = (Vec::new(), list.after.clone());
    while listed.len() < limit {
        let rows = page_of(&mut *connection, of, (list, after.as_deref(), page)).await?;
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
    connection: &mut SqliteConnection,
    (view, generation): Of,
    (list, after, page): (&List, Option<&str>, u32),
) -> Result<Vec<StoredRow>, sqlx::Error> {
    let mut query =
        QueryBuilder::<Sqlite>::new("SELECT key, at, data FROM factum_view_rows WHERE view = ");
    query.push_bind(view).push(" AND generation = ").push_bind(generation);
    if let Some(after) = after {
        query.push(" AND key > ").push_bind(after);
    }
    if let Some(prefix) = list.prefix.as_deref() {
        query.push(" AND key >= ").push_bind(prefix);
        if let Some(end) = end_of(prefix) {
            query.push(" AND key < ").push_bind(end);
        }
    }
    for (name, value) in &list.fields {
        // SQLite looks at simple ones, so that what does not match is not copied; whether it is
        // exactly what was asked for is asked of each row that remains.
        if let (Some(text), false) = (value.as_str(), name.contains(['"', '\\', '\0'])) {
            query.push(" AND data ->> ").push_bind(format!("$.\"{name}\""));
            query.push(" = ").push_bind(text);
        }
    }
    query.push(" ORDER BY key LIMIT ").push_bind(i64::from(page));
    query.build().fetch_all(connection).await?.iter().map(stored).collect()
}

/// Removes some rows of a generation that is gone.
pub(super) async fn sweep(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let sql = "SELECT view, generation FROM factum_view_garbage LIMIT 1";
    let Some((view, generation)) =
        sqlx::query_as::<_, Of>(sql).fetch_optional(&mut *connection).await?
    else {
        return Ok(());
    };
    let some = "DELETE FROM factum_view_rows WHERE view = ?1 AND generation = ?2 AND key IN (
        SELECT key FROM factum_view_rows WHERE view = ?1 AND generation = ?2 LIMIT ?3)";
    let swept = sqlx::query(some).bind(view).bind(generation).bind(SWEPT_MAX);
    if swept.execute(&mut *connection).await?.rows_affected() < SWEPT_MAX.cast_unsigned() {
        let done = "DELETE FROM factum_view_garbage WHERE view = ? AND generation = ?";
        sqlx::query(done).bind(view).bind(generation).execute(connection).await?;
    }
    Ok(())
}
