//! Following what another process writes, as two stores over one file.

use crate::support::{open, to};
use factum_core::{EventStore, Position, Query, Read, Select, Subscribe, next_batch};
use factum_testkit::{block_on, within};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn who_follows_sees_what_another_store_writes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.db");
    let (writing, reading) = (open(&file), open(&file));
    let subscribe = Subscribe { select: Select::Query(Query::All), after: None };
    let mut batches = block_on(reading.subscribe(subscribe)).unwrap();
    assert!(block_on(next_batch(&mut batches)).unwrap().unwrap().caught_up);
    for id in 1..=3 {
        block_on(writing.append(to("a-1", [id]))).unwrap();
        let came = block_on(within(LONG, next_batch(&mut batches)));
        let batch = came.expect("it comes within the time").unwrap().unwrap();
        assert_eq!(batch.events.first().unwrap().id().as_u128(), id);
    }
}

#[test]
fn who_waits_for_a_position_sees_it_come_from_another_store() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.db");
    let (writing, reading) = (open(&file), open(&file));
    let receipt = block_on(writing.append(to("a-1", [1, 2]))).unwrap();
    let read = Read { at_least: Some(receipt.position), ..Read::query(Query::All) };
    let seen = block_on(within(LONG, reading.read(read))).expect("within the time").unwrap();
    assert_eq!(seen.head, Position(2));
    assert_eq!(block_on(seen.events()).unwrap().len(), 2);
}
