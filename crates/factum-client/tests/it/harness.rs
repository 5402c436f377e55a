//! The conformance suite over the network: a server a case, the store in its memory.

use crate::support::Running;
use factum_client::{FactumClient, KurrentClient};
use factum_core::{AnyStore, MemoryStore, Timestamp};
use factum_testkit::{Boxed, Harness, MemoryHarness, Need, harness::Opened};
use std::sync::{Mutex, PoisonError};

/// Which client.
#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    Factum,
    Kurrent,
}

/// Serves an in-memory store, and connects a client to it.
pub(crate) struct Remote {
    protocol: Protocol,
    memory: MemoryHarness,
    store: MemoryStore,
    server: Mutex<Option<Running>>,
}

impl Remote {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let memory = MemoryHarness::new();
        Self { protocol, store: memory.store(), memory, server: Mutex::new(None) }
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self) -> Opened {
        let running = Running::start(self.store.clone()).await;
        let store = match self.protocol {
            Protocol::Factum => AnyStore::new(FactumClient::connect(&running.factum()).await?),
            Protocol::Kurrent => AnyStore::new(KurrentClient::connect(&running.kurrentdb()).await?),
        };
        *self.server() = Some(running);
        Ok(store)
    }
}

impl Harness for Remote {
    fn name(&self) -> &'static str {
        match self.protocol {
            Protocol::Factum => "factum://",
            Protocol::Kurrent => "kurrentdb:// of a Factum server",
        }
    }

    fn can(&self, _need: Need) -> bool {
        true
    }

    fn open(&self) -> Boxed<'_, Opened> {
        Box::pin(self.serve())
    }

    fn reopen(&self) -> Boxed<'_, Opened> {
        Box::pin(async {
            let running = self.server().take();
            if let Some(running) = running {
                running.stop().await;
            }
            self.serve().await
        })
    }

    fn set_clock(&self, now: Timestamp) {
        self.memory.set_clock(now);
    }
}
