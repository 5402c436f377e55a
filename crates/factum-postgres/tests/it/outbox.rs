//! The outbox and the inbox in PostgreSQL: the suites, and what several processes and a real
//! server make different.

mod crashes;
mod faults;
mod inbox;

use crate::support::{address, application, new_schema, runtime};
use factum_app::{
    TokioWorld, World,
    message::{Message, Outgoing},
    outbox::Outbox,
};
use factum_postgres::{
    Options, PostgresOutbox,
    sqlx::{self, AssertSqlSafe, PgPool, postgres::PgPoolOptions},
};
use factum_testkit::{
    Boxed,
    outboxes::{Made, OutboxUnderTest, TableUnderTest, Writing, suite},
};
use std::{sync::Arc, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn world() -> Arc<dyn World> {
    Arc::new(TokioWorld::default())
}

fn options(schema: &str, pooler: bool) -> Options {
    Options { schema: schema.into(), pooler, ..Options::default() }
}

/// Outboxes in schemas of their own; as with a pooler in transaction mode, or without.
struct Postgres {
    pooler: bool,
}

struct Table {
    schema: String,
    pooler: bool,
    pool: PgPool,
    outbox: PostgresOutbox,
}

impl OutboxUnderTest for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn world(&self) -> Arc<dyn World> {
        world()
    }

    fn table(&self) -> Boxed<'_, Made<Box<dyn TableUnderTest>>> {
        Box::pin(async {
            let (schema, pool, pooler) = (new_schema(), application(), self.pooler);
            let outbox = PostgresOutbox::open(pool.clone(), options(&schema, pooler)).await?;
            let table: Box<dyn TableUnderTest> = Box::new(Table { schema, pooler, pool, outbox });
            Ok(table)
        })
    }
}

impl TableUnderTest for Table {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    fn another(&self) -> Boxed<'_, Made<Arc<dyn Outbox>>> {
        Box::pin(async {
            let pool = PgPoolOptions::new().max_connections(3).connect_lazy_with(address());
            let outbox = PostgresOutbox::open(pool, options(&self.schema, self.pooler)).await?;
            Ok(Arc::new(outbox) as Arc<dyn Outbox>)
        })
    }

    fn write<'a>(&'a self, writing: Writing<'a>) -> Boxed<'a, Made<()>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await?;
            self.outbox.enqueue(&mut transaction, writing.batch).await?;
            writing.before_end.await;
            match writing.commits {
                true => transaction.commit().await?,
                false => transaction.rollback().await?,
            }
            Ok(())
        })
    }

    fn wake(&self) {
        self.outbox.wake();
    }

    fn traceparents(&self) -> Boxed<'_, Made<Vec<Option<String>>>> {
        Box::pin(async {
            let sql =
                format!("SELECT traceparent FROM {}.factum_outbox ORDER BY sequence", self.schema);
            let asking = sqlx::query_scalar(AssertSqlSafe(sql));
            Ok(asking.fetch_all(&self.pool).await?)
        })
    }
}

#[test]
fn the_suite() {
    runtime().block_on(suite(&Postgres { pooler: false }));
}

#[test]
fn the_suite_as_with_a_pooler() {
    runtime().block_on(suite(&Postgres { pooler: true }));
}

fn message(key: &str, number: u64) -> Outgoing {
    let message = Message::new(format!("{key}-{number}"), "/orders", "order.placed");
    Outgoing::new("orders", message.key(key))
}

async fn outbox() -> (String, PgPool, PostgresOutbox) {
    let (schema, pool) = (new_schema(), application());
    let outbox = PostgresOutbox::open(pool.clone(), options(&schema, false)).await.unwrap();
    (schema, pool, outbox)
}

/// Whether anybody waits for a lock of this transaction's.
async fn someone_waits(pool: &PgPool, blocker: i32) -> bool {
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE $1 = ANY (pg_blocking_pids(pid)))";
    sqlx::query_scalar(sql).bind(blocker).fetch_one(pool).await.unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it takes too long")
}

#[test]
fn who_enqueues_for_a_key_waits_for_who_did_before_and_for_nobody_else() {
    runtime().block_on(within(async {
        let (schema, pool, outbox) = outbox().await;
        let mut first = pool.begin().await.unwrap();
        outbox.enqueue(&mut first, &[message("a", 1)]).await.unwrap();
        let mut other = pool.begin().await.unwrap();
        outbox.enqueue(&mut other, &[message("b", 1)]).await.unwrap();
        other.commit().await.unwrap();
        let blocker: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *first).await.unwrap();
        let second = tokio::spawn({
            let (pool, outbox) = (pool.clone(), outbox.clone());
            async move {
                let mut second = pool.begin().await.unwrap();
                let batch = [message("b", 2), message("a", 2)];
                outbox.enqueue(&mut second, &batch).await.unwrap();
                second.commit().await.unwrap();
            }
        });
        while !someone_waits(&pool, blocker).await {
            assert!(!second.is_finished(), "it does not wait");
        }
        first.commit().await.unwrap();
        second.await.unwrap();
        let sql = format!("SELECT id FROM {schema}.factum_outbox ORDER BY sequence");
        let ids = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql));
        let ids = ids.fetch_all(&pool).await.unwrap();
        assert_eq!(ids, ["a-1", "b-1", "b-2", "a-2"], "numbers in the order of commits");
    }));
}

#[test]
fn a_relay_of_another_process_is_woken() {
    runtime().block_on(within(async {
        let (schema, pool, here) = outbox().await;
        let there = PostgresOutbox::open(application(), options(&schema, false)).await.unwrap();
        // It listens from now on, and has looked.
        there.woken().await;
        let woken = tokio::spawn({
            let there = there.clone();
            async move { there.woken().await }
        });
        let mut transaction = pool.begin().await.unwrap();
        here.enqueue(&mut transaction, &[message("a", 1)]).await.unwrap();
        transaction.commit().await.unwrap();
        here.wake();
        woken.await.unwrap();
    }));
}

#[test]
fn several_processes_make_the_table_once() {
    runtime().block_on(within(async {
        let schema = new_schema();
        let opening = (0..4).map(|_| {
            let schema = schema.clone();
            tokio::spawn(async move {
                PostgresOutbox::open(application(), options(&schema, false)).await.map(drop)
            })
        });
        for opened in opening.collect::<Vec<_>>() {
            opened.await.unwrap().unwrap();
        }
    }));
}

#[test]
fn a_server_that_could_lose_what_is_committed_is_refused() {
    runtime().block_on(within(async {
        let careless = address().options([("synchronous_commit", "off")]);
        let pool = PgPoolOptions::new().connect_lazy_with(careless);
        let error = PostgresOutbox::open(pool, options(&new_schema(), false)).await.unwrap_err();
        assert!(error.to_string().contains("SET synchronous_commit = on"), "{error}");
    }));
}
