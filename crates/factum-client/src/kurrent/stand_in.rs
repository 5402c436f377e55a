//! The conformance suite, with a Factum server in the place of a KurrentDB: the client does not
//! know better, so that what it does for a KurrentDB only is tried too.
//!
//! Apart from the integration tests, which cannot make a client that is mistaken.

use super::{Calls, KurrentClient, Server, of_protocol};
use crate::{address::Address, connect};
use factum_core::{AnyStore, MemoryStore, Timestamp};
use factum_testkit::{Boxed, Harness, MemoryHarness, Need, harness::Opened};
use std::sync::{LazyLock, Mutex};
use tokio::{runtime::Runtime, sync::oneshot};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("the machine can start threads"));

fn run(future: Boxed<'static, ()>) {
    RUNTIME.block_on(future);
}

struct StandIn {
    memory: MemoryHarness,
    store: MemoryStore,
    /// Dropped, it stops the server.
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl StandIn {
    fn new() -> Self {
        let memory = MemoryHarness::new();
        Self { store: memory.store(), memory, stop: Mutex::new(None) }
    }

    async fn serve(&self) -> Opened {
        let config = factum_server::Config::new(([127, 0, 0, 1], 0).into());
        let store = AnyStore::new(self.store.clone());
        let server = factum_server::Server::bind(config, store).await?;
        let address = Address::kurrent(&format!("kdb://{}?tls=false", server.local_addr()))?;
        let (stop, stopped) = oneshot::channel();
        RUNTIME.spawn(server.serve(async { drop(stopped.await) }));
        *self.stop.lock().expect("no case panics here") = Some(stop);
        let mut calls = Calls::new(&address, connect::channel(&address)?, Server::Kurrent);
        // The suite waits for the checkpoint of each event; a KurrentDB tells that of some.
        calls.window_events = 1;
        Ok(AnyStore::new(KurrentClient::new(&address, calls, of_protocol()).await?))
    }
}

impl Harness for StandIn {
    fn name(&self) -> &'static str {
        "kurrentdb://"
    }

    fn can(&self, _need: Need) -> bool {
        true
    }

    fn open(&self) -> Boxed<'_, Opened> {
        Box::pin(self.serve())
    }

    fn reopen(&self) -> Boxed<'_, Opened> {
        Box::pin(self.serve())
    }

    fn set_clock(&self, now: Timestamp) {
        self.memory.set_clock(now);
    }
}

factum_testkit::conformance!(StandIn::new(), run = run);
