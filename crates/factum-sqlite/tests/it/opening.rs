//! Opening files: new ones, those of others, and what no store is made of.

use crate::support::{all, event, open, stream, to};
use factum_core::{Append, AppendError, EventStore, Position, Query, Read};
use factum_sqlite::{OpenError, Options, SqliteStore, sqlx};
use factum_testkit::block_on;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::path::Path;

fn refused(path: &Path) -> OpenError {
    let options = Options { busy_timeout_ms: 50, ..Options::default() };
    block_on(SqliteStore::open(path, options)).expect_err("it is refused")
}

fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    block_on(options.connect()).unwrap()
}

fn run(connection: &mut SqliteConnection, sql: &'static str) {
    block_on(sqlx::raw_sql(sql).execute(connection)).unwrap();
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let text = "not a database at all, but long enough to be taken for one ".repeat(20);
    std::fs::write(&path, &text).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
    assert!(error.to_string().contains("name another file"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_file_without_a_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(&dir.path().join("absent/events.db"));
    assert!(matches!(error, OpenError::CannotOpen { .. }), "{error:?}");
    assert!(error.to_string().contains("folder must exist"), "{error}");
}

#[test]
fn another_format_is_refused_and_both_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    open(&path).close();
    run(&mut connect(&path), "UPDATE factum_store SET format = 7");
    let error = refused(&path);
    assert!(matches!(error, OpenError::OtherFormat { found: 7, known: 1 }), "{error:?}");
}

#[test]
fn a_file_that_another_process_holds_is_refused_after_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let mut other = connect(&path);
    run(&mut other, "BEGIN EXCLUSIVE; CREATE TABLE notes (text TEXT)");
    let error = refused(&path);
    assert!(matches!(error, OpenError::Locked { waited_ms: 50 }), "{error:?}");
    run(&mut other, "ROLLBACK");
    open(&path).close();
}

#[test]
fn an_append_waits_for_another_process_for_the_time_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let options = Options { busy_timeout_ms: 50, ..Options::default() };
    let store = block_on(SqliteStore::open(&path, options)).unwrap();
    let mut other = connect(&path);
    run(&mut other, "BEGIN IMMEDIATE");
    let refused = block_on(store.append(to("a-1", [1]))).unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable { .. }), "{refused:?}");
    assert!(refused.is_retryable() && refused.to_string().contains("another process"), "{refused}");
    run(&mut other, "ROLLBACK");
    let receipt = block_on(store.append(to("a-1", [1]))).unwrap();
    assert_eq!((receipt.position, receipt.replayed), (Position(1), false));
}

#[test]
fn tables_of_the_application_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let mut app = connect(&path);
    run(
        &mut app,
        "PRAGMA user_version = 7; CREATE TABLE events (text TEXT);
        INSERT INTO events VALUES ('mine')",
    );
    let store = open(&path);
    block_on(store.append(to("a-1", [1]))).unwrap();
    let mine = "SELECT text FROM events";
    let text: String = block_on(sqlx::query_scalar(mine).fetch_one(&mut app)).unwrap();
    assert_eq!(text, "mine");
    let version: i64 =
        block_on(sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut app)).unwrap();
    assert_eq!(version, 7);
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'factum%'
        AND name NOT LIKE 'sqlite%' AND name != 'events'";
    assert_eq!(block_on(sqlx::query_scalar::<_, i64>(ours).fetch_one(&mut app)).unwrap(), 0);
}

#[test]
fn the_log_is_readable_by_people() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let store = open(&path);
    block_on(store.append(to("order-7", [1]))).unwrap();
    let sql = "SELECT stream || ' ' || type || ' ' || data || ' ' || id FROM factum_log";
    let text: String = block_on(sqlx::query_scalar(sql).fetch_one(&mut connect(&path))).unwrap();
    assert_eq!(text, "order-7 happened {} 00000000000000000000000000000001");
}

#[test]
fn closing_leaves_one_file_and_the_id_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let store = open(&path);
    let id = store.id();
    block_on(store.append(to("a-1", [1, 2]))).unwrap();
    store.close();
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 1, "the write-ahead log is taken in");
    let store = open(&path);
    assert_eq!(store.id(), id);
    assert_eq!(all(&store, Read::stream(stream("a-1"))).len(), 2);
}

#[test]
fn positions_are_not_given_again_when_rows_were_deleted_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let store = open(&path);
    block_on(store.append(to("a-1", [1, 2, 3]))).unwrap();
    run(&mut connect(&path), "DELETE FROM factum_events WHERE position > 1");
    let receipt = block_on(store.append(to("b-1", [4]))).unwrap();
    assert_eq!(receipt.position, Position(4));
    // What is missing is passed over, however it was looked for.
    let query = Query::types([event(1).event_type]);
    for read in [Read::query(Query::All), Read::query(query)] {
        let positions: Vec<u64> =
            all(&store, read).iter().map(|event| event.position().0).collect();
        assert_eq!(positions, [1, 4]);
    }
}

#[test]
fn damage_is_reported_and_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let store = open(&path);
    block_on(store.append(Append::to(stream("a-1"), [event(1)]))).unwrap();
    run(&mut connect(&path), "UPDATE factum_events SET id = x'00'");
    let read = block_on(store.read(Read::stream(stream("a-1"))));
    assert!(matches!(read, Err(factum_core::ReadError::Damaged { .. })), "{read:?}");
}

#[test]
fn a_store_that_is_dropped_tells_who_follows_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("events.db"));
    let select = factum_core::Select::Query(Query::All);
    let following = store.subscribe(factum_core::Subscribe { select, after: None });
    let mut batches = block_on(following).unwrap();
    assert!(block_on(factum_core::next_batch(&mut batches)).unwrap().unwrap().caught_up);
    store.close();
    let end = block_on(factum_core::next_batch(&mut batches)).unwrap();
    assert!(matches!(end, Err(factum_core::ReadError::Unavailable { .. })), "{end:?}");
    drop(connect(&dir.path().join("events.db")).close());
}
