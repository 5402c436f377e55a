//! What the store costs beside the same facts written by hand: one table with the indexes that an
//! application would give it, a row an event, the same settings of SQLite, the same transactions.
//!
//! `cargo run --release -p factum-sqlite --example beside -- [FOLDER]`. Both sides take turns, in
//! three rounds; the medians' ratio is what is told, as the figures themselves are the machine's.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement prints")]
#![allow(clippy::indexing_slicing, reason = "arrays of fixed lengths")]

use factum_core::{
    Append, EventData, EventStore, EventType, Query, Read, StreamName, Tag, Uuid, next_batch,
};
use factum_sqlite::{
    Options, SqliteStore,
    sqlx::{
        self, ConnectOptions, Connection, Row, SqliteConnection,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use std::{path::Path, time::Instant};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROUNDS: usize = 3;
/// Turns of the two sides in each kind of work.
const SLICES: usize = 10;
/// Appends one after the other, in a slice.
const SINGLE: u64 = 30;
/// Appends of many clients at once, in a slice.
const CLIENTS: u64 = 64;
const EACH: u64 = 4;
/// Events of a large append, and how many of these, in a slice.
const LARGE: u64 = 1000;
const LARGES: u64 = 2;
const DATA: &str = r#"{"order":"4711","customer":"c-4242","total":129.90,"currency":"EUR","lines":3,
    "note":"about two hundred bytes, as an event of an application mostly has, padding padding"}"#;

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let mut all: [Vec<[f64; 2]>; 4] = Default::default();
    for round in 0..ROUNDS {
        let dir = folder.join(format!("factum-beside-{}-{round}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let seconds = runtime.block_on(measure(&dir));
        std::fs::remove_dir_all(&dir)?;
        for (all, both) in all.iter_mut().zip(seconds?) {
            all.push(both);
        }
    }
    let names = ["one append after the other", "64 clients", "1,000 an append", "reading all"];
    println!("store : by hand, in events a second");
    for (name, rounds) in names.iter().zip(all) {
        let median = |side: usize| {
            let mut side: Vec<f64> =
                rounds.iter().filter_map(|both| both.get(side).copied()).collect();
            side.sort_by(f64::total_cmp);
            side.get(side.len() / 2).copied().unwrap_or_default()
        };
        println!("{name:28} {:.2}", median(1) / median(0));
    }
    Ok(())
}

/// Seconds of the store and by hand, for each kind of work, slice by slice in turns, so that
/// whatever else the machine does meets both.
async fn measure(dir: &Path) -> Result<[[f64; 2]; 4], Failure> {
    let store = SqliteStore::open(dir.join("store.db"), Options::default()).await?;
    let mut hand = by_hand(&dir.join("hand.db")).await?;
    let (mut id, mut row) = (0, 0);
    let mut all = [[0.0; 2]; 4];
    let [single, many, large, reading] = &mut all;
    for _ in 0..SLICES {
        single[0] += timed(singles(&store, &mut id)).await?;
        single[1] += timed(transactions_by_hand(&mut hand, &mut row, [SINGLE, 1])).await?;
    }
    for _ in 0..SLICES {
        many[0] += timed(clients(&store, &mut id)).await?;
        // As many rows in a transaction as there are clients: what a writer of one's own would
        // gather.
        many[1] += timed(transactions_by_hand(&mut hand, &mut row, [EACH, CLIENTS])).await?;
    }
    for _ in 0..SLICES {
        large[0] += timed(larges(&store, &mut id)).await?;
        large[1] += timed(transactions_by_hand(&mut hand, &mut row, [LARGES, LARGE])).await?;
    }
    for _ in 0..SLICES {
        reading[0] += timed(read(&store)).await?;
        reading[1] += timed(read_by_hand(&mut hand)).await?;
    }
    Ok(all)
}

async fn timed(work: impl Future<Output = Result<(), Failure>>) -> Result<f64, Failure> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed().as_secs_f64())
}

fn event(id: &mut u128) -> Result<EventData, Failure> {
    *id += 1;
    // Spread, as random ids are.
    let spread = Uuid::from_u128(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1);
    let tag = Tag::new(&format!("customer:{}", *id % 500))?;
    Ok(EventData::new(spread, EventType::new("order.placed")?, DATA).with_tags([tag]))
}

fn stream(of: u128) -> Result<StreamName, Failure> {
    Ok(StreamName::new(&format!("order-{}", of % 200))?)
}

