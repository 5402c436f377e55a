//! A real server over an in-memory store, and the runtime that all of it lives on.

use factum_core::{AnyStore, MemoryStore};
use factum_server::{Config, Server};
use factum_testkit::Boxed;
use std::{
    net::SocketAddr,
    sync::{
        LazyLock,
        atomic::{AtomicU8, Ordering},
    },
};
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

/// One for all tests: servers, and the connections of clients, outlive the futures of cases.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("the machine can start threads"));

/// Drives a future to its end.
pub(crate) fn run(future: Boxed<'static, ()>) {
    RUNTIME.block_on(future);
}

/// An address of this test's own, with port 0: nobody else takes its port when it stops listening.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., a, b] = std::process::id().to_be_bytes();
    // Only Linux has every address of this network.
    let own = [127, a, b, NEXT.fetch_add(1, Ordering::SeqCst).max(1)];
    let host = if cfg!(target_os = "linux") { own } else { [127, 0, 0, 1] };
    (host, 0).into()
}

/// A server that runs until it is stopped, or dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    /// Starts a server on a free port.
    pub(crate) async fn start(store: MemoryStore) -> Self {
        Self::start_at(store, free_address()).await
    }

    /// Starts a server on this address.
    pub(crate) async fn start_at(store: MemoryStore, address: SocketAddr) -> Self {
        let bound = Server::bind(Config::new(address), AnyStore::new(store)).await;
        let server = bound.expect("the address is free");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        // A sender that was dropped stops it too.
        let served = RUNTIME.spawn(server.serve(async { drop(stopped.await) }));
        Self { address, stop, served }
    }

    /// Stops it, and waits until it has.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.served.await.expect("the server did not panic");
    }

    pub(crate) fn factum(&self) -> String {
        format!("factum://{}", self.address)
    }

    pub(crate) fn kurrentdb(&self) -> String {
        format!("kurrentdb://{}?tls=false", self.address)
    }
}
