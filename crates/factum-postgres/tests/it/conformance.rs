//! PostgreSQL passes the conformance suite: as one store, connected anew; as two stores over one
//! schema, as two processes would have it, of which one or the other is asked in turns; and as
//! behind a pooler in transaction mode, which keeps nothing of a connection.

use crate::support::{Room, address, run};
use factum_core::{AnyStore, Timestamp};
use factum_postgres::{Clock, Listen, Options, PostgresStore};
use factum_testkit::{Boxed, Harness, ManualClock, Need, Turns, harness::Opened};
use std::sync::Mutex;
use tokio::sync::OnceCell;

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Once,
    /// Two stores over one schema.
    Twice,
    /// As a pooler needs it.
    Pooled,
}

struct PostgresHarness {
    how: How,
    clock: ManualClock,
    room: OnceCell<Room>,
    stores: Mutex<Vec<PostgresStore>>,
}

impl PostgresHarness {
    fn new(how: How) -> Self {
        let (clock, room) = (ManualClock::default(), OnceCell::new());
        Self { how, clock, room, stores: Mutex::default() }
    }

    async fn options(&self) -> Options {
        let clock = self.clock.clone();
        Options {
            schema: self.room.get_or_init(Room::take).await.0.clone(),
            clock: Some(Clock::new(move || clock.now())),
            // So that nobody waits long for what the other one has written.
            poll_interval_ms: 5,
            listen: Listen::Off,
            pooler: self.how == How::Pooled,
            ..Options::default()
        }
    }

    /// Connects anew; the case has dropped what it held of the store before.
    async fn start(&self) -> Opened {
        let before = std::mem::take(&mut *self.stores.lock().expect("no case panics in it"));
        before.into_iter().for_each(PostgresStore::close);
        let store = PostgresStore::connect_with(address(), self.options().await).await?;
        let mut stores = vec![store.clone()];
        let opened = match self.how {
            How::Twice => {
                let other = PostgresStore::connect_with(address(), self.options().await).await?;
                stores.push(other.clone());
                AnyStore::new(Turns::new(store, other))
            }
            How::Once | How::Pooled => AnyStore::new(store),
        };
        *self.stores.lock().expect("no case panics in it") = stores;
        Ok(opened)
    }
}

impl Harness for PostgresHarness {
    fn name(&self) -> &'static str {
        match self.how {
            How::Once => "postgres",
            How::Twice => "postgres, two over one schema",
            How::Pooled => "postgres, as behind a pooler",
        }
    }

    fn can(&self, _need: Need) -> bool {
        true
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

mod one {
    use super::*;

    factum_testkit::conformance!(PostgresHarness::new(How::Once), run = run);
}

mod two_over_one_schema {
    use super::*;

    factum_testkit::conformance!(PostgresHarness::new(How::Twice), run = run);
}

mod behind_a_pooler {
    use super::*;

    factum_testkit::conformance!(PostgresHarness::new(How::Pooled), run = run);
}
