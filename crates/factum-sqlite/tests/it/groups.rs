//! Appends that share a transaction: each is refused alone, and all are answered after the commit.

use crate::support::{all, event, open, stream, to};
use factum_core::{
    Append, AppendError, Check, EventStore, Expected, Position, Query, Read, Revision, Statistics,
    next_batch,
};
use factum_sqlite::{Options, SqliteStore, sqlx};
use factum_testkit::{block_on, within};
use std::{sync::mpsc, thread, time::Duration};

const LONG: Duration = Duration::from_secs(10);

/// Holds the writer in an append of its own while `meanwhile` runs, so that what that submits is
/// one group.
fn held(store: &SqliteStore, meanwhile: impl FnOnce()) {
    let (entered, inside) = mpsc::sync_channel::<()>(1);
    let (release, released) = mpsc::sync_channel::<()>(1);
    let holding = store.clone();
    let id = 1_000 + u128::from(block_on(store.head()).unwrap().0);
    let holder = thread::spawn(move || {
        let inline = async move |_: &mut _, _: &[_]| {
            entered.send(()).unwrap();
            released.recv().unwrap();
            Ok::<(), std::io::Error>(())
        };
        block_on(holding.append_with(to("holder", [id]), inline)).unwrap();
    });
    inside.recv().unwrap();
    meanwhile();
    release.send(()).unwrap();
    holder.join().unwrap();
}

/// Polls an append once, so that it waits for the writer; its answer comes later.
fn submitted(
    store: &SqliteStore,
    append: Append,
) -> thread::JoinHandle<Result<factum_core::Receipt, AppendError>> {
    let before = queued(store);
    let asking = store.clone();
    let asked = thread::spawn(move || block_on(asking.append(append)));
    while queued(store) == before {
        thread::yield_now();
    }
    asked
}

fn number(statistics: &Statistics, name: &str) -> u64 {
    statistics.get(name).unwrap() as u64
}

fn queued(store: &SqliteStore) -> u64 {
    number(&block_on(store.statistics()).unwrap(), "queued_appends")
}

#[test]
fn a_refused_one_leaves_the_others_of_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("events.db"));
    let mut asked = Vec::new();
    held(&store, || {
        asked.push(submitted(&store, to("a-1", [1, 2])));
        // Judged against the one before it in the group.
        let taken = to("a-1", [3]).expecting(stream("a-1"), Expected::NoStream);
        asked.push(submitted(&store, taken));
        let right = to("a-1", [4]).expecting(stream("a-1"), Expected::At(Revision(1)));
        asked.push(submitted(&store, right));
        let happened = Query::types([event(1).event_type]);
        let checked = Check::NoMatch { query: happened, after: Position(3) };
        asked.push(submitted(&store, to("a-2", [5]).checking(checked)));
    });
    let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
    let done: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, false, true, false], "{answers:?}");
    let ids: Vec<u128> =
        all(&store, Read::query(Query::All)).iter().map(|event| event.id().as_u128()).collect();
    assert_eq!(ids, [1_000, 1, 2, 4]);
    let statistics = block_on(store.statistics()).unwrap();
    let numbers =
        ["groups_total", "appends_total", "refused_appends_total", "events_written_total"];
    assert_eq!(numbers.map(|name| number(&statistics, name)), [2, 3, 2, 4]);
}

#[test]
fn a_full_disk_refuses_the_whole_group_and_the_store_goes_on_with_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("events.db"));
    block_on(store.append(to("a-1", [1]))).unwrap();
    let large = || event(2).with_metadata(vec![b'x'; 900_000]);
    let pages = "PRAGMA max_page_count = 60";
    let limit = async move |connection: &mut sqlx::SqliteConnection, _: &[_]| {
        sqlx::query(pages).execute(connection).await.map(drop)
    };
    block_on(store.append_with(to("limit", [50]), limit)).unwrap();
    let refused = block_on(store.append(Append::to(stream("a-1"), [large()]))).unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("make room"), "{refused}");
    assert_eq!(all(&store, Read::stream(stream("a-1"))).len(), 1);
    // The connection that failed is not used again, and with it the limit is gone.
    let receipt = block_on(store.append(Append::to(stream("a-1"), [large()]))).unwrap();
    assert_eq!((receipt.position, receipt.replayed), (Position(3), false));
    assert_eq!(store.read_only(), None);
}

#[test]
fn more_than_may_wait_is_refused_as_overload() {
    let options = Options { queue_jobs_max: 2, queue_bytes_max: 8 << 10, ..Options::default() };
    let dir = tempfile::tempdir().unwrap();
    let store = block_on(SqliteStore::open(dir.path().join("events.db"), options)).unwrap();
    let mut asked = Vec::new();
    held(&store, || {
        asked.push(submitted(&store, to("a-1", [1])));
        asked.push(submitted(&store, to("a-1", [2])));
        let third = block_on(within(LONG, store.append(to("a-1", [3]))));
        assert_eq!(third, Some(Err(AppendError::Overloaded)));
    });
    assert!(asked.into_iter().all(|asked| asked.join().unwrap().is_ok()));
    let mut asked = Vec::new();
    held(&store, || {
        // Larger than all that may wait: it is taken, as nothing else waits.
        let large = || vec![b'x'; 64 << 10];
        asked.push(submitted(&store, Append::to(stream("a-2"), [event(4).with_metadata(large())])));
        let second = block_on(within(LONG, store.append(to("a-1", [5]))));
        assert_eq!(second, Some(Err(AppendError::Overloaded)));
    });
    assert!(asked.into_iter().all(|asked| asked.join().unwrap().is_ok()));
    let statistics = block_on(store.statistics()).unwrap();
    assert_eq!(number(&statistics, "overloaded_appends_total"), 2);
}

#[test]
fn reads_do_not_wait_for_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("events.db"));
    block_on(store.append(to("a-1", [1]))).unwrap();
    held(&store, || {
        assert_eq!(all(&store, Read::query(Query::All)).len(), 1, "what was committed before");
    });
    assert_eq!(all(&store, Read::query(Query::All)).len(), 2);
}

#[test]
fn a_batch_is_bounded_in_bytes_whichever_way_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("events.db"));
    let half = factum_core::page::PAGE_BYTES_MAX / 2;
    let sizes = [half, half, 1, 2 * half + 1, 0, 1];
    let sized = |(size, id): (usize, u128)| event(id).with_metadata(vec![0; size - size.min(2)]);
    let events: Vec<_> = sizes.into_iter().zip(1..).map(sized).collect();
    block_on(store.append(Append::to(stream("a-1"), events))).unwrap();
    let query = Read::query(Query::types([event(1).event_type]));
    for read in [Read::stream(stream("a-1")), Read::query(Query::All), query] {
        let mut batches = block_on(store.read(read)).unwrap().batches;
        let mut counts = Vec::new();
        while let Some(batch) = block_on(next_batch(&mut batches)) {
            counts.push(batch.unwrap().events.len());
        }
        assert_eq!(counts, [2, 1, 1, 2]);
    }
}
