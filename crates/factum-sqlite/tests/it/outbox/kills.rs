//! Killed with `kill -9` at any moment between enqueueing, publishing and marking, two processes
//! over one file, and started again: each committed row gets to the broker, in order for its key.

use super::{LONG, TOPIC, brisk, run, world};
use crate::support::{as_child, child, open};
use factum_app::{
    message::{Message, Outgoing, PublishError, Publisher},
    outbox::{Outbox, Relay, RelayOptions},
    world::BoxFuture,
};
use factum_sqlite::{
    SqliteOutbox, SqliteStore,
    outbox::enqueue,
    sqlx::{self, SqliteConnection},
};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const ROUNDS: u64 = 5;
const KEYS: u64 = 5;

/// A broker that outlives whoever publishes: a file, to which each message is appended with one
/// write. What is in it was confirmed, or its confirmation was lost.
#[derive(Debug)]
struct FileBroker(File);

fn broker_of(file: &Path) -> PathBuf {
    file.with_extension("broker")
}

impl FileBroker {
    fn open(file: &Path) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(broker_of(file)).unwrap())
    }
}

impl Publisher for FileBroker {
    fn max_bytes(&self) -> u64 {
        1 << 20
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            for one in batch {
                let line = format!("{}\n", one.message.id);
                (&self.0).write_all(line.as_bytes()).unwrap();
                tokio::task::yield_now().await;
            }
            batch.iter().map(|_| Ok(())).collect()
        })
    }
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
        enqueue(connection, &[Outgoing::new(TOPIC, message)]).await?;
        Ok::<_, sqlx::Error>(number)
    };
    store.write(placing).await.unwrap()
}

fn options() -> RelayOptions {
    RelayOptions { claim: Duration::from_millis(300), batch_max: 16, ..brisk() }
}

fn relay(outbox: &SqliteOutbox, file: &Path) -> Relay {
    let broker = Arc::new(FileBroker::open(file));
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
    check(&file, &placed);
}

fn check(file: &Path, placed: &[(i64, i64)]) {
    let mut came: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let lines = BufReader::new(File::open(broker_of(file)).unwrap()).lines();
    let mut again = 0;
    for line in lines {
        let line = line.unwrap();
        let (key, number) = line.split_once('-').unwrap();
        let numbers = came.entry(key.parse().unwrap()).or_default();
        let number = number.parse().unwrap();
        match numbers.contains(&number) {
            true => again += 1,
            false => numbers.push(number),
        }
    }
    assert!(placed.len() as u64 == KEYS, "{placed:?}; {again} came again");
    for (key, count) in placed {
        assert_eq!(came[key], (1..=*count).collect::<Vec<_>>(), "of key {key}");
    }
}
