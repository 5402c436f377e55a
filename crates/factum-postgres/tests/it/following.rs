//! Who follows misses nothing: not what commits late, not what others write; and waits for open
//! appends only, is told that it does, and for how long at most.

use crate::support::{all, application, ids, open, options, run, runtime, stream, to};
use factum_core::{EventStore, Freshness, Query, Read, ReadError, Select, Subscribe, next_batch};
use factum_postgres::{Listen, Options, PostgresBatches, PostgresStore, sqlx};
use factum_testkit::within;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn follow(store: &PostgresStore) -> PostgresBatches {
    store.subscribe(Subscribe { select: Select::Query(Query::All), after: None }).await.unwrap()
}

/// The next events, so many.
async fn next(batches: &mut PostgresBatches, count: usize) -> Vec<u128> {
    let mut events = Vec::new();
    while events.len() < count {
        let batch = within(PATIENCE, next_batch(batches)).await.expect("it comes in time");
        events.extend(batch.unwrap().unwrap().events);
    }
    ids(&events)
}

/// Writers that commit and roll back, some of them in transactions that stay open for a while;
/// readers that only look at what they have not seen.
#[test]
fn p04_a_reader_never_skips_an_event_that_commits_late() {
    const WRITERS: u128 = 12;
    const APPENDS: u128 = 60;
    run(Box::pin(async {
        let store = open(&options()).await;
        let pool = application();
        let is_over = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> =
            (0..2).map(|_| tokio::spawn(poll(store.clone(), is_over.clone()))).collect();
        let mut follower = follow(&store).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(store.clone(), pool.clone(), (writer, APPENDS))))
            .collect();
        let mut written = BTreeSet::new();
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        is_over.store(true, Ordering::Release);
        let stored = ids(&all(&store, Read::query(Query::All)).await);
        assert_eq!(stored.iter().copied().collect::<BTreeSet<_>>(), written);
        assert_eq!(next(&mut follower, stored.len()).await, stored, "the follower, in order");
        for reader in readers {
            assert_eq!(reader.await.unwrap(), stored, "a reader that goes on from the last head");
        }
    }));
}

/// Appends, of which every third one is undone, and every third one is held open for a while.
async fn write(
    store: PostgresStore,
    pool: sqlx::PgPool,
    (writer, appends): (u128, u128),
) -> Vec<u128> {
    let mut written = Vec::new();
    for nth in 0..appends {
        let id = 1 + writer * appends + nth;
        let append = to(&format!("writer-{writer}"), [id]);
        match nth % 3 {
            0 => drop(store.append(append).await.unwrap()),
            turn => {
                let mut transaction = pool.begin().await.unwrap();
                store.append_in(&mut transaction, append).await.unwrap();
                tokio::time::sleep(Duration::from_millis((id % 7) as u64)).await;
                match turn {
                    1 => transaction.commit().await.unwrap(),
                    _ => transaction.rollback().await.unwrap(),
                }
            }
        }
        if nth % 3 != 2 {
            written.push(id);
        }
    }
    written
}

/// Reads on from the head of the read before, until all is over and nothing is left.
async fn poll(store: PostgresStore, is_over: Arc<AtomicBool>) -> Vec<u128> {
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        let read = Read { from: Some(after + 1), ..Read::query(Query::All) };
        let reading = store.read(read).await.unwrap();
        let head = reading.head.0;
        assert!(head >= after, "the head went back");
        seen.extend(ids(&reading.events().await.unwrap()));
        if was_over && head == after {
            return seen;
        }
        after = head;
    }
}

/// Cause: an append marks where it is, then takes its number. One that was slow in between marked a
/// place that others had passed, and the head went back behind what had been read.
#[test]
fn p04_the_head_does_not_go_back_when_an_append_marks_a_place_that_was_passed() {
    runtime().block_on(async {
        let store = open(&options()).await;
        let pool = application();
        let mut first = pool.begin().await.unwrap();
        store.append_in(&mut first, to("a-1", [1])).await.unwrap();
        let locks = "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
            WHERE locktype = 'advisory' AND mode = 'ShareLock' AND pid = pg_backend_pid()";
        let marks: Vec<i64> = sqlx::query_scalar(locks).fetch_all(&mut *first).await.unwrap();
        assert!(!marks.is_empty());
        first.rollback().await.unwrap();
        store.append(to("b-1", [2, 3])).await.unwrap();
        let head = store.head().await.unwrap();
        let mut slow = pool.begin().await.unwrap();
        for mark in marks {
            let lock = sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(mark);
            lock.execute(&mut *slow).await.unwrap();
        }
        assert_eq!(store.head().await.unwrap(), head);
        assert_eq!(ids(&all(&store, Read::query(Query::All)).await), [2, 3]);
        slow.rollback().await.unwrap();
    });
}

