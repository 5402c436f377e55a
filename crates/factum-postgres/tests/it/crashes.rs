//! The server or its client killed with `kill -9` at any moment: what was acknowledged is there,
//! once, and nothing is there by half, an application's own rows included.

use crate::support::{event, ids, options, runtime, stream};
use factum_core::{
    Append, AppendError, EventStore, Position, Query, Read, Receipt, RecordedEvent, next_batch,
};
use factum_postgres::{
    AppendWithError, Options, PostgresStore,
    sqlx::{self, PgConnection, postgres::PgConnectOptions, raw_sql},
};
use factum_services::postgres::Postgres;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Events of one append: the first and the last in one stream, the middle one in another.
const EVENTS: u128 = 3;
const WRITERS: u128 = 4;
/// Writers of which the appends go together.
const TOGETHER: u128 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

fn append_of(seed: u128, writer: u128, append: u128) -> Append {
    let own = stream(&format!("own-{writer}"));
    // Those who all write to one stream go one after the other.
    let other = stream(&if writer < WRITERS { "all".into() } else { format!("other-{writer}") });
    let streams = [own.clone(), other, own];
    // A multiple of the number of events, and so one that tells the appends apart.
    let first = ((seed << 64) | (writer << 32)) * EVENTS + append * EVENTS;
    let id = |nth: u128| first + nth + 1;
    let events = streams.into_iter().zip((0..EVENTS).map(|nth| event(id(nth))));
    Append { events: events.collect(), ..Append::default() }
}

