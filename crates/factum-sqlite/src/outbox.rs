//! The outbox in SQLite: `factum_outbox`, whose columns Debezium's event router knows, and what is
//! asked of it.
//!
//! What must hold: rows get their numbers under the file's one lock, so that their order is that of
//! the commits; and what a relay may take is decided under that lock too.

mod claim;
mod settle;

use crate::{
    AppendWithError, OpenError, Options, SqliteStore,
    error::{Class, stops},
};
use factum_app::{
    message::Outgoing,
    outbox::{Claim, DeadRow, Headers, Outbox, OutboxError, OutboxLag, Row, Settled},
    world::BoxFuture,
};
use factum_core::{AppendError, Timestamp};
use sqlx::SqliteConnection;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::Notify;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS factum_outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    aggregatetype TEXT NOT NULL,
    aggregateid TEXT,
    type TEXT NOT NULL,
    payload BLOB NOT NULL,
    headers TEXT NOT NULL,
    traceparent TEXT,
    created_at INTEGER NOT NULL,
    published_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,
    claimed_by TEXT,
    claimed_until INTEGER,
    dead_at INTEGER,
    error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS factum_outbox_open ON factum_outbox (sequence)
    WHERE published_at IS NULL AND dead_at IS NULL;
CREATE INDEX IF NOT EXISTS factum_outbox_by_key ON factum_outbox (aggregateid, sequence)
    WHERE published_at IS NULL;
CREATE INDEX IF NOT EXISTS factum_outbox_dead ON factum_outbox (sequence)
    WHERE dead_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS factum_outbox_published ON factum_outbox (published_at)
    WHERE published_at IS NOT NULL;
";

/// Messages that wait in a file of SQLite to be published. Clones share it.
///
/// [`enqueue`] puts them there, in a transaction of the caller's; a
/// [`Relay`](factum_app::outbox::Relay) takes them out.
///
/// ```
/// use factum_app::message::{Message, Outgoing};
/// use factum_sqlite::{Options, SqliteOutbox, SqliteStore, outbox, sqlx};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let store = SqliteStore::open_in_memory(Options::default()).await?;
/// let waiting = SqliteOutbox::beside(&store).await?;
/// let write = async |connection: &mut sqlx::SqliteConnection| {
///     // Rows of the application's own, and what tells others of them:
///     let placed = Message::new("1", "/orders", "order.placed").key("order-7");
///     outbox::enqueue(connection, &[Outgoing::new("orders.placed", placed)]).await
/// };
/// store.write(write).await?;
/// waiting.wake();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOutbox {
    store: SqliteStore,
    woken: Arc<Notify>,
}

