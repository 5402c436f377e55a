//! Events in few words, files, and child processes of this test.

use factum_core::{Append, EventData, EventType, Read, RecordedEvent, StreamName, Uuid};
use factum_sqlite::{Options, SqliteStore};
use factum_testkit::block_on;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// Where a child finds the file that it is to write to.
pub(crate) const CHILD_FILE: &str = "FACTUM_SQLITE_CHILD_FILE";
/// A number that makes a child's ids its own.
pub(crate) const CHILD_SEED: &str = "FACTUM_SQLITE_CHILD_SEED";

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

pub(crate) fn event(id: u128) -> EventData {
    EventData::new(Uuid::from_u128(id), EventType::new("happened").unwrap(), "{}")
}

pub(crate) fn to(name: &str, ids: impl IntoIterator<Item = u128>) -> Append {
    Append::to(stream(name), ids.into_iter().map(event))
}

pub(crate) fn open(path: &Path) -> SqliteStore {
    // Patient: a busy machine may let another process have the file for long.
    let options = Options { busy_timeout_ms: 60_000, ..Options::default() };
    block_on(SqliteStore::open(path, options)).unwrap()
}

pub(crate) fn all(store: &SqliteStore, read: Read) -> Vec<RecordedEvent> {
    use factum_core::EventStore;
    block_on(async { store.read(read).await.unwrap().events().await.unwrap() })
}

/// Starts this test program again, for the one test that is a child's work.
pub(crate) fn child(test: &str, file: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD_FILE, file)
        .env(CHILD_SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a child was told; `None` where this is none.
pub(crate) fn as_child() -> Option<(SqliteStore, u64)> {
    let file = std::env::var_os(CHILD_FILE)?;
    let seed = std::env::var(CHILD_SEED).ok()?.parse().ok()?;
    Some((open(Path::new(&file)), seed))
}
