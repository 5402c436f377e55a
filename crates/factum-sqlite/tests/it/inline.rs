//! The caller's own rows in the transaction of the events: both, or neither, whatever fails where.

use crate::support::{all, open, stream, to};
use factum_core::{
    Append, AppendError, EventStore, Expected, Position, Query, Read, ReadError, RecordedEvent,
};
use factum_sqlite::{
    AppendWithError, Applied, Inline, Options, SqliteStore,
    sqlx::{self, SqliteConnection},
};
use factum_testkit::block_on;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use tempfile::TempDir;

/// A store with a table of the application's.
fn with_table() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("app.db"));
    let make = async |connection: &mut SqliteConnection, _: &[RecordedEvent]| {
        let table = "CREATE TABLE seen (position INTEGER PRIMARY KEY CHECK (position < 1000))";
        sqlx::query(table).execute(connection).await.map(drop)
    };
    block_on(store.append_with(Append::default().tracking("setup", 1), make)).unwrap();
    (dir, store)
}

async fn note(
    connection: &mut SqliteConnection,
    events: &[RecordedEvent],
) -> Result<(), sqlx::Error> {
    for event in events {
        let row = sqlx::query("INSERT INTO seen VALUES (?)").bind(event.position().0.cast_signed());
        row.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Rows of the application's table, as another process sees them.
fn noted(dir: &TempDir) -> Vec<i64> {
    use sqlx::ConnectOptions;
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("app.db"));
    block_on(async {
        let mut other = file.connect().await.unwrap();
        let sql = "SELECT position FROM seen ORDER BY position";
        sqlx::query_scalar(sql).fetch_all(&mut other).await.unwrap()
    })
}

fn positions(store: &SqliteStore) -> Vec<u64> {
    all(store, Read::query(Query::All)).iter().map(|event| event.position().0).collect()
}

#[test]
fn rows_and_events_commit_together() {
    let (dir, store) = with_table();
    let receipt = block_on(store.append_with(to("a-1", [1, 2]), note)).unwrap();
    assert_eq!(receipt.position, Position(2));
    assert_eq!((noted(&dir), positions(&store)), (vec![1, 2], vec![1, 2]));
}

/// Where the caller's code fails: before it has written, between two rows, after all of them.
#[test]
fn an_error_in_any_gap_undoes_both() {
    for gap in 0..=2 {
        let (dir, store) = with_table();
        let failing = async move |connection: &mut SqliteConnection, events: &[RecordedEvent]| {
            note(connection, &events[..gap]).await.map_err(|error| error.to_string())?;
            Err(format!("on purpose after {gap}"))
        };
        let refused = block_on(store.append_with(to("a-1", [1, 2]), failing));
        assert_eq!(refused, Err(AppendWithError::Inline(format!("on purpose after {gap}"))));
        assert_eq!((noted(&dir), positions(&store)), (vec![], vec![]));
        // As if it had never been: the names, the position, the id and the tracked position.
        let again = to("a-1", [1, 2]).expecting(stream("a-1"), Expected::NoStream);
        let receipt = block_on(store.append_with(again, note)).unwrap();
        assert_eq!((receipt.position, receipt.replayed), (Position(2), false));
        assert_eq!((noted(&dir), positions(&store)), (vec![1, 2], vec![1, 2]));
    }
}

#[test]
fn an_error_leaves_tracking_and_its_retry_moves_it() {
    let (_dir, store) = with_table();
    let append = || to("a-1", [1]).tracking("upstream", 7);
    let failing = async |_: &mut SqliteConnection, _: &[RecordedEvent]| Err("on purpose");
    assert!(block_on(store.append_with(append(), failing)).is_err());
    assert_eq!(block_on(store.tracked("upstream")), Ok(None));
    block_on(store.append_with(append(), note)).unwrap();
    assert_eq!(block_on(store.tracked("upstream")), Ok(Some(7)));
}

#[test]
fn a_constraint_of_the_applications_refuses_the_append() {
    let (dir, store) = with_table();
    let twice = async |connection: &mut SqliteConnection, events: &[RecordedEvent]| {
        note(connection, events).await?;
        note(connection, events).await
    };
    let refused = block_on(store.append_with(to("a-1", [1]), twice));
    assert!(matches!(refused, Err(AppendWithError::Inline(sqlx::Error::Database(_)))));
    assert_eq!((noted(&dir), positions(&store)), (vec![], vec![]));
}

#[test]
fn what_is_refused_or_was_done_before_does_not_call_it() {
    let (dir, store) = with_table();
    block_on(store.append_with(to("a-1", [1]), note)).unwrap();
    let called = Arc::new(AtomicBool::new(false));
    let calls = || {
        let called = called.clone();
        async move |_: &mut SqliteConnection, _: &[RecordedEvent]| {
            called.store(true, Ordering::SeqCst);
            Ok::<(), sqlx::Error>(())
        }
    };
    let replayed = block_on(store.append_with(to("a-1", [1]), calls())).unwrap();
    assert!(replayed.replayed);
    let checked = to("a-1", [2]).expecting(stream("a-1"), Expected::NoStream);
    let refused = block_on(store.append_with(checked, calls()));
    assert!(matches!(refused, Err(AppendWithError::Append(AppendError::Conflict { .. }))));
    let invalid = block_on(store.append_with(Append::default(), calls()));
    assert!(matches!(invalid, Err(AppendWithError::Append(AppendError::Invalid(_)))));
    assert!(!called.load(Ordering::SeqCst));
    assert_eq!(noted(&dir), [1]);
}

#[test]
fn a_panic_undoes_both_and_the_store_goes_on() {
    let (dir, store) = with_table();
    let panicking = async |connection: &mut SqliteConnection, events: &[RecordedEvent]| {
        note(connection, events).await?;
        assert!(events.is_empty(), "on purpose");
        Ok::<(), sqlx::Error>(())
    };
    let refused = block_on(store.append_with(to("a-1", [1]), panicking));
    let Err(AppendWithError::Append(AppendError::Unavailable { why })) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("panicked"), "{why}");
    assert_eq!((noted(&dir), positions(&store)), (vec![], vec![]));
    block_on(store.append_with(to("a-1", [1]), note)).unwrap();
    assert_eq!((noted(&dir), positions(&store)), (vec![1], vec![1]));
}

