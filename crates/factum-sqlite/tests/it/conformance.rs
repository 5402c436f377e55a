//! SQLite passes the conformance suite: in a file, closed and opened again; in memory; and as two
//! stores over one file, as two processes would have it, of which one or the other is asked in
//! turns.

use factum_core::{AnyStore, Timestamp};
use factum_sqlite::{Clock, Options, SqliteStore};
use factum_testkit::{Boxed, Harness, ManualClock, Need, Turns, harness::Opened};
use std::sync::Mutex;
use tempfile::TempDir;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Memory,
    File,
    /// Two stores over one file.
    Twice,
}

struct SqliteHarness {
    place: Where,
    clock: ManualClock,
    dir: TempDir,
    stores: Mutex<Vec<SqliteStore>>,
}

impl SqliteHarness {
    fn new(place: Where) -> Self {
        Self {
            place,
            clock: ManualClock::default(),
            dir: tempfile::tempdir().expect("a folder for a test"),
            stores: Mutex::default(),
        }
    }

    fn options(&self) -> Options {
        let clock = self.clock.clone();
        Options {
            clock: Clock::new(move || clock.now()),
            // So that nobody waits long for what the other one has written.
            poll_interval_ms: 2,
            // So that two over one file do not give up on a busy machine.
            busy_timeout_ms: 60_000,
            ..Options::default()
        }
    }

    /// Opens the file anew; the case has dropped what it held of the store before.
    async fn start(&self) -> Opened {
        let before = std::mem::take(&mut *self.stores.lock().expect("no case panics in it"));
        before.into_iter().for_each(SqliteStore::close);
        let path = self.dir.path().join("events.db");
        let store = match self.place {
            Where::Memory => {
                return Ok(AnyStore::new(SqliteStore::open_in_memory(self.options()).await?));
            }
            Where::File | Where::Twice => SqliteStore::open(&path, self.options()).await?,
        };
        let mut stores = vec![store.clone()];
        let opened = match self.place {
            Where::Twice => {
                let other = SqliteStore::open(&path, self.options()).await?;
                stores.push(other.clone());
                AnyStore::new(Turns::new(store, other))
            }
            _ => AnyStore::new(store),
        };
        *self.stores.lock().expect("no case panics in it") = stores;
        Ok(opened)
    }
}

impl Harness for SqliteHarness {
    fn name(&self) -> &'static str {
        match self.place {
            Where::Memory => "sqlite, in memory",
            Where::File => "sqlite",
            Where::Twice => "sqlite, two over one file",
        }
    }

    fn can(&self, need: Need) -> bool {
        need != Need::Reopen || self.place != Where::Memory
    }

    fn open(&self) -> Boxed<'_, Opened> {
        Box::pin(self.start())
    }

    fn reopen(&self) -> Boxed<'_, Opened> {
        Box::pin(self.start())
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }
}

mod file {
    use super::*;

    factum_testkit::conformance!(SqliteHarness::new(Where::File), run = factum_testkit::block_on);
}

mod memory {
    use super::*;

    factum_testkit::conformance!(SqliteHarness::new(Where::Memory), run = factum_testkit::block_on);
}

mod two_over_one_file {
    use super::*;

    factum_testkit::conformance!(SqliteHarness::new(Where::Twice), run = factum_testkit::block_on);
}
