//! What the engine counts while it works: each append and read once, with how long it took.

use crate::tools::*;
use factum_core::{Append, AppendError, EventStore, Read, Statistics, Timestamp, next_batch};
use factum_log::{LogStore, Options, World, clock::Clock};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const TICK_NS: u64 = 1_000_000;

/// A clock on which nothing takes less than a millisecond: each look is one later.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp(1)
    }

    fn ticks_ns(&self) -> u64 {
        self.0.fetch_add(TICK_NS, Ordering::SeqCst)
    }
}

fn ticking(dir: &Path, options: Options) -> LogStore {
    let world = World { clock: Arc::new(Ticking::default()), ..World::default() };
    LogStore::open(dir, Options { world, ..options }).unwrap()
}

fn count(all: &Statistics, name: &str) -> u64 {
    all.histogram(name).unwrap().count()
}

#[test]
fn appends_reads_and_syncs_are_counted_with_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = ticking(dir.path(), Options::default());
    for id in 1..=5 {
        block_on(store.append(Append::to(name("a-1"), [event(id, "t", "{}")]))).unwrap();
    }
    for _ in 0..2 {
        let mut reading = block_on(store.read(Read::stream(name("a-1")))).unwrap();
        assert_eq!(block_on(next_batch(&mut reading.batches)).unwrap().unwrap().events.len(), 5);
    }
    let all = block_on(store.statistics()).unwrap();
    assert_eq!((count(&all, "append_seconds"), count(&all, "read_seconds")), (5, 2));
    assert_eq!(all.get("events_read_total"), Some(10.0));
    assert_eq!(all.get("groups_total"), Some(count(&all, "sync_seconds") as f64));
    let of_append = all.histogram("append_seconds").unwrap().quantile(0.5).unwrap();
    assert!(of_append >= 0.001, "an append looks at the clock at its end too: {of_append}");
}

/// What is refused as too much is counted: nobody has to guess why clients back off.
#[test]
fn refusals_for_want_of_room_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { read_jobs_max: 0, ..Options::default() };
    let store = ticking(dir.path(), options);
    assert!(block_on(store.read(Read::stream(name("a-1")))).is_err());
    let all = block_on(store.statistics()).unwrap();
    assert_eq!(all.get("overloaded_reads_total"), Some(1.0));
    drop(store);
    let store = ticking(dir.path(), Options { queue_jobs_max: 0, ..Options::default() });
    let mut refused = 0;
    // The writer may take each before the next comes: until one does not fit, they are sent.
    for id in (1..100_000).step_by(64) {
        let appends: Vec<_> = (id..id + 64)
            .map(|id| Box::pin(store.append(Append::to(name("a-1"), [event(id, "t", "{}")]))))
            .collect();
        let replies = block_on(futures_util::future::join_all(appends));
        refused += replies.iter().filter(|r| matches!(r, Err(AppendError::Overloaded))).count();
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0);
    let all = block_on(store.statistics()).unwrap();
    assert_eq!(all.get("overloaded_appends_total"), Some(refused as f64));
}
