//! What appends, readers and whoever follows have in common.

use crate::{
    append::Group,
    options::Options,
    pool::{Lease, NoLease, Pool},
    schema::Place,
    tail::Tail,
};
use factum_core::{Capabilities, ReadError, Timestamp};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Postgres,
    postgres::{PgArguments, PgConnectOptions},
    query::Query,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) capabilities: Capabilities,
    pub(crate) place: Place,
    pub(crate) statements: Statements,
    pub(crate) group: Group,
    pub(crate) writers: Arc<Pool>,
    /// For appends that go together: those that wait for locks are not to keep these waiting.
    pub(crate) callers: Arc<Pool>,
    pub(crate) readers: Arc<Pool>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) counters: Counters,
    /// Others are to be told that something was appended.
    pub(crate) appended: Arc<Notify>,
    /// For connections that are in no pool.
    pub(crate) address: PgConnectOptions,
}

/// Numbers that only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appends: AtomicU64,
    /// Calls in which appends went together, or one alone.
    pub(crate) calls: AtomicU64,
    pub(crate) judged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) retried: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

/// The statements that never change, with the name of the schema in them.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) append: Arc<str>,
    pub(crate) append_all: Arc<str>,
    pub(crate) lock: Arc<str>,
    pub(crate) write: Arc<str>,
    pub(crate) track: Arc<str>,
    pub(crate) conflict: Arc<str>,
    pub(crate) heads: Arc<str>,
    pub(crate) found: Arc<str>,
    pub(crate) tracked: Arc<str>,
    pub(crate) head: Arc<str>,
    pub(crate) current_head: Arc<str>,
    pub(crate) recorded_by: Arc<str>,
    pub(crate) last: Arc<str>,
}

impl Statements {
    pub(crate) fn of(place: &Place) -> Self {
        let of = |sql: &str| Arc::from(sql.replace("{s}", &place.schema));
        Self {
            append: of("SELECT status, first, lasts, failed, met FROM {s}.factum_append($1, $2, \
                $3, $4, $5, $6, $7, $8::jsonb, $9, $10::numeric, $11, $12, $13, $14, $15, $16, \
                $17, $18, $19, $20)"),
            append_all: of(
                "SELECT status, first, lasts, others FROM {s}.factum_append_all($1, $2, \
                $3, $4, $5, $6, $7, $8::text[]::jsonb[], $9, $10, $11, $12, $13, $14, $15, $16, \
                $17, $18)",
            ),
            lock: of("SELECT {s}.factum_lock($1, $2, $3)"),
            write: of("SELECT {s}.factum_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
            track: of("SELECT {s}.factum_track($1, $2::numeric)"),
            conflict: of("SELECT failed, met FROM {s}.factum_conflict($1::jsonb)"),
            heads: of(HEADS),
            found: of(FOUND),
            tracked: of("SELECT position::text FROM {s}.factum_tracked WHERE source = $1"),
            head: of("SELECT head, given, open FROM {s}.factum_head()"),
            current_head: of("SELECT {s}.factum_current_head($1, $2, $3)"),
            recorded_by: of("SELECT {s}.factum_recorded_by($1, $2)"),
            last: of("SELECT coalesce(max(position), 0) FROM {s}.factum_events"),
        }
    }
}

/// Of streams, up to a position: the last revision, its type, and the last metadata.
const HEADS: &str = "
SELECT h.revision, h.type, m.data FROM unnest($1::text[]) WITH ORDINALITY AS s(name, nth)
    LEFT JOIN LATERAL (SELECT e.revision, e.type FROM {s}.factum_events e
        WHERE e.stream = s.name AND e.position <= $2 ORDER BY e.revision DESC LIMIT 1) h ON true
    LEFT JOIN LATERAL (SELECT e.data FROM {s}.factum_events e
        WHERE e.stream = '$$' || s.name AND e.position <= $2
        ORDER BY e.revision DESC LIMIT 1) m ON true
ORDER BY s.nth";

/// Of events, by their places in a list: where they stand; at a revision, if there too.
const FOUND: &str = "
SELECT n.nth::integer, f.position, f.revision
FROM unnest($1::text[], $2::uuid[], $3::bigint[]) WITH ORDINALITY AS n(stream, id, hint, nth)
    CROSS JOIN LATERAL (SELECT e.position, e.revision FROM {s}.factum_events e
        WHERE e.id = n.id AND e.stream = n.stream
        ORDER BY e.revision = n.hint DESC NULLS LAST, e.revision DESC LIMIT 1) f";

impl Shared {
    /// A statement of the store's own: prepared by name, unless a pooler would lose it.
    pub(crate) fn query(&self, statement: &Arc<str>) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(statement.clone())).persistent(!self.options.pooler)
    }

    /// How long a statement waits for locks; `None` where its connection was told.
    pub(crate) fn lock_timeout(&self) -> Option<i32> {
        self.options.pooler.then(|| self.options.lock_timeout_ms.cast_signed())
    }

    pub(crate) fn now(&self) -> Option<i64> {
        self.options.clock.as_ref().map(|clock| clock.now().0)
    }

    /// Waits for an answer of the server, but not for ever. The connection is not used again where
    /// it does not come.
    pub(crate) async fn answer<T>(
        &self,
        asks: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let options = &self.options;
        let limit = options.answer_timeout_ms.saturating_add(options.lock_timeout_ms.into());
        let answer = timeout(Duration::from_millis(limit), asks).await;
        answer.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
    }

    /// What time it is for what metadata hides.
    pub(crate) async fn time(&self, connection: &mut PgConnection) -> sqlx::Result<Timestamp> {
        if let Some(now) = self.now() {
            return Ok(Timestamp(now));
        }
        let sql = "SELECT (date_part('epoch', clock_timestamp()) * 1e6)::bigint * 1000";
        let asking = sqlx::query_scalar(sql).persistent(!self.options.pooler);
        asking.fetch_one(connection).await.map(Timestamp)
    }

    /// Lends a connection to read with. What reads is whole at any moment, so that no transaction
    /// is needed, but for a pooler's sake.
    pub(crate) async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, ReadError> {
        let lease = self.readers.lease().await?;
        let outcome = self.within(lease, read).await;
        outcome.map_err(|error| crate::error::unread(&error))
    }

    async fn within<T>(
        &self,
        mut lease: Lease,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let outcome = match self.options.pooler {
            false => work(&mut lease).await,
            true => in_transaction(&mut lease, work).await,
        };
        lease.done(&outcome);
        outcome
    }

    /// Something was appended: who follows here looks, and others are told.
    pub(crate) fn appended(&self) {
        self.tail.wake.notify_one();
        if crate::listen::is_on(&self.options) {
            self.appended.notify_one();
        }
    }

    /// Lends a connection to read with, for who wants a transaction of their own.
    #[cfg(feature = "app")]
    pub(crate) async fn reader(&self) -> Result<Lease, NoLease> {
        self.readers.lease().await
    }

    /// Lends a connection to append with.
    pub(crate) async fn writer(&self) -> Result<Lease, NoLease> {
        self.writers.lease().await
    }
}

/// What begins a transaction whose statements each see what is there when they begin.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Does something in a transaction of its own.
pub(crate) async fn in_transaction<T>(
    connection: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    match work(&mut transaction).await {
        Ok(value) => transaction.commit().await.map(|()| value),
        Err(error) => match transaction.rollback().await {
            Ok(()) => Err(error),
            Err(lost) => Err(lost),
        },
    }
}
