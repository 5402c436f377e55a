//! The inbox in PostgreSQL: which messages were handled, remembered in the transaction of what was
//! done about them, so that a message that comes again has no effect a second time.
//!
//! What must hold: of two transactions that take in the same message, the second waits for the
//! first, and has it only if that was undone.

use crate::{OpenError, Options, beside::Beside};
use factum_app::{message::Message, outbox::OutboxError};
use factum_core::Timestamp;
use sqlx::{PgConnection, PgPool};
use std::collections::HashSet;

const TABLE: (&str, &str) = (
    "factum_inbox",
    "CREATE TABLE {s}.factum_inbox (
        consumer text NOT NULL,
        source text NOT NULL,
        id text NOT NULL,
        at int8 NOT NULL,
        PRIMARY KEY (consumer, source, id)
    );
    CREATE INDEX factum_inbox_by_age ON {s}.factum_inbox (at);",
);

/// In the order of their ids, so that two batches do not wait for each other.
const INSERT: &str = "
INSERT INTO {s}.factum_inbox (consumer, source, id, at)
SELECT DISTINCT $1::text, source, id,
    (extract(epoch FROM statement_timestamp()) * 1000000)::int8 * 1000
FROM unnest($2::text[], $3::text[]) AS x(source, id) ORDER BY source, id
ON CONFLICT DO NOTHING RETURNING source, id";

/// The messages that consumers have handled, in a table of PostgreSQL. Clones share it.
///
/// ```no_run
/// # async fn run(pool: factum_postgres::sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// # let message = factum_app::message::Message::new("1", "/payments", "payment.received");
/// use factum_postgres::{Options, PostgresInbox};
/// let inbox = PostgresInbox::open(pool.clone(), Options::default()).await?;
/// let mut transaction = pool.begin().await?;
/// if inbox.is_first(&mut transaction, "orders", &message).await? {
///     // What is to be done once, in the same transaction.
/// }
/// transaction.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresInbox {
    on: Beside,
}

impl PostgresInbox {
    /// The inbox in a schema of the application's database, made where it is missing. Of the
    /// options it needs `schema` and `pooler`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn open(pool: PgPool, options: Options) -> Result<Self, OpenError> {
        Ok(Self { on: Beside::open(pool, options, TABLE).await? })
    }

    /// Remembers, within the connection's transaction, that a consumer has this message; `false`
    /// where it had it before: then there is nothing to do. A message is known by its source and
    /// id. Acknowledge it to the broker when the transaction has committed.
    ///
    /// Where another transaction has just taken it in, this waits for that one's end.
    ///
    /// # Errors
    ///
    /// PostgreSQL's; in a transaction that is REPEATABLE READ, that it is to be done again.
    pub async fn is_first(
        &self,
        connection: &mut PgConnection,
        consumer: &str,
        message: &Message,
    ) -> Result<bool, sqlx::Error> {
        let first = self.are_first(connection, consumer, std::slice::from_ref(message)).await?;
        Ok(first.first() == Some(&true))
    }

    /// The same of many messages, in one round trip: which of them are new, in their order. One
    /// that is there twice is new once.
    ///
    /// # Errors
    ///
    /// As of [`is_first`](Self::is_first).
    pub async fn are_first(
        &self,
        connection: &mut PgConnection,
        consumer: &str,
        messages: &[Message],
    ) -> Result<Vec<bool>, sqlx::Error> {
        use sqlx::Row;
        let of = |get: fn(&Message) -> &str| messages.iter().map(get).collect::<Vec<_>>();
        let query = self.on.query(INSERT).bind(consumer.to_owned());
        let query = query.bind(of(|message| &message.source)).bind(of(|message| &message.id));
        let rows = query.fetch_all(connection).await?;
        let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let mut new = pairs.collect::<Result<HashSet<(String, String)>, sqlx::Error>>()?;
        let pair = |message: &Message| (message.source.clone(), message.id.clone());
        Ok(messages.iter().map(|message| new.remove(&pair(message))).collect())
    }

    /// Forgets what was handled before this, so many at most; how many were forgotten. Keep what
    /// the broker may still deliver again.
    ///
    /// # Errors
    ///
    /// [`OutboxError`], where the server is away, or refuses.
    pub async fn forget(&self, before: Timestamp, rows_max: u32) -> Result<u64, OutboxError> {
        const OLD: &str = "DELETE FROM {s}.factum_inbox WHERE (consumer, source, id) IN (
            SELECT consumer, source, id FROM {s}.factum_inbox WHERE at < $1 ORDER BY at LIMIT $2)";
        let query = self.on.query(OLD).bind(before.0).bind(i64::from(rows_max));
        let gone = self.on.run(async |connection| query.execute(connection).await).await?;
        Ok(gone.rows_affected())
    }
}
