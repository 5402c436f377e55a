//! What others do wrong: who holds a lock for too long, and who writes rows of another form.

use super::{message, options, outbox, within, world};
use crate::support::{address, application, new_schema, runtime};
use factum_app::outbox::{
    Claim, Outbox, OutboxError, Relay, RelayHandle, RelayOptions, RelayState,
};
use factum_core::Timestamp;
use factum_postgres::{
    PostgresOutbox,
    sqlx::{self, AssertSqlSafe, PgPool, Postgres, Transaction, postgres::PgPoolOptions, raw_sql},
};
use factum_testkit::outboxes::FileBroker;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// An outbox over a pool of one connection, whose name the server knows; and a pool for others.
struct One {
    schema: String,
    pool: PgPool,
    outbox: PostgresOutbox,
    others: PgPool,
}

impl One {
    async fn new() -> Self {
        let (schema, others) = (new_schema(), application());
        let named = address().application_name(&schema);
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(named);
        let outbox = PostgresOutbox::open(pool.clone(), options(&schema, false)).await.unwrap();
        let sql = format!("CREATE TABLE {schema}.kept (number int4)");
        raw_sql(AssertSqlSafe(sql)).execute(&others).await.unwrap();
        Self { schema, pool, outbox, others }
    }

    async fn enqueue(&self, number: u64) {
        let mut transaction = self.others.begin().await.unwrap();
        self.outbox.enqueue(&mut transaction, &[message("a", number)]).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Claims for no time at all.
    fn claim(&self) -> tokio::task::JoinHandle<Result<(), OutboxError>> {
        let outbox = self.outbox.clone();
        let now = Timestamp(1);
        let claim = Claim { relay: "test".into(), rows_max: 9, now, until: now };
        tokio::spawn(async move { outbox.claim(claim).await.map(drop) })
    }

    /// The lock of claims, held by somebody else: the one that is seen to be taken by a claim.
    async fn hold(&self) -> Transaction<'static, Postgres> {
        let mut table = self.others.begin().await.unwrap();
        let sql = format!("LOCK TABLE {}.factum_outbox IN SHARE MODE", self.schema);
        raw_sql(AssertSqlSafe(sql)).execute(&mut *table).await.unwrap();
        let claiming = self.claim();
        let sql = "SELECT lock.classid::int8 FROM pg_locks AS lock
            JOIN pg_stat_activity AS at USING (pid)
            WHERE application_name = $1 AND locktype = 'advisory' AND granted";
        let lock: i64 = loop {
            let asking = sqlx::query_scalar(sql).bind(&self.schema);
            if let Some(lock) = asking.fetch_optional(&self.others).await.unwrap() {
                break lock;
            }
            pause().await;
        };
        table.rollback().await.unwrap();
        claiming.await.unwrap().unwrap();
        let mut held = self.others.begin().await.unwrap();
        // Its number without a sign, as the server shows it.
        let lock = (lock as u32).cast_signed();
        let taking = sqlx::query("SELECT pg_advisory_xact_lock($1, 0)").bind(lock);
        taking.execute(&mut *held).await.unwrap();
        held
    }

    /// Waits until who claims waits for the lock; ends its wait, as a limit does, or not.
    async fn waits(&self, is_ended: bool) {
        let sql = "SELECT count(*) FILTER (WHERE NOT $2 OR pg_cancel_backend(pid))
            FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'advisory'";
        loop {
            let asking = sqlx::query_scalar::<_, i64>(sql).bind(&self.schema).bind(is_ended);
            if asking.fetch_one(&self.others).await.unwrap() != 0 {
                return;
            }
            pause().await;
        }
    }

    /// What the application writes over that one connection is there for everybody at once.
    async fn is_as_it_was(&self, number: i32) {
        let sql = format!("INSERT INTO {}.kept VALUES ($1)", self.schema);
        let writing = sqlx::query(AssertSqlSafe(sql)).bind(number);
        writing.execute(&self.pool).await.unwrap();
        let sql = format!("SELECT count(*) FROM {}.kept WHERE number = $1", self.schema);
        let asking = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(number);
        assert_eq!(asking.fetch_one(&self.others).await.unwrap(), 1, "in another's transaction");
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

fn relay(outbox: &PostgresOutbox, file: &Path) -> RelayHandle {
    let options = RelayOptions { poll: Duration::from_millis(20), ..RelayOptions::default() };
    let broker = Arc::new(FileBroker::open(file).unwrap());
    Relay::new(world(), Arc::new(outbox.clone()), broker, options).start()
}

#[track_caller]
fn is_working(relay: &RelayHandle) {
    let status = relay.status();
    assert!(!matches!(status.state, RelayState::Stopped { .. }), "{status:?}");
}

/// `BEGIN` and what waits for the lock were one statement, whose transaction sqlx knows only when
/// all of it is done: where the wait was ended, or dropped, the pool got the connection back within
/// a transaction that had failed, or was open, and the relay ended for good.
#[test]
fn who_does_not_get_the_lock_of_claims_leaves_its_connection_as_it_was() {
    runtime().block_on(within(async {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("broker");
        let on = One::new().await;
        on.enqueue(1).await;
        let held = on.hold().await;
        let relay = relay(&on.outbox, &file);
        on.waits(true).await;
        while !matches!(relay.status().state, RelayState::Away { .. }) {
            is_working(&relay);
            pause().await;
        }
        held.rollback().await.unwrap();
        on.is_as_it_was(1).await;
        while relay.status().published == 0 {
            is_working(&relay);
            pause().await;
        }
        relay.stop().await;
        on.enqueue(2).await;
        let held = on.hold().await;
        let claiming = on.claim();
        on.waits(false).await;
        claiming.abort();
        assert!(claiming.await.unwrap_err().is_cancelled());
        held.rollback().await.unwrap();
        on.is_as_it_was(2).await;
    }));
}

/// A row whose headers could not be read was claimed, and ended the relay; and whoever listed the
/// dead ones got an error.
#[test]
fn a_row_that_cannot_be_read_is_dead_and_holds_up_its_key_only() {
    runtime().block_on(within(async {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("broker");
        let (schema, pool, outbox) = outbox().await;
        let mut transaction = pool.begin().await.unwrap();
        let batch = [("a", 1), ("a", 2), ("a", 3), ("b", 1)].map(|(key, nth)| message(key, nth));
        outbox.enqueue(&mut transaction, &batch).await.unwrap();
        let write = |headers: &str| {
            AssertSqlSafe(format!(
                "UPDATE {schema}.factum_outbox SET headers = '{headers}' WHERE id = 'a-2'"
            ))
        };
        raw_sql(write("{}")).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let relay = relay(&outbox, &file);
        while relay.status().published < 2 {
            is_working(&relay);
            pause().await;
        }
        let dead = outbox.dead(9).await.unwrap();
        let number = format!("row {}", dead[0].row.sequence);
        assert!(dead[0].error.contains(&number), "{dead:?}");
        assert_eq!((dead.len(), &*dead[0].row.outgoing.message.id), (1, "a-2"));
        let (came, _) = FileBroker::came(&file).unwrap();
        assert_eq!(came, BTreeMap::from([("a".into(), vec![1]), ("b".into(), vec![1])]));
        raw_sql(write(r#"{"source": "/orders"}"#)).execute(&pool).await.unwrap();
        assert!(outbox.replay(dead[0].row.sequence).await.unwrap());
        while relay.status().published < 4 {
            is_working(&relay);
            pause().await;
        }
        relay.stop().await;
        let (came, _) = FileBroker::came(&file).unwrap();
        assert_eq!(came.get("a"), Some(&vec![1, 2, 3]));
    }));
}