async fn singles(store: &SqliteStore, id: &mut u128) -> Result<(), Failure> {
    for _ in 0..SINGLE {
        let event = event(id)?;
        store.append(Append::to(stream(*id)?, [event])).await?;
    }
    Ok(())
}

async fn clients(store: &SqliteStore, id: &mut u128) -> Result<(), Failure> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (store, mut id) = (store.clone(), *id + u128::from(client * EACH));
        clients.spawn(async move {
            for _ in 0..EACH {
                let event = event(&mut id)?;
                store.append(Append::to(stream(id)?, [event])).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    *id += u128::from(CLIENTS * EACH);
    Ok(())
}

async fn larges(store: &SqliteStore, id: &mut u128) -> Result<(), Failure> {
    for large in 0..LARGES {
        let events: Result<Vec<_>, _> = (0..LARGE).map(|_| event(id)).collect();
        store.append(Append::to(stream(u128::from(large))?, events?)).await?;
    }
    Ok(())
}

async fn read(store: &SqliteStore) -> Result<(), Failure> {
    let mut batches = store.read(Read::query(Query::All)).await?.batches;
    let mut bytes = 0;
    while let Some(batch) = next_batch(&mut batches).await {
        bytes += batch?.events.iter().map(|event| event.data().len()).sum::<usize>();
    }
    assert!(bytes > 0, "there are events");
    Ok(())
}

async fn by_hand(file: &Path) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut hand = options.connect().await?;
    let tables = "CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL,
            revision INTEGER NOT NULL, id BLOB NOT NULL, type TEXT NOT NULL, at INTEGER NOT NULL,
            data BLOB NOT NULL, metadata BLOB NOT NULL, UNIQUE (stream, revision)) STRICT;
        CREATE INDEX events_by_type ON events (type, position);
        CREATE TABLE tags (tag TEXT NOT NULL, position INTEGER NOT NULL,
            PRIMARY KEY (tag, position)) STRICT, WITHOUT ROWID;
        CREATE INDEX events_by_id ON events (stream, id)";
    sqlx::raw_sql(tables).execute(&mut hand).await?;
    Ok(hand)
}

/// One event as an application would write it: its revision looked up, a row, a row for its tag.
async fn row_by_hand(hand: &mut SqliteConnection, id: u128) -> Result<(), Failure> {
    let stream = stream(id)?;
    let spread = Uuid::from_u128(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1);
    let last = "SELECT coalesce(max(revision), -1) FROM events WHERE stream = ?";
    let last: i64 = sqlx::query_scalar(last).bind(stream.as_str()).fetch_one(&mut *hand).await?;
    let row = "INSERT INTO events (stream, revision, id, type, at, data, metadata)
        VALUES (?, ?, ?, 'order.placed', 0, ?, x'')";
    let row = sqlx::query(row).bind(stream.as_str()).bind(last + 1).bind(&spread.as_bytes()[..]);
    let position = row.bind(DATA.as_bytes()).execute(&mut *hand).await?.last_insert_rowid();
    let tag = sqlx::query("INSERT INTO tags VALUES (?, ?)").bind(format!("customer:{}", id % 500));
    tag.bind(position).execute(hand).await?;
    Ok(())
}

/// So many transactions, each of so many rows.
async fn transactions_by_hand(
    hand: &mut SqliteConnection,
    row: &mut u128,
    [count, rows]: [u64; 2],
) -> Result<(), Failure> {
    for _ in 0..count {
        let mut transaction = hand.begin_with("BEGIN IMMEDIATE").await?;
        for _ in 0..rows {
            *row += 1;
            row_by_hand(&mut transaction, *row).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

async fn read_by_hand(hand: &mut SqliteConnection) -> Result<(), Failure> {
    let page = "SELECT position, stream, revision, id, type, at, data, metadata FROM events
        WHERE position > ? ORDER BY position LIMIT 1000";
    let mut bytes = 0;
    let mut last = 0;
    loop {
        let rows = sqlx::query(page).bind(last).fetch_all(&mut *hand).await?;
        for row in &rows {
            last = row.try_get::<i64, _>(0)?;
            let (_stream, _type): (String, String) = (row.try_get(1)?, row.try_get(4)?);
            let (_revision, _at): (i64, i64) = (row.try_get(2)?, row.try_get(5)?);
            let _id: Vec<u8> = row.try_get(3)?;
            let (data, _metadata): (Vec<u8>, Vec<u8>) = (row.try_get(6)?, row.try_get(7)?);
            bytes += data.len();
        }
        if rows.is_empty() {
            break;
        }
    }
    assert!(bytes > 0, "there are rows");
    Ok(())
}
