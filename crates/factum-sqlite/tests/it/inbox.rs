//! The inbox in SQLite: a message that comes again has no effect a second time, and one whose
//! transaction was undone has it when it comes again.

use crate::support::open;
use factum_app::message::Message;
use factum_core::Timestamp;
use factum_sqlite::{SqliteInbox, SqliteStore, inbox::is_first, sqlx};
use factum_testkit::block_on;
use sqlx::SqliteConnection;

fn message(id: &str) -> Message {
    Message::new(id, "/payments", "payment.received")
}

/// Takes a message in, and counts it; fails on demand after that.
fn handle(store: &SqliteStore, consumer: &'static str, message: Message, fail: bool) -> bool {
    let handling = async move |connection: &mut SqliteConnection| {
        let is_first = is_first(connection, consumer, &message).await?;
        if is_first {
            sqlx::query("UPDATE balance SET amount = amount + 1").execute(connection).await?;
        }
        if fail { Err(sqlx::Error::RowNotFound) } else { Ok(is_first) }
    };
    block_on(store.write(handling)).unwrap_or(false)
}

fn amount(store: &SqliteStore) -> i64 {
    let amount = async |connection: &mut SqliteConnection| {
        sqlx::query_scalar("SELECT amount FROM balance").fetch_one(connection).await
    };
    block_on(store.write::<_, sqlx::Error, _>(amount)).unwrap()
}

#[test]
fn a_message_has_its_effect_once_for_each_consumer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let store = open(&path);
    let make = async |connection: &mut SqliteConnection| {
        let sql = "CREATE TABLE balance (amount INTEGER); INSERT INTO balance VALUES (0)";
        sqlx::raw_sql(sql).execute(connection).await.map(drop)
    };
    block_on(store.write(make)).unwrap();
    let inbox = block_on(SqliteInbox::beside(&store)).unwrap();
    assert!(!handle(&store, "a", message("1"), true), "it was undone");
    assert_eq!(amount(&store), 0);
    assert!(handle(&store, "a", message("1"), false));
    assert!(!handle(&store, "a", message("1"), false));
    assert!(handle(&store, "b", message("1"), false), "another consumer");
    let other = Message { source: "/other".into(), ..message("1") };
    assert!(handle(&store, "a", other, false), "of another source it is another message");
    assert_eq!(amount(&store), 3);
    // Remembered over a restart, and forgotten by age.
    let store = {
        drop((inbox, store));
        open(&path)
    };
    let inbox = block_on(SqliteInbox::beside(&store)).unwrap();
    assert!(!handle(&store, "a", message("1"), false));
    assert_eq!(block_on(inbox.forget(Timestamp(1), 9)), Ok(0));
    assert_eq!(block_on(inbox.forget(Timestamp(i64::MAX), 2)), Ok(2));
    assert_eq!(block_on(inbox.forget(Timestamp(i64::MAX), 2)), Ok(1));
    assert!(handle(&store, "a", message("1"), false));
}