/// Writes messages into the outbox of the connection's file, within its transaction: they are
/// published if it commits, and only then.
///
/// # Errors
///
/// SQLite's, as where the file has no outbox: [`SqliteOutbox::beside`] makes one.
pub async fn enqueue(
    connection: &mut SqliteConnection,
    batch: &[Outgoing],
) -> Result<(), sqlx::Error> {
    // The clock of SQLite has milliseconds, and is that of the machine.
    const ROW: &str = "INSERT INTO factum_outbox
        (id, aggregatetype, aggregateid, type, payload, headers, traceparent, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000000)";
    for Outgoing { topic, message } in batch {
        sqlx::query(ROW)
            .bind(&message.id)
            .bind(topic)
            .bind(message.key.as_deref())
            .bind(&message.name)
            .bind(&message.data[..])
            .bind(Headers::json_of(message))
            .bind(message.extensions.get("traceparent"))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What an error of SQLite means to a relay.
pub(crate) fn of_sqlite(error: &sqlx::Error) -> OutboxError {
    let why = error.to_string();
    match stops(Class::of(error)) {
        true => OutboxError::Broken { why },
        false => OutboxError::Away { why },
    }
}

pub(crate) fn of_append(error: &AppendError) -> OutboxError {
    let why = error.to_string();
    if error.is_retryable() { OutboxError::Away { why } } else { OutboxError::Broken { why } }
}

impl SqliteOutbox {
    /// The outbox in the file of a store, made where it is missing.
    ///
    /// # Errors
    ///
    /// [`OutboxError`], where the file cannot be written.
    pub async fn beside(store: &SqliteStore) -> Result<Self, OutboxError> {
        let outbox = Self { store: store.clone(), woken: Arc::default() };
        let make = async |connection: &mut SqliteConnection| {
            sqlx::raw_sql(TABLES).execute(connection).await.map(drop)
        };
        outbox.write(make).await?;
        Ok(outbox)
    }

    /// The outbox in a file of the application's own.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let store = SqliteStore::open(path, options).await?;
        let made = Self::beside(&store).await;
        made.map_err(|error| OpenError::Sqlite(sqlx::Error::Protocol(error.to_string())))
    }

    /// Its file, to write to.
    #[must_use]
    pub fn store(&self) -> &SqliteStore {
        &self.store
    }

    /// Says that something was committed, so that a relay of this process looks at once and not
    /// when its time has come.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Looks, without the file's one lock.
    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, OutboxError> {
        let reading = self.store.with(async |connection, _| read(connection).await);
        reading.await.map_err(|error| {
            let why = error.to_string();
            match error.is_retryable() {
                true => OutboxError::Away { why },
                false => OutboxError::Broken { why },
            }
        })
    }

    async fn write<T, F>(&self, work: F) -> Result<T, OutboxError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error> + Send + 'static,
    {
        self.store.write(work).await.map_err(|error| match error {
            AppendWithError::Append(error) => of_append(&error),
            AppendWithError::Inline(error) => of_sqlite(&error),
        })
    }
}

impl Outbox for SqliteOutbox {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Row>, OutboxError>> {
        Box::pin(async move {
            // Who only looks does not keep others from writing.
            if !self.read(claim::is_there).await? {
                return Ok(Vec::new());
            }
            self.write(async move |connection| claim::claim(connection, claim).await).await
        })
    }

    fn settle<'a>(
        &'a self,
        relay: &'a str,
        settled: Vec<Settled>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), OutboxError>> {
        let relay = relay.to_owned();
        Box::pin(self.write(async move |connection| {
            settle::settle(connection, &relay, (settled, now)).await
        }))
    }

    fn sweep(&self, before: Timestamp, rows_max: u32) -> BoxFuture<'_, Result<u64, OutboxError>> {
        Box::pin(async move {
            if !self.read(async |connection| settle::is_old(connection, before).await).await? {
                return Ok(0);
            }
            self.write(async move |connection| settle::sweep(connection, before, rows_max).await)
                .await
        })
    }

    fn lag(&self, now: Timestamp) -> BoxFuture<'_, Result<OutboxLag, OutboxError>> {
        Box::pin(self.read(async move |connection| {
            let sql = "SELECT count(*), count(dead_at), min(iif(dead_at IS NULL, created_at, NULL))
                FROM factum_outbox WHERE published_at IS NULL";
            let (waiting, dead, oldest): (i64, i64, Option<i64>) =
                sqlx::query_as(sql).fetch_one(connection).await?;
            let age = oldest.map_or(0, |oldest| now.0.saturating_sub(oldest).max(0));
            let oldest = Duration::from_nanos(age.unsigned_abs());
            Ok(OutboxLag { waiting: waiting.unsigned_abs(), dead: dead.unsigned_abs(), oldest })
        }))
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.woken.notified())
    }

    fn dead(&self, rows_max: u32) -> BoxFuture<'_, Result<Vec<DeadRow>, OutboxError>> {
        Box::pin(self.read(async move |connection| claim::dead(connection, rows_max).await))
    }

    fn replay(&self, sequence: u64) -> BoxFuture<'_, Result<bool, OutboxError>> {
        const SQL: &str = "UPDATE factum_outbox SET dead_at = NULL, retry_at = NULL, attempts = 0
            WHERE sequence = ? AND dead_at IS NOT NULL";
        Box::pin(self.decide(SQL, sequence))
    }

    fn discard(&self, sequence: u64) -> BoxFuture<'_, Result<bool, OutboxError>> {
        const SQL: &str = "DELETE FROM factum_outbox WHERE sequence = ? AND dead_at IS NOT NULL";
        Box::pin(self.decide(SQL, sequence))
    }
}

impl SqliteOutbox {
    /// What somebody decided about a dead row.
    async fn decide(&self, sql: &'static str, sequence: u64) -> Result<bool, OutboxError> {
        let sequence = sequence.cast_signed();
        let deciding = async move |connection: &mut SqliteConnection| {
            let done = sqlx::query(sql).bind(sequence).execute(connection).await?;
            Ok(done.rows_affected() > 0)
        };
        let done = self.write(deciding).await?;
        self.wake();
        Ok(done)
    }
}
