//! The outbox in PostgreSQL: `factum_outbox`, whose columns Debezium's event router knows, and what
//! is asked of it.
//!
//! What must hold:
//! - Of two transactions that enqueue for one key, the first to commit has the lower numbers: each
//!   holds the key's lock until its end.
//! - Claims are made one after the other, under a lock, so that each sees what those before it have
//!   taken; and what gives rows back to be tried again, or gives them up, is done under it too.
//! - A claim is durable before anything of it is published, and so is, by the order of the server's
//!   log, what it claims: also what was committed without waiting for the disk. What was published
//!   is marked without that: a mark that is lost in a crash has the row published again.

mod rows;
mod wakes;

use crate::{
    OpenError, Options,
    beside::{Beside, of_postgres},
    server,
};
use factum_app::{
    message::Outgoing,
    outbox::{Claim, DeadRow, Outbox, OutboxError, OutboxLag, Outcome, Row, Settled},
    world::BoxFuture,
};
use factum_core::Timestamp;
use sqlx::{PgConnection, PgPool};
use std::{sync::Arc, time::Duration};
use wakes::Wakes;

const TABLE: (&str, &str) = ("factum_outbox", include_str!("outbox/tables.sql"));
const CLAIM: &str = include_str!("outbox/claim.sql");
/// Connections of an outbox that was opened by a URL.
const CONNECTIONS_MAX: u32 = 8;
/// What claims and settles: the rows are few among many, whatever the server knew of the table when
/// it first planned this; and who is frozen in the middle holds up the others for so long.
const SETTINGS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '10s'";
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'";
const NOT_DURABLE: &str = "SET LOCAL synchronous_commit = off";

/// Messages that wait in a table of PostgreSQL to be published. Clones share it.
///
/// [`PostgresOutbox::enqueue`] puts them there, in a transaction of the caller's; a
/// [`Relay`](factum_app::outbox::Relay) takes them out.
///
/// ```no_run
/// # async fn run(pool: factum_postgres::sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// use factum_app::message::{Message, Outgoing};
/// use factum_postgres::{Options, PostgresOutbox};
/// let outbox = PostgresOutbox::open(pool.clone(), Options::default()).await?;
/// let mut transaction = pool.begin().await?;
/// // Rows of the application's own, and what tells others of them:
/// let placed = Message::new("1", "/orders", "order.placed").key("order-7");
/// outbox.enqueue(&mut transaction, &[Outgoing::new("orders.placed", placed)]).await?;
/// transaction.commit().await?;
/// outbox.wake();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresOutbox {
    on: Beside,
    wakes: Arc<Wakes>,
}

impl PostgresOutbox {
    /// The outbox in a schema of the application's database, made where it is missing. Of the
    /// options it needs `schema`, `pooler`, `listen` and `notify_interval_ms`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn open(pool: PgPool, options: Options) -> Result<Self, OpenError> {
        let on = Beside::open(pool, options, TABLE).await?;
        Ok(Self { on, wakes: Arc::default() })
    }

    /// The outbox in the database of a URL, over connections of its own; what the URL may say is
    /// what that of a [`PostgresStore`](crate::PostgresStore) may.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let (address, options) = server::address(url)?;
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
        let pool = pool.connect_with(server::fitted(address, &options)).await?;
        Self::open(pool, options).await
    }

    /// Writes messages into the outbox, within the transaction of the connection: they are
    /// published if it commits, and only then. Call [`PostgresOutbox::wake`] when it has.
    ///
    /// The transaction holds the lock of each of their keys until it ends, so that what others
    /// enqueue for them meanwhile comes after it. Two transactions that enqueue several times, for
    /// the same keys in different orders, may wait for each other: PostgreSQL then ends one of them
    /// with an error, and it is to be done again.
    ///
    /// # Errors
    ///
    /// PostgreSQL's; nothing is written.
    pub async fn enqueue(
        &self,
        connection: &mut PgConnection,
        batch: &[Outgoing],
    ) -> Result<(), sqlx::Error> {
        match batch.is_empty() {
            true => Ok(()),
            false => rows::insert(&self.on, connection, batch).await,
        }
    }

    /// Says that something was committed, so that relays look at once, those of other processes
    /// too, and not when their time has come.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn wake(&self) {
        self.wakes.wake(&self.on);
    }

    /// The first statements of what claims or gives back.
    fn under_lock(&self, first: &str) -> String {
        let lock = self.on.hash("claims of the outbox");
        format!("{SETTINGS}; {first}; SELECT pg_advisory_xact_lock({lock}, 0)")
    }

    async fn is_there(&self) -> Result<bool, OutboxError> {
        let sql = self.on.filled(
            "SELECT EXISTS (SELECT FROM {s}.factum_outbox
                WHERE published_at IS NULL AND dead_at IS NULL)",
        );
        let asking = sqlx::query_scalar(sql).persistent(!self.on.options.pooler);
        self.on.run(async |connection| asking.fetch_one(connection).await).await
    }

    /// What somebody decided about a dead row.
    async fn decide(&self, sql: &str, sequence: u64) -> Result<bool, OutboxError> {
        let query = self.on.query(sql).bind(sequence.cast_signed());
        let done = self.on.run(async |connection| query.execute(connection).await).await?;
        self.wake();
        Ok(done.rows_affected() > 0)
    }
}

