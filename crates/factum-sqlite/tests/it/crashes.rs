//! Killed with `kill -9` at any moment, and opened again: what was acknowledged is there, and
//! nothing is there by half, the application's own rows included.

use crate::support::{all, as_child, child, event, open, stream};
use factum_core::{Append, EventStore, Query, Read, RecordedEvent, StreamName};
use factum_sqlite::sqlx::{self, ConnectOptions, SqliteConnection};
use factum_testkit::block_on;
use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader, Write},
    path::Path,
    thread,
};

const ROUNDS: u64 = 6;
const THREADS: u64 = 4;
/// Events of one append: the first and the last in one stream, the middle one in another.
const EVENTS: u64 = 3;
/// More than a round ever gets to.
const APPENDS_MAX: u64 = 100_000;

fn id(seed: u64, thread: u64, nth: u64) -> u128 {
    (u128::from(seed) << 64) | (u128::from(thread) << 32) | u128::from(nth + 1)
}

fn append_of(seed: u64, thread: u64, append: u64) -> Append {
    let own: StreamName = stream(&format!("own-{thread}"));
    let ids = (0..EVENTS).map(|n| id(seed, thread, append * EVENTS + n));
    let streams = [own.clone(), stream("all"), own];
    Append { events: streams.into_iter().zip(ids.map(event)).collect(), ..Append::default() }
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

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_appends_and_says_what_is_acknowledged() {
    let Some((store, seed)) = as_child() else { return };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                for append in 0..APPENDS_MAX {
                    let appended = store.append_with(append_of(seed, thread, append), note);
                    let receipt = block_on(appended).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {thread} {append} {}", receipt.position).unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

/// Runs a child until it has acknowledged so many appends, and kills it; all that it said.
fn killed(file: &Path, seed: u64, after: usize) -> Vec<(u64, u64, u64)> {
    let name = "crashes::the_child_appends_and_says_what_is_acknowledged";
    let mut child = child(name, file, seed);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines {
        let line = line.unwrap();
        let Some(line) = line.split_once("acknowledged ") else { continue };
        let numbers: Vec<u64> = line.1.split(' ').map_while(|n| n.parse().ok()).collect();
        // The last line may be cut by the kill.
        if let [thread, append, position] = numbers[..] {
            said.push((thread, append, position));
        }
        if said.len() == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.db");
    let store = open(&file);
    let make = async |connection: &mut SqliteConnection, _: &[RecordedEvent]| {
        let table = "CREATE TABLE seen (position INTEGER PRIMARY KEY)";
        sqlx::query(table).execute(connection).await.map(drop)
    };
    block_on(store.append_with(Append::default().tracking("setup", 1), make)).unwrap();
    store.close();
    let mut acknowledged = HashMap::new();
    for round in 0..ROUNDS {
        let after = 20 + 37 * usize::try_from(round).unwrap();
        let said = killed(&file, round, after);
        assert!(said.len() >= after, "round {round}: {} said", said.len());
        for (thread, append, position) in said {
            acknowledged.insert(id(round, thread, append * EVENTS + EVENTS - 1), position);
        }
        check(&file, &acknowledged);
    }
}

fn check(file: &Path, acknowledged: &HashMap<u128, u64>) {
    let store = open(file);
    let events = all(&store, Read::query(Query::All));
    let at: HashMap<u128, u64> =
        events.iter().map(|event| (event.id().as_u128(), event.position().0)).collect();
    assert_eq!(at.len(), events.len(), "no event is there twice");
    for (id, position) in acknowledged {
        // The last line may have been cut within its position.
        let stored = at.get(id).map(ToString::to_string).unwrap_or_default();
        assert!(stored.starts_with(&position.to_string()), "{id:x}: {stored}, said {position}");
    }
    let positions: Vec<u64> = events.iter().map(|event| event.position().0).collect();
    assert_eq!(positions, (1..=events.len() as u64).collect::<Vec<_>>(), "no gap");
    assert_eq!(block_on(store.head()).unwrap().0, events.len() as u64);
    for append in events.chunks(3) {
        let ids: Vec<u128> = append.iter().map(|event| event.id().as_u128()).collect();
        assert_eq!(ids, (ids[0]..ids[0] + 3).collect::<Vec<_>>(), "an append is whole, in a row");
    }
    let streams: HashSet<&StreamName> = events.iter().map(RecordedEvent::stream).collect();
    for stream in streams {
        let revisions = events.iter().filter(|event| event.stream() == stream);
        let revisions: Vec<u64> = revisions.map(|event| event.revision().0).collect();
        assert_eq!(revisions, (0..revisions.len() as u64).collect::<Vec<_>>(), "{stream}");
    }
    assert_eq!(seen(file), positions, "the application's rows are those of the events");
}

fn seen(file: &Path) -> Vec<u64> {
    block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut other = options.connect().await.unwrap();
        let sound: String =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut other).await.unwrap();
        assert_eq!(sound, "ok");
        let sql = "SELECT position FROM seen ORDER BY position";
        let seen: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&mut other).await.unwrap();
        seen.into_iter().map(i64::cast_unsigned).collect()
    })
}