#[test]
fn who_ends_the_transaction_is_told_that_the_outcome_is_unknown() {
    let (_dir, store) = with_table();
    for (statement, id) in [("COMMIT", 1), ("ROLLBACK", 2)] {
        let ending = async move |connection: &mut SqliteConnection, _: &[RecordedEvent]| {
            sqlx::raw_sql(statement).execute(connection).await.map(drop)
        };
        let answer = block_on(store.append_with(to("a-1", [id]), ending));
        let Err(AppendWithError::Append(AppendError::Unknown { .. })) = answer else {
            panic!("{statement}: {answer:?}")
        };
        // A retry with the same ids says what became of it, or does it.
        block_on(store.append(to("a-1", [id]))).unwrap();
    }
    assert_eq!(all(&store, Read::stream(stream("a-1"))).len(), 2);
}

#[test]
fn inside_of_an_append_the_store_refuses_to_be_called() {
    let (_dir, store) = with_table();
    let inner = store.clone();
    let seen = Arc::new(Mutex::new(None));
    let of_inline = seen.clone();
    let calling = async move |_: &mut SqliteConnection, _: &[RecordedEvent]| {
        let appended = inner.append(to("b-1", [9])).await;
        let read = inner.head().await;
        *of_inline.lock().unwrap() = Some((appended, read));
        Ok::<(), sqlx::Error>(())
    };
    block_on(store.append_with(to("a-1", [1]), calling)).unwrap();
    let (appended, read) = seen.lock().unwrap().take().unwrap();
    assert!(matches!(appended, Err(AppendError::Unavailable { .. })), "{appended:?}");
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    assert_eq!(positions(&store), [1]);
}

/// A projection of the whole store, which fails when it is told to.
#[derive(Debug, Default)]
struct Seen {
    failing: AtomicBool,
}

impl Inline for Seen {
    fn apply<'a>(
        &'a self,
        connection: &'a mut SqliteConnection,
        events: &'a [RecordedEvent],
    ) -> Applied<'a> {
        Box::pin(async move {
            note(connection, events).await?;
            if self.failing.load(Ordering::SeqCst) {
                return Err("on purpose".into());
            }
            Ok(())
        })
    }
}

#[test]
fn a_projection_of_the_store_sees_every_append_and_change() {
    let (dir, store) = with_table();
    store.close();
    let seen = Arc::new(Seen::default());
    let options = Options { inline: Some(seen.clone()), ..Options::default() };
    let store = block_on(SqliteStore::open(dir.path().join("app.db"), options)).unwrap();
    block_on(store.append(to("a-1", [1, 2]))).unwrap();
    block_on(store.change(&stream("a-1"), factum_core::Change::Delete, None)).unwrap();
    assert_eq!(noted(&dir), [1, 2, 3]);
    seen.failing.store(true, Ordering::SeqCst);
    let refused = block_on(store.append(to("a-1", [3]))).unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("on purpose"), "{refused}");
    assert_eq!((noted(&dir), positions(&store)), (vec![1, 2, 3], vec![1, 2, 3]));
    seen.failing.store(false, Ordering::SeqCst);
    block_on(store.append(to("a-1", [3]))).unwrap();
    // What lets the deleted stream go on is an event too.
    assert_eq!((noted(&dir), positions(&store)), ((1..=5).collect(), (1..=5).collect()));
}

#[test]
fn the_callers_runtime_is_at_hand() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (dir, store) = with_table();
    let sleeping = async |connection: &mut SqliteConnection, events: &[RecordedEvent]| {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        note(connection, events).await
    };
    runtime.block_on(store.append_with(to("a-1", [1]), sleeping)).unwrap();
    assert_eq!(noted(&dir), [1]);
}