impl Outbox for PostgresOutbox {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Row>, OutboxError>> {
        Box::pin(async move {
            // Who only looks waits for nobody, and writes nothing.
            if !self.is_there().await? {
                return Ok(Vec::new());
            }
            let query = self.on.query(CLAIM).bind(claim.relay.clone()).bind(claim.until.0);
            let query = query.bind(claim.now.0).bind(i64::from(claim.rows_max));
            let first = self.under_lock(DURABLE);
            let work = async |connection: &mut PgConnection| query.fetch_all(connection).await;
            let rows = self.on.run_in(first, work).await?;
            let (whole, others) = rows::claimed(&rows).map_err(|error| of_postgres(&error))?;
            if !others.is_empty() {
                self.settle(&claim.relay, others, claim.now).await?;
            }
            Ok(whole)
        })
    }

    fn settle<'a>(
        &'a self,
        relay: &'a str,
        settled: Vec<Settled>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), OutboxError>> {
        let is_published = |one: &Settled| one.outcome == Outcome::Published;
        let (published, others): (Vec<_>, Vec<_>) = settled.into_iter().partition(is_published);
        let published: Vec<_> = published.iter().map(|one| one.sequence.cast_signed()).collect();
        let first = match others.is_empty() {
            true => format!("{SETTINGS}; {NOT_DURABLE}"),
            false => self.under_lock(NOT_DURABLE),
        };
        let on = &self.on;
        Box::pin(on.run_in(first, async move |connection| {
            rows::published(on, connection, (published, now)).await?;
            match others.is_empty() {
                true => Ok(()),
                false => rows::unpublished(on, connection, (relay, others, now)).await,
            }
        }))
    }

    fn sweep(&self, before: Timestamp, rows_max: u32) -> BoxFuture<'_, Result<u64, OutboxError>> {
        const SQL: &str = "DELETE FROM {s}.factum_outbox WHERE sequence IN (
            SELECT sequence FROM {s}.factum_outbox
            WHERE published_at < $1 ORDER BY published_at LIMIT $2)";
        let query = self.on.query(SQL).bind(before.0).bind(i64::from(rows_max));
        Box::pin(async move {
            let swept = self.on.run(async |connection| query.execute(connection).await).await?;
            Ok(swept.rows_affected())
        })
    }

    fn lag(&self, now: Timestamp) -> BoxFuture<'_, Result<OutboxLag, OutboxError>> {
        const SQL: &str = "SELECT count(*), count(dead_at),
            min(created_at) FILTER (WHERE dead_at IS NULL)
            FROM {s}.factum_outbox WHERE published_at IS NULL";
        let query = sqlx::query_as(self.on.filled(SQL)).persistent(!self.on.options.pooler);
        Box::pin(self.on.run(async move |connection| {
            let (waiting, dead, oldest): (i64, i64, Option<i64>) =
                query.fetch_one(connection).await?;
            let age = oldest.map_or(0, |oldest| now.0.saturating_sub(oldest).max(0));
            let oldest = Duration::from_nanos(age.unsigned_abs());
            Ok(OutboxLag { waiting: waiting.unsigned_abs(), dead: dead.unsigned_abs(), oldest })
        }))
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.wakes.woken(&self.on))
    }

    fn dead(&self, rows_max: u32) -> BoxFuture<'_, Result<Vec<DeadRow>, OutboxError>> {
        const SQL: &str = "SELECT sequence, id, aggregatetype, aggregateid, type, payload,
            headers::text, attempts, created_at, error, dead_at
            FROM {s}.factum_outbox WHERE dead_at IS NOT NULL ORDER BY sequence LIMIT $1";
        let query = self.on.query(SQL).bind(i64::from(rows_max));
        Box::pin(self.on.run(async move |connection| {
            query.fetch_all(connection).await?.iter().map(rows::dead_of).collect()
        }))
    }

    fn replay(&self, sequence: u64) -> BoxFuture<'_, Result<bool, OutboxError>> {
        const SQL: &str = "UPDATE {s}.factum_outbox
            SET dead_at = NULL, retry_at = NULL, attempts = 0
            WHERE sequence = $1 AND dead_at IS NOT NULL";
        Box::pin(self.decide(SQL, sequence))
    }

    fn discard(&self, sequence: u64) -> BoxFuture<'_, Result<bool, OutboxError>> {
        // One that a slot has stays, as one that is done: after a crash the server's log may tell
        // of it again, and it would come back.
        const SQL: &str = "WITH kept AS (UPDATE {s}.factum_outbox SET dead_at = NULL,
                claimed_by = NULL,
                published_at = (extract(epoch FROM clock_timestamp()) * 1000000)::int8 * 1000
                WHERE sequence = $1 AND dead_at IS NOT NULL AND claimed_by LIKE 'slot %'
                RETURNING 1),
            gone AS (DELETE FROM {s}.factum_outbox WHERE sequence = $1 AND dead_at IS NOT NULL
                AND coalesce(claimed_by, '') NOT LIKE 'slot %' RETURNING 1)
            SELECT FROM kept UNION ALL SELECT FROM gone";
        Box::pin(self.decide(SQL, sequence))
    }
}
