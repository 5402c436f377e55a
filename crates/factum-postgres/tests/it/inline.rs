//! Appends in an application's transaction, and its rows in that of an append: both or neither.

use crate::support::{
    all, application, event, ids, new_schema, open, options, runtime, stream, to,
};
use factum_core::{AppendError, EventStore, Expected, Found, Query, Read, StreamState};
use factum_postgres::{
    AppendWithError, PostgresStore,
    sqlx::{self, AssertSqlSafe, PgPool},
};

/// A table of an application's.
async fn orders(pool: &PgPool) -> String {
    let table = new_schema();
    let sql = format!("CREATE TABLE {table} (id bigint PRIMARY KEY)");
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.unwrap();
    table
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn begun() -> (PostgresStore, PgPool, String) {
    let pool = application();
    let table = orders(&pool).await;
    (open(&options()).await, pool, table)
}

#[test]
fn events_and_rows_commit_together_or_not_at_all() {
    runtime().block_on(async {
        let (store, pool, table) = begun().await;
        for (id, commits) in [(1, false), (2, true)] {
            let mut transaction = pool.begin().await.unwrap();
            let sql = format!("INSERT INTO {table} VALUES ({id})");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
            store.append_in(&mut transaction, to("a-1", [id])).await.unwrap();
            assert_eq!(ids(&all(&store, Read::query(Query::All)).await), Vec::<u128>::new());
            match commits {
                true => transaction.commit().await.unwrap(),
                false => transaction.rollback().await.unwrap(),
            }
        }
        assert_eq!(ids(&all(&store, Read::query(Query::All)).await), [2]);
        assert_eq!(count(&pool, &table).await, 1);
    });
}

#[test]
fn after_a_refusal_the_transaction_goes_on() {
    runtime().block_on(async {
        let (store, pool, table) = begun().await;
        store.append(to("a-1", [1])).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        let none = to("a-1", [2]).expecting(stream("a-1"), Expected::NoStream);
        let last = factum_core::Revision(0);
        let found = Found::Stream(StreamState::Live { last });
        let refused = store.append_in(&mut transaction, none).await;
        assert_eq!(refused, Err(AppendError::Conflict { index: 0, found }));
        // Judged in the transaction too: an id that is known.
        let again = store.append_in(&mut transaction, to("a-1", [1])).await.unwrap();
        assert!(again.replayed);
        let receipt = store.append_in(&mut transaction, to("a-1", [3])).await.unwrap();
        assert_eq!(receipt.streams[0].first.0, 1);
        // What the transaction wrote itself, it sees.
        let receipt = store.append_in(&mut transaction, to("a-1", [4])).await.unwrap();
        assert_eq!(receipt.streams[0].first.0, 2);
        let sql = format!("INSERT INTO {table} VALUES (1)");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(ids(&all(&store, Read::query(Query::All)).await), [1, 3, 4]);
        assert_eq!(count(&pool, &table).await, 1);
    });
}

#[test]
fn a_snapshot_that_could_miss_a_conflict_is_refused_with_the_cure() {
    runtime().block_on(async {
        let (store, pool, _) = begun().await;
        for level in ["REPEATABLE READ", "SERIALIZABLE"] {
            let begin = AssertSqlSafe(format!("BEGIN ISOLATION LEVEL {level}"));
            let mut transaction = pool.begin_with(begin).await.unwrap();
            for append in [to("a-1", [1]), to("$$a-1", [])] {
                let append = match append.events.is_empty() {
                    // Of a metadata stream: never one call.
                    true => {
                        append.tracking("source", 1).expecting(stream("$$a-1"), Expected::NoStream)
                    }
                    false => append,
                };
                let refused = store.append_in(&mut transaction, append).await;
                let Err(AppendError::Unsupported { what }) = refused else { panic!("{refused:?}") };
                assert!(what.contains("begin it as READ COMMITTED"), "{what}");
            }
            transaction.commit().await.unwrap();
        }
        let mut transaction = pool.begin().await.unwrap();
        let off = "SET LOCAL synchronous_commit = off";
        sqlx::query(off).execute(&mut *transaction).await.unwrap();
        let refused = store.append_in(&mut transaction, to("a-1", [1])).await;
        assert!(matches!(refused, Err(AppendError::ReadOnly { .. })), "{refused:?}");
        transaction.commit().await.unwrap();
        assert_eq!(store.head().await.unwrap().0, 0);
    });
}

#[test]
fn rows_of_the_callers_are_in_the_transaction_of_an_append() {
    runtime().block_on(async {
        let (store, pool, table) = begun().await;
        let insert = async |connection: &mut sqlx::PgConnection, id: i64| {
            let sql = format!("INSERT INTO {table} VALUES ({id})");
            sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map(|_| ())
        };
        // Events of more than a batch, and of the store's own: the stream was deleted.
        store.append(to("a-1", [1])).await.unwrap();
        store.change(&stream("a-1"), factum_core::Change::Delete, None).await.unwrap();
        let large = (2..8).map(|id| {
            let data = vec![b' '; 100_000];
            (stream("a-1"), factum_core::EventData { data: data.into(), ..event(id) })
        });
        let append = factum_core::Append { events: large.collect(), ..Default::default() };
        let mut seen = Vec::new();
        let receipt = store.append_with(append.clone(), async |connection, events| {
            seen = events.to_vec();
            insert(connection, 1).await
        });
        let receipt = receipt.await.unwrap();
        assert_eq!((seen.len(), count(&pool, &table).await), (7, 1));
        assert_eq!(seen.last().unwrap().position(), receipt.position);
        // Done before: not called again.
        let again = store.append_with(append, async |_, _| panic!("it was done"));
        assert!(again.await.map_err(|error: AppendWithError<()>| error).unwrap().replayed);
        // Its error undoes both, and names whose it is.
        let failing = store.append_with(to("b-1", [9]), async |connection, _| {
            insert(connection, 2).await.unwrap();
            Err("no")
        });
        assert_eq!(failing.await, Err(AppendWithError::Inline("no")));
        assert_eq!(count(&pool, &table).await, 1);
        let reading = store.read(Read::stream(stream("b-1"))).await.unwrap();
        assert_eq!(reading.state, Some(StreamState::Absent));
    });
}
