//! The server, and the relay, killed with `kill -9` at any moment while rows are written: what was
//! committed is published, in the order of its key, and some of it twice.

use super::{Broker, PATIENCE, Room, told, until};
use crate::support::runtime;
use factum_app::{
    message::{Outgoing, PublishError, Publisher},
    world::BoxFuture,
};
use factum_postgres::{
    cdc::{CdcRelay, CdcRelayOptions, CdcState},
    sqlx::{ConnectOptions, postgres::PgConnectOptions},
};
use factum_services::postgres::Postgres;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

/// The ids of a key as they came first: later ones are repetitions.
fn first_of(ids: &[String], key: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let of_key = ids.iter().filter(|id| id.starts_with(key));
    of_key.filter(|id| seen.insert((*id).clone())).cloned().collect()
}

fn named(key: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|nth| format!("{key}{nth}")).collect()
}

#[test]
fn the_server_is_killed_and_what_was_committed_is_published() {
    let mut server = Postgres::start().unwrap();
    let address: PgConnectOptions = server.url().parse().unwrap();
    let broker = Broker::default();
    let (mut room, mut relay) = runtime().block_on(async {
        let room = Room::at(address).await;
        let relay = room.start(&broker);
        (room, relay)
    });
    for round in 0..3 {
        runtime().block_on(async {
            for nth in round * 20..round * 20 + 20 {
                room.insert(&[&format!("a{nth}"), &format!("b{nth}")]).await;
            }
        });
        // Wherever the relay is by now.
        server.kill9().unwrap();
        server.restart().unwrap();
        runtime().block_on(async {
            room.connection = room.address.connect().await.unwrap();
        });
    }
    runtime().block_on(async {
        until("all are published", async || {
            ["a59", "b59"].iter().all(|id| broker.ids().iter().any(|has| has == id))
        })
        .await;
        for key in ["a", "b"] {
            assert_eq!(first_of(&broker.ids(), key), named(key, 0..60));
        }
        told(&mut relay, |status| matches!(status.state, CdcState::Running)).await;
        room.leave(relay).await;
    });
}

/// Where a child finds the server, and the schema.
const CHILD_URL: &str = "FACTUM_POSTGRES_CDC_CHILD_URL";
const CHILD_SCHEMA: &str = "FACTUM_POSTGRES_CDC_CHILD_SCHEMA";

/// A broker that is the other end of a pipe: what is written there it has.
#[derive(Debug)]
struct Pipe;

impl Publisher for Pipe {
    fn max_bytes(&self) -> u64 {
        1 << 20
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let mut out = std::io::stdout().lock();
            for one in batch {
                writeln!(out, "published {} .", one.message.id).unwrap();
            }
            out.flush().unwrap();
            batch.iter().map(|_| Ok(())).collect()
        })
    }
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_relays_and_says_what_it_publishes() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let schema = std::env::var(CHILD_SCHEMA).unwrap();
    runtime().block_on(async {
        let (slot, publication) = (schema.clone(), schema.clone());
        let options = CdcRelayOptions {
            schema,
            slot,
            publication,
            batch_max: 7,
            ..CdcRelayOptions::default()
        };
        let mut relay = CdcRelay::new(&url, Arc::new(Pipe), options).unwrap().start();
        relay.wait_for(|status| matches!(status.state, CdcState::Stopped { .. })).await;
    });
}

/// Runs a child until it has published so many rows, or a certain one, and kills it.
fn killed(room: &Room, after: usize, last: &str) -> Vec<String> {
    let test = "cdc::crashes::the_child_relays_and_says_what_it_publishes";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD_URL, room.address.to_url_lossy().to_string())
        .env(CHILD_SCHEMA, &room.schema)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    let began = Instant::now();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        assert!(began.elapsed() < PATIENCE, "it does not get on: {said:?}");
        let line = line.unwrap();
        let Some((_, id)) = line.split_once("published ") else { continue };
        // The last line may be cut by the kill.
        said.extend(id.strip_suffix(" .").map(str::to_owned));
        if said.len() == after || said.last().is_some_and(|id| id == last) {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

#[test]
fn the_relay_is_killed_and_what_was_committed_is_published() {
    let mut room = runtime().block_on(Room::new());
    let mut said = Vec::new();
    for round in 0..4 {
        runtime().block_on(async {
            for nth in round * 25..round * 25 + 25 {
                room.insert(&[&format!("a{nth}"), &format!("b{nth}")]).await;
            }
        });
        let (after, last) = if round == 3 { (usize::MAX, "b99") } else { (13, "") };
        said.extend(killed(&room, after, last));
    }
    for key in ["a", "b"] {
        assert_eq!(first_of(&said, key), named(key, 0..100));
    }
    runtime().block_on(async {
        let broker = Broker::default();
        let mut relay = room.start(&broker);
        told(&mut relay, |status| matches!(status.state, CdcState::Running)).await;
        room.leave(relay).await;
    });
}
