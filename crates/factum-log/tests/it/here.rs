//! Reading on the calling thread: the same answers as through the store's own threads.

use crate::tools::*;
use factum_core::{
    Append, Direction, EventStore, Position, Query, Read, ReadError, RecordedEvent, next_batch,
};
use factum_log::LogStore;

/// Streams of many batches, over several segments.
fn filled(dir: &std::path::Path) -> LogStore {
    let store = LogStore::open(dir, small()).unwrap();
    for of in 0..40 {
        let data = format!("{of}").repeat(200);
        let events = (0..100).map(|nth| event(1 + of * 1000 + nth, "t", &data));
        let stream = name(&format!("s-{}", of % 3));
        block_on(store.append(Append::to(stream, events))).unwrap();
    }
    store
}

fn here(store: &LogStore, read: &Read) -> Result<Vec<RecordedEvent>, ReadError> {
    let reading = store.read_here(read).unwrap()?;
    let mut events = Vec::new();
    for batch in reading.batches {
        events.extend(batch?.events);
    }
    Ok(events)
}

fn there(store: &LogStore, read: &Read) -> Result<Vec<RecordedEvent>, ReadError> {
    block_on(async {
        let mut reading = store.read(read.clone()).await?;
        let mut events = Vec::new();
        while let Some(batch) = next_batch(&mut reading.batches).await {
            events.extend(batch?.events);
        }
        Ok(events)
    })
}

#[test]
fn it_gives_what_the_stores_own_threads_give() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    for read in [Read::query(Query::All), Read::stream(name("s-1")), Read::stream(name("s-9"))] {
        for direction in [Direction::Forward, Direction::Backward] {
            for limit in [None, Some(0), Some(1), Some(777)] {
                let read = Read { direction, limit, ..read.clone() };
                let events = here(&store, &read).unwrap();
                assert_eq!(events, there(&store, &read).unwrap(), "{read:?}");
            }
        }
    }
    assert_eq!(here(&store, &Read::query(Query::All)).unwrap().len(), 4000);
}

#[test]
fn it_fails_where_they_fail_and_ends_there() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).close();
    let first = dir.path().join(format!("{:020}.log", 1));
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[40_000] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let store = LogStore::open(dir.path(), small()).unwrap();
    let read = Read::query(Query::All);
    let error = here(&store, &read).unwrap_err();
    assert_eq!(error, there(&store, &read).unwrap_err());
    let mut batches = store.read_here(&read).unwrap().unwrap().batches;
    assert!(batches.by_ref().take(100).any(|batch| batch.is_err()));
    assert!(batches.next().is_none());
}

#[test]
fn it_does_not_wait_for_a_position() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let at_least =
        |position| Read { at_least: Some(Position(position)), ..Read::query(Query::All) };
    assert!(store.read_here(&at_least(4000)).is_some());
    assert!(store.read_here(&at_least(4001)).is_none());
}