async fn note(connection: &mut PgConnection, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    for event in events {
        let row = sqlx::query("INSERT INTO seen VALUES ($1)");
        row.bind(event.position().0.cast_signed()).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn everything(store: &PostgresStore) -> Vec<RecordedEvent> {
    store.read(Read::query(Query::All)).await.unwrap().events().await.unwrap()
}

/// Compares what is there with what was acknowledged, and with the rows beside it.
async fn compare(
    store: &PostgresStore,
    address: &PgConnectOptions,
    acknowledged: &BTreeMap<u128, u64>,
) {
    let events = everything(store).await;
    let stored = ids(&events);
    let each: BTreeSet<u128> = stored.iter().copied().collect();
    assert_eq!(each.len(), stored.len(), "an event is stored twice");
    for (last, position) in acknowledged {
        let at = events.iter().find(|event| event.id().as_u128() == *last);
        assert_eq!(at.map(|event| event.position().0), Some(*position), "acknowledged and lost");
    }
    let mut appends: BTreeMap<u128, usize> = BTreeMap::new();
    for id in &stored {
        *appends.entry((id - 1) / EVENTS).or_default() += 1;
    }
    assert!(appends.values().all(|count| *count == EVENTS as usize), "an append by half");
    let mut connection = connect(address).await;
    let rows = sqlx::query_scalar::<_, i64>("SELECT position FROM seen ORDER BY position");
    let rows = rows.fetch_all(&mut connection).await.unwrap();
    let writer_of = |event: &RecordedEvent| (((event.id().as_u128() - 1) / EVENTS) >> 32) & 0xffff;
    let has_row = |event: &&RecordedEvent| writer_of(event) < WRITERS;
    let with_rows = events.iter().filter(has_row);
    let positions: Vec<i64> = with_rows.map(|event| event.position().0.cast_signed()).collect();
    assert_eq!(rows, positions, "rows and events");
}

async fn connect(address: &PgConnectOptions) -> PgConnection {
    use sqlx::ConnectOptions;
    address.connect().await.unwrap()
}

async fn table(address: &PgConnectOptions) {
    let sql = "CREATE TABLE seen (position bigint PRIMARY KEY)";
    raw_sql(sql).execute(&mut connect(address).await).await.unwrap();
}

/// Appends one after the other, each again until it is acknowledged.
async fn write(
    store: PostgresStore,
    writer: u128,
    (is_over, acknowledged): (Arc<AtomicBool>, Arc<Mutex<BTreeMap<u128, u64>>>),
) -> usize {
    let (mut tried_again, mut nth) = (0, 0);
    while !is_over.load(Ordering::Acquire) {
        let append = append_of(1, writer, nth);
        let last = append.events[2].1.id.as_u128();
        let done = match writer < WRITERS {
            true => store.append_with(append, note).await,
            false => store.append(append).await.map_err(AppendWithError::Append),
        };
        match done {
            Ok(receipt) => {
                acknowledged.lock().unwrap().insert(last, receipt.position.0);
                nth += 1;
            }
            Err(AppendWithError::Append(error)) if error.is_retryable() => tried_again += 1,
            // A statement of the application's own, on a connection that was lost.
            Err(AppendWithError::Inline(_)) => tried_again += 1,
            Err(error) => panic!("{error}"),
        }
    }
    tried_again
}

/// Follows from the last checkpoint, whatever ends it, until it has seen a position.
async fn follow(store: PostgresStore, until: Arc<Mutex<Option<Position>>>) -> Vec<u128> {
    use factum_core::{Select, Subscribe};
    let (mut seen, mut after) = (Vec::new(), 0);
    let mut began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "it never sees the end");
        let select = Select::Query(Query::All);
        let Ok(mut batches) = store.subscribe(Subscribe { select, after: Some(after) }).await
        else {
            continue;
        };
        while let Some(Ok(batch)) = next_batch(&mut batches).await {
            seen.extend(ids(&batch.events));
            after = batch.through.0;
            began = Instant::now();
            if until.lock().unwrap().is_some_and(|until| after >= until.0) {
                return seen;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until so many more appends are acknowledged.
async fn more(acknowledged: &Mutex<BTreeMap<u128, u64>>, count: usize) {
    let (before, began) = (acknowledged.lock().unwrap().len(), Instant::now());
    while acknowledged.lock().unwrap().len() < before + count {
        assert!(began.elapsed() < PATIENCE, "nothing is acknowledged");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn the_server_is_killed_and_nothing_acknowledged_is_lost() {
    let mut server = Postgres::start().unwrap();
    let address: PgConnectOptions = server.url().parse().unwrap();
    runtime().block_on(async {
        table(&address).await;
        let options = Options { connect_timeout_ms: 2000, ..options() };
        let store = PostgresStore::connect_with(address.clone(), options).await.unwrap();
        let shared: (Arc<AtomicBool>, Arc<Mutex<_>>) = Default::default();
        let until = Arc::new(Mutex::new(None));
        let follower = tokio::spawn(follow(store.clone(), until.clone()));
        let writers: Vec<_> = (0..WRITERS + TOGETHER)
            .map(|writer| tokio::spawn(write(store.clone(), writer, shared.clone())))
            .collect();
        for _ in 0..3 {
            more(&shared.1, 20).await;
            server.kill9().unwrap();
            server.restart().unwrap();
        }
        more(&shared.1, 20).await;
        shared.0.store(true, Ordering::Release);
        let mut tried_again = 0;
        for writer in writers {
            tried_again += writer.await.unwrap();
        }
        assert!(tried_again > 0, "nothing was in flight when it was killed");
        let acknowledged = shared.1.lock().unwrap().clone();
        compare(&store, &address, &acknowledged).await;
        let last = store.append_with(append_of(2, 0, 0), note).await.unwrap();
        *until.lock().unwrap() = Some(last.position);
        let seen = follower.await.unwrap();
        assert_eq!(seen, ids(&everything(&store).await), "the follower, in order and once");
    });
}

/// Cause: the second try found no connection, and said that nothing had been begun.
#[test]
fn what_was_on_its_way_when_the_server_was_lost_for_good_is_unknown() {
    let mut server = Postgres::start().unwrap();
    let address: PgConnectOptions = server.url().parse().unwrap();
    runtime().block_on(async {
        let options = Options { connect_timeout_ms: 2000, ..options() };
        let store = PostgresStore::connect_with(address.clone(), options).await.unwrap();
        let mut application = connect(&address).await;
        let mut open = sqlx::Connection::begin(&mut application).await.unwrap();
        store.append_in(&mut open, append_of(1, 1, 0)).await.unwrap();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.append(append_of(1, 1, 1)).await }
        });
        let began = Instant::now();
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while server.psql(waits).unwrap().trim() == "0" {
            assert!(began.elapsed() < PATIENCE, "it does not wait");
        }
        server.kill9().unwrap();
        let answer = waiting.await.unwrap();
        assert!(matches!(answer, Err(AppendError::Unknown { .. })), "{answer:?}");
        drop(open);
    });
}

/// Where a child finds the server.
const CHILD_URL: &str = "FACTUM_POSTGRES_CHILD_URL";
/// A number that makes a child's ids its own.
const CHILD_SEED: &str = "FACTUM_POSTGRES_CHILD_SEED";

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_appends_and_says_what_is_acknowledged() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let seed: u128 = std::env::var(CHILD_SEED).unwrap().parse().unwrap();
    runtime().block_on(async {
        let store = PostgresStore::connect(&url).await.unwrap();
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for nth in 0_u128.. {
                    let append = append_of(seed, writer, nth);
                    let last = append.events[2].1.id.as_u128();
                    let receipt = store.append_with(append, note).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {last} {}", receipt.position).unwrap();
                    out.flush().unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

/// Runs a child until it has acknowledged so many appends, and kills it; all that it said.
fn killed(url: &str, seed: u128, after: usize) -> BTreeMap<u128, u64> {
    let test = "crashes::the_child_appends_and_says_what_is_acknowledged";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD_URL, url)
        .env(CHILD_SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((_, numbers)) = line.split_once("acknowledged ") else { continue };
        // The last line may be cut by the kill.
        if let Some((last, position)) = numbers.split_once(' ')
            && let (Ok(last), Ok(position)) = (last.parse(), position.parse())
        {
            said.insert(last, position);
        }
        if said.len() == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

#[test]
fn the_client_is_killed_and_nothing_is_half_written() {
    let server = Postgres::start().unwrap();
    let address: PgConnectOptions = server.url().parse().unwrap();
    let store = runtime().block_on(async {
        table(&address).await;
        PostgresStore::connect(&server.url()).await.unwrap()
    });
    let mut acknowledged = BTreeMap::new();
    for seed in 1..4 {
        let said = killed(&server.url(), seed, 15);
        acknowledged.extend(said);
    }
    runtime().block_on(async {
        // What the server was still doing for who is gone.
        let began = Instant::now();
        while !store.open_appends().await.unwrap().is_empty() {
            assert!(began.elapsed() < PATIENCE, "an append of the dead stays open");
        }
        assert!(acknowledged.len() >= 45);
        compare(&store, &address, &acknowledged).await;
    });
}

/// Appends as soon as the server answers again.
async fn at_last(store: &PostgresStore, append: Append) -> Receipt {
    let began = Instant::now();
    loop {
        match store.append(append.clone()).await {
            Ok(receipt) => return receipt,
            Err(error) => assert!(began.elapsed() < PATIENCE && error.is_retryable(), "{error}"),
        }
    }
}

/// Cause: a peer that is gone without a word was waited for, by whoever waited for it, for ever.
#[test]
fn a_server_that_says_nothing_is_waited_for_no_longer_than_was_said() {
    let server = Postgres::start().unwrap();
    let address: PgConnectOptions = server.url().parse().unwrap();
    runtime().block_on(async {
        let limits = Options { connect_timeout_ms: 5000, ..options() };
        let limits = Options { lock_timeout_ms: 1000, answer_timeout_ms: 1000, ..limits };
        let store = PostgresStore::connect_with(address.clone(), limits).await.unwrap();
        let until = Arc::new(Mutex::new(None));
        let follower = tokio::spawn(follow(store.clone(), until.clone()));
        store.append(append_of(1, 1, 0)).await.unwrap();
        server.pause().unwrap();
        let appends: Vec<_> = (0..4)
            .map(|nth| {
                let store = store.clone();
                tokio::spawn(async move { store.append(append_of(2 + nth, 1, 0)).await })
            })
            .collect();
        let (began, mut is_unknown) = (Instant::now(), false);
        for append in appends {
            let answer = append.await.unwrap();
            is_unknown |= matches!(answer, Err(AppendError::Unknown { .. }));
            assert!(answer.is_err(), "{answer:?}");
        }
        assert!(is_unknown && began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        server.resume().unwrap();
        for nth in 0..4 {
            at_last(&store, append_of(2 + nth, 1, 0)).await;
        }
        let last = at_last(&store, append_of(9, 1, 0)).await;
        *until.lock().unwrap() = Some(last.position);
        assert_eq!(follower.await.unwrap(), ids(&everything(&store).await));
        let stored = everything(&store).await.len();
        assert_eq!(stored as u128, 6 * EVENTS);
    });
}
