//! The inbox: the suite, batches, and two transactions that take in the same message.

use super::{PATIENCE, application, new_schema, options, runtime, someone_waits, within};
use factum_app::message::Message;
use factum_core::Timestamp;
use factum_postgres::{
    PostgresInbox,
    sqlx::{self, AssertSqlSafe, PgPool, raw_sql},
};
use factum_testkit::{
    Boxed,
    outboxes::{InboxUnderTest, Made, inbox},
};

struct Service {
    schema: String,
    pool: PgPool,
    inbox: PostgresInbox,
}

async fn service() -> Service {
    let (schema, pool) = (new_schema(), application());
    let inbox = PostgresInbox::open(pool.clone(), options(&schema, false)).await.unwrap();
    let sql = format!(
        "CREATE TABLE {schema}.balance (amount int8); INSERT INTO {schema}.balance VALUES (0)"
    );
    raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    Service { schema, pool, inbox }
}

impl InboxUnderTest for Service {
    fn handle<'a>(
        &'a self,
        consumer: &'a str,
        message: &'a Message,
        undo: bool,
    ) -> Boxed<'a, Made<bool>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await?;
            let is_first = self.inbox.is_first(&mut transaction, consumer, message).await?;
            if is_first {
                let sql = format!("UPDATE {}.balance SET amount = amount + 1", self.schema);
                sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
            }
            match undo {
                true => transaction.rollback().await?,
                false => transaction.commit().await?,
            }
            Ok(is_first && !undo)
        })
    }

    fn balance(&self) -> Boxed<'_, Made<i64>> {
        Box::pin(async {
            let sql = AssertSqlSafe(format!("SELECT amount FROM {}.balance", self.schema));
            Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
        })
    }

    fn restart(&mut self) -> Boxed<'_, Made<()>> {
        Box::pin(async {
            self.pool = application();
            let options = options(&self.schema, true);
            self.inbox = PostgresInbox::open(self.pool.clone(), options).await?;
            Ok(())
        })
    }

    fn forget(&self, before: Timestamp, rows_max: u32) -> Boxed<'_, Made<u64>> {
        Box::pin(async move { Ok(self.inbox.forget(before, rows_max).await?) })
    }
}

#[test]
fn the_suite() {
    runtime().block_on(within(async { inbox(service().await).await.unwrap() }));
}

fn message(id: &str) -> Message {
    Message::new(id, "/payments", "payment.received")
}

#[test]
fn of_a_batch_each_message_is_new_once() {
    runtime().block_on(within(async {
        let service = service().await;
        let batch = ["1", "2", "1"].map(message);
        let mut transaction = service.pool.begin().await.unwrap();
        let first = service.inbox.are_first(&mut transaction, "a", &batch).await.unwrap();
        assert_eq!(first, [true, true, false]);
        transaction.commit().await.unwrap();
        let batch = ["3", "2"].map(message);
        let mut transaction = service.pool.begin().await.unwrap();
        let first = service.inbox.are_first(&mut transaction, "a", &batch).await.unwrap();
        assert_eq!(first, [true, false]);
        let first = service.inbox.are_first(&mut transaction, "a", &[]).await.unwrap();
        assert_eq!(first, [false; 0]);
    }));
}

#[test]
fn who_takes_in_the_same_message_waits_and_has_it_only_if_the_first_is_undone() {
    runtime().block_on(within(async {
        for undo in [false, true] {
            let service = service().await;
            let mut first = service.pool.begin().await.unwrap();
            assert!(service.inbox.is_first(&mut first, "a", &message("1")).await.unwrap());
            let sql = "SELECT pg_backend_pid()";
            let blocker = sqlx::query_scalar(sql).fetch_one(&mut *first).await.unwrap();
            let second = tokio::spawn({
                let (pool, inbox) = (service.pool.clone(), service.inbox.clone());
                async move {
                    let mut second = pool.begin().await.unwrap();
                    inbox.is_first(&mut second, "a", &message("1")).await.unwrap()
                }
            });
            while !someone_waits(&service.pool, blocker).await {
                assert!(!second.is_finished(), "it does not wait");
            }
            match undo {
                true => first.rollback().await.unwrap(),
                false => first.commit().await.unwrap(),
            }
            let is_first = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap();
            assert_eq!(is_first, undo);
        }
    }));
}
