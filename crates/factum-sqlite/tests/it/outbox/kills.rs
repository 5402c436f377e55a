//! Killed with `kill -9` at any moment between enqueueing, publishing and marking, two processes
//! over one file, and started again: each committed row gets to the broker, in order for its key.

use super::{LONG, run, world};
use crate::support::{as_child, child, open};
use factum_app::{
    message::{Message, Outgoing},
    outbox::{Outbox, Relay, RelayOptions},
};
use factum_sqlite::{
    SqliteOutbox, SqliteStore,
    outbox::enqueue,
    sqlx::{self, SqliteConnection},
};
use factum_testkit::outboxes::FileBroker;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const ROUNDS: u64 = 5;
const KEYS: u64 = 5;

fn broker_of(file: &Path) -> PathBuf {
    file.with_extension("broker")
}

/// One transaction: the next number of a key, in the application's table and in the outbox.
async fn place(store: &SqliteStore, key: u64) -> i64 {
    let placing = async move |connection: &mut SqliteConnection| {
        let next = "INSERT INTO placed SELECT ?1, coalesce(max(number), 0) + 1 FROM placed
            WHERE key = ?1 RETURNING number";
        let number: i64 =
            sqlx::query_scalar(next).bind(key.cast_signed()).fetch_one(&mut *connection).await?;
        let message = Message::new(format!("{key}-{number}"), "/orders", "order.placed");
        let message = message.key(key.to_string());
        enqueue(connection, &[Outgoing::new("orders", message)]).await?;
        Ok::<_, sqlx::Error>(number)
    };
    store.write(placing).await.unwrap()
}

fn options() -> RelayOptions {
    RelayOptions {
        batch_max: 16,
        claim: Duration::from_millis(300),
        poll: Duration::from_millis(20),
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(50),
        ..RelayOptions::default()
    }
}

fn relay(outbox: &SqliteOutbox, file: &Path) -> Relay {
    let broker = Arc::new(FileBroker::open(&broker_of(file)).unwrap());
    Relay::new(world(), Arc::new(outbox.clone()), broker, options())
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_places_and_relays() {
    let Some((store, seed)) = as_child() else { return };
    let file = PathBuf::from(std::env::var_os(crate::support::CHILD_FILE).unwrap());
    run(async {
        let outbox = SqliteOutbox::beside(&store).await.unwrap();
        let _relay = relay(&outbox, &file).start();
        loop {
            for key in 0..KEYS {
                place(&store, (key + seed) % KEYS).await;
                outbox.wake();
                let mut out = std::io::stdout().lock();
                writeln!(out, "placed").unwrap();
                out.flush().unwrap();
            }
        }
    });
}

#[test]
fn nothing_committed_is_lost_and_each_key_is_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.db");
    let store = open(&file);
    let outbox = run(async {
        let make = async |connection: &mut SqliteConnection| {
            let table = "CREATE TABLE placed (key INTEGER, number INTEGER)";
            sqlx::query(table).execute(connection).await.map(drop)
        };
        store.write(make).await.unwrap();
        SqliteOutbox::beside(&store).await.unwrap()
    });
    let name = "outbox::kills::the_child_places_and_relays";
    for round in 0..ROUNDS {
        let mut children = [child(name, &file, round), child(name, &file, round + 2)];
        for (nth, child) in (1..).zip(&mut children) {
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let placed = lines.map_while(Result::ok).filter(|line| line.contains("placed"));
            let after = 11 + 17 * usize::try_from(round).unwrap() * nth;
            assert_eq!(placed.take(after).count(), after, "round {round}: it has ended");
            child.kill().unwrap();
        }
        for mut child in children {
            child.wait().unwrap();
        }
    }
    let placed = run(async {
        let relaying = relay(&outbox, &file).start();
        while outbox.lag(world().now()).await.unwrap().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::timeout(LONG, relaying.stop()).await.unwrap();
        let all = async |connection: &mut SqliteConnection| {
            let sql = "SELECT key, count(*) FROM placed GROUP BY key";
            sqlx::query_as::<_, (i64, i64)>(sql).fetch_all(connection).await
        };
        store.write(all).await.unwrap()
    });
    let (came, _) = FileBroker::came(&broker_of(&file)).unwrap();
    let want = placed.iter().map(|(key, count)| (key.to_string(), (1..=*count).collect()));
    assert_eq!(came, want.collect::<BTreeMap<_, Vec<_>>>());
    assert_eq!(placed.len() as u64, KEYS);
}