#[test]
fn p04_only_an_open_append_is_waited_for_and_it_is_told() {
    runtime().block_on(async {
        let options = Options { settle_timeout_ms: 300, ..options() };
        let store = open(&options).await;
        let pool = application();
        // A transaction that has written, and is older than all: nobody waits for it.
        let mut unrelated = pool.begin().await.unwrap();
        let table = format!("CREATE TABLE {}_unrelated ()", options.schema);
        sqlx::query(sqlx::AssertSqlSafe(table)).execute(&mut *unrelated).await.unwrap();
        store.append(to("a-1", [1])).await.unwrap();
        let mut follower = follow(&store).await;
        assert_eq!(next(&mut follower, 1).await, [1]);
        // An append that stays open: what comes after it waits, though it was acknowledged.
        let mut held = pool.begin().await.unwrap();
        store.append_in(&mut held, to("b-1", [2])).await.unwrap();
        store.append(to("c-1", [3])).await.unwrap();
        let settled = all(&store, Read::query(Query::All)).await;
        assert_eq!(ids(&settled), [1]);
        let statistics = store.statistics().await.unwrap();
        assert_eq!(statistics.get("head_is_held"), Some(1.0));
        assert!(statistics.get("last_position") > statistics.get("head_position"));
        let open = store.open_appends().await.unwrap();
        let [open] = &open[..] else { panic!("{open:?}") };
        assert!(open.state.starts_with("idle in transaction"), "{open:?}");
        // Who waits for it is told whose it is, and what to do.
        let refused = within(PATIENCE, next_batch(&mut follower)).await.unwrap().unwrap();
        let Err(ReadError::Unavailable { why }) = refused else { panic!("{refused:?}") };
        assert!(why.contains(&format!("process {}", open.pid)), "{why}");
        assert!(why.contains("pg_terminate_backend"), "{why}");
        // A decision about something else need not wait: its stream is not written there.
        let current = Read { freshness: Freshness::Current, ..Read::stream(stream("c-1")) };
        assert_eq!(ids(&all(&store, current).await), [3]);
        held.commit().await.unwrap();
        assert_eq!(ids(&all(&store, Read::query(Query::All)).await), [1, 2, 3]);
        let mut follower = follow(&store).await;
        assert_eq!(next(&mut follower, 3).await, [1, 2, 3]);
        assert_eq!(store.open_appends().await.unwrap(), []);
        unrelated.rollback().await.unwrap();
    });
}

/// A decision's read waits for the append that would make it wrong.
#[test]
fn a_current_read_waits_for_an_open_append_that_it_asks_for() {
    runtime().block_on(async {
        let store = open(&options()).await;
        let pool = application();
        let mut held = pool.begin().await.unwrap();
        store.append_in(&mut held, to("b-1", [2])).await.unwrap();
        let reading = tokio::spawn({
            let store = store.clone();
            let current = Read { freshness: Freshness::Current, ..Read::stream(stream("b-1")) };
            async move { ids(&all(&store, current).await) }
        });
        // Until its lock is seen to be waited for.
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'";
        let began = Instant::now();
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&pool).await.unwrap() == 0 {
            assert!(began.elapsed() < PATIENCE && !reading.is_finished(), "it does not wait");
        }
        held.commit().await.unwrap();
        assert_eq!(reading.await.unwrap(), [2]);
    });
}

/// Nobody looks for hours: only a notification can have told.
#[test]
fn a_follower_is_told_of_what_another_process_appends() {
    runtime().block_on(async {
        let hours = Options {
            poll_interval_ms: 3_600_000,
            poll_interval_listening_ms: 3_600_000,
            ..options()
        };
        let (store, other) = (open(&hours).await, open(&hours).await);
        let mut follower = follow(&store).await;
        store.append(to("a-1", [1])).await.unwrap();
        assert_eq!(next(&mut follower, 1).await, [1], "of this process: at once");
        for id in 2..20 {
            other.append(to("a-1", [id])).await.unwrap();
            assert_eq!(next(&mut follower, 1).await, [id]);
        }
    });
}

#[test]
fn a_follower_that_cannot_listen_looks() {
    runtime().block_on(async {
        let silent = Options { listen: Listen::Off, notify_interval_ms: 0, ..options() };
        let (store, other) = (open(&silent).await, open(&silent).await);
        let mut follower = follow(&store).await;
        for id in 1..4 {
            other.append(to("a-1", [id])).await.unwrap();
            assert_eq!(next(&mut follower, 1).await, [id]);
        }
        store.close();
        other.close();
        let ended = within(PATIENCE, next_batch(&mut follower)).await.unwrap().unwrap();
        assert!(matches!(ended, Err(ReadError::Unavailable { .. })), "{ended:?}");
    });
}
