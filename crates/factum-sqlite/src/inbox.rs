//! The inbox in SQLite: which messages were handled, remembered in the transaction of what was done
//! about them, so that a message that comes again has no effect a second time.

use crate::{AppendWithError, SqliteStore};
use factum_app::{message::Message, outbox::OutboxError};
use factum_core::Timestamp;
use sqlx::SqliteConnection;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS factum_inbox (
    consumer TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (consumer, source, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS factum_inbox_by_age ON factum_inbox (at);
";

/// The messages that consumers have handled, in a file of SQLite. Clones share it.
///
/// ```
/// use factum_app::message::Message;
/// use factum_sqlite::{Options, SqliteInbox, SqliteStore, inbox, sqlx};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let store = SqliteStore::open_in_memory(Options::default()).await?;
/// let handled = SqliteInbox::beside(&store).await?;
/// let message = Message::new("1", "/payments", "payment.received");
/// let handle = async move |connection: &mut sqlx::SqliteConnection| {
///     if inbox::is_first(connection, "orders", &message).await? {
///         // What is to be done once, in the same transaction.
///     }
///     Ok::<_, sqlx::Error>(())
/// };
/// store.write(handle).await?;
/// # drop(handled);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteInbox {
    store: SqliteStore,
}

/// Remembers, within the connection's transaction, that a consumer has this message; `false` where
/// it had it before: then there is nothing to do. A message is known by its source and id.
///
/// # Errors
///
/// SQLite's, as where the file has no inbox: [`SqliteInbox::beside`] makes one.
pub async fn is_first(
    connection: &mut SqliteConnection,
    consumer: &str,
    message: &Message,
) -> Result<bool, sqlx::Error> {
    const ROW: &str = "INSERT OR IGNORE INTO factum_inbox
        VALUES (?, ?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000000)";
    let row = sqlx::query(ROW).bind(consumer).bind(&message.source).bind(&message.id);
    Ok(row.execute(connection).await?.rows_affected() == 1)
}

impl SqliteInbox {
    /// The inbox in the file of a store, made where it is missing.
    ///
    /// # Errors
    ///
    /// [`OutboxError`], where the file cannot be written.
    pub async fn beside(store: &SqliteStore) -> Result<Self, OutboxError> {
        let inbox = Self { store: store.clone() };
        let make = async |connection: &mut SqliteConnection| {
            sqlx::raw_sql(TABLES).execute(connection).await.map(|_| 0)
        };
        inbox.write(make).await?;
        Ok(inbox)
    }

    /// Forgets what was handled before this, so many at most; how many were forgotten. Keep what
    /// the broker may still deliver again.
    ///
    /// # Errors
    ///
    /// [`OutboxError`], where the file cannot be written.
    pub async fn forget(&self, before: Timestamp, rows_max: u32) -> Result<u64, OutboxError> {
        const OLD: &str = "DELETE FROM factum_inbox WHERE (consumer, source, id) IN (
            SELECT consumer, source, id FROM factum_inbox WHERE at < ? ORDER BY at LIMIT ?)";
        let forget = async move |connection: &mut SqliteConnection| {
            let gone = sqlx::query(OLD).bind(before.0).bind(rows_max).execute(connection).await?;
            Ok(gone.rows_affected())
        };
        self.write(forget).await
    }

    async fn write<F>(&self, work: F) -> Result<u64, OutboxError>
    where
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<u64, sqlx::Error> + Send + 'static,
    {
        self.store.write(work).await.map_err(|error| match error {
            AppendWithError::Append(error) => crate::outbox::of_append(&error),
            AppendWithError::Inline(error) => crate::outbox::of_sqlite(&error),
        })
    }
}
