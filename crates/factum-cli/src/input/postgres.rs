//! Rows of a table of PostgreSQL, read in one statement and so from one snapshot.
//!
//! A thread of its own reads a little ahead; the records are an iterator, as those of a file are.

use super::{Fault, InputError, Records, TableColumns};
use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection};
use std::{
    sync::mpsc::{self, SyncSender},
    thread,
};

/// How many rows are read ahead, at most.
const AHEAD_MAX: usize = 1_024;

/// A table, and the order of its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TableSource {
    /// postgres://…
    pub(crate) url: String,
    /// `table`, or `schema.table`.
    pub(crate) table: String,
    /// Column by which the rows are ordered.
    pub(crate) order: String,
    pub(crate) columns: TableColumns,
}

/// The records of a table.
pub(crate) fn records(source: TableSource) -> Result<Records, InputError> {
    let statement = statement(&source);
    let (send, rows) = mpsc::sync_channel(AHEAD_MAX);
    let url = source.url;
    let reader = thread::Builder::new().name("import".to_owned());
    reader.spawn(move || read(&url, &statement, &send)).map_err(InputError::Read)?;
    let mut number = 0;
    let each = rows.into_iter().map(move |row: Result<String, InputError>| {
        number += 1;
        source.columns.record(number, &row.map_err(Fault::File)?)
    });
    Ok(Records { header: None, each: Box::new(each) })
}

/// Each row as the JSON that the database makes of it: numbers and inner JSON stay as they are.
fn statement(source: &TableSource) -> String {
    let table: Vec<String> = source.table.split('.').map(quoted).collect();
    let (table, order) = (table.join("."), quoted(&source.order));
    format!("SELECT row_to_json(t)::text FROM {table} t ORDER BY t.{order}")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads all rows; the first error ends it. Nobody listens any more: so does that.
fn read(url: &str, statement: &str, send: &SyncSender<Result<String, InputError>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(read_all(url, statement, send)),
        Err(error) => Err(InputError::Read(error)),
    };
    if let Err(error) = done {
        // Whoever does not listen does not need to know.
        let _ = send.send(Err(error));
    }
}

async fn read_all(
    url: &str,
    statement: &str,
    send: &SyncSender<Result<String, InputError>>,
) -> Result<(), InputError> {
    let mut connection = PgConnection::connect(url).await.map_err(failure)?;
    // As other programs may have set them for this user or database.
    let plain = "SET TIME ZONE 'UTC'; SET bytea_output = 'hex'; SET DateStyle = 'ISO'";
    sqlx::raw_sql(plain).execute(&mut connection).await.map_err(failure)?;
    let query = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(statement.to_owned()));
    let mut rows = query.fetch(&mut connection);
    while let Some(row) = rows.try_next().await.map_err(failure)? {
        if send.send(Ok(row)).is_err() {
            break;
        }
    }
    Ok(())
}

fn failure(error: sqlx::Error) -> InputError {
    let why = match &error {
        sqlx::Error::Database(said) => said.to_string(),
        other => other.to_string(),
    };
    InputError::Database { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_each_by_itself() {
        let source = TableSource {
            url: String::new(),
            table: "shop.event store".to_owned(),
            order: "a\"; DROP TABLE x".to_owned(),
            columns: TableColumns::default(),
        };
        let expected = "SELECT row_to_json(t)::text FROM \"shop\".\"event store\" t \
                        ORDER BY t.\"a\"\"; DROP TABLE x\"";
        assert_eq!(statement(&source), expected);
    }
}
