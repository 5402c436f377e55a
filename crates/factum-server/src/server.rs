//! The listening socket: who is let in, and how all of it ends.

use crate::{
    config::Config,
    connection,
    context::{Context, Shared},
    gate::Permit,
    router::{Ends, Router},
};
use factum_core::AnyStore;
use factum_log::LogStore;
use std::{io, net::SocketAddr, pin::pin, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// How long to wait where a connection could not be accepted, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server did not start.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The address could not be listened on. Choose another, or stop who has it.
    #[error("cannot listen on {address}: {source}{}", cure(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has the port: stop it, or choose another",
        io::ErrorKind::AddrNotAvailable => "; no network of this machine has the address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose another",
        _ => "",
    }
}

/// A server that listens, and does not yet serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    context: Context,
}

impl Server {
    /// Listens on the configured address.
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`] where the address is taken or not this machine's.
    pub async fn bind(config: Config, store: AnyStore) -> Result<Self, ServerError> {
        Self::listen(config, store, None).await
    }

    /// The same over a folder of the engine, which can be maintained, copied and verified too.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`].
    pub async fn bind_log(config: Config, log: LogStore) -> Result<Self, ServerError> {
        Self::listen(config, AnyStore::new(log.clone()), Some(log)).await
    }

    async fn listen(
        config: Config,
        store: AnyStore,
        log: Option<LogStore>,
    ) -> Result<Self, ServerError> {
        let address = config.listen;
        let listen = async {
            let listener = TcpListener::bind(address).await?;
            let local = listener.local_addr()?;
            Ok((listener, local))
        };
        let listening = listen.await;
        let (listener, local) =
            listening.map_err(|source| ServerError::Listen { address, source })?;
        Ok(Self { listener, local, context: Shared::new(store, log, config) })
    }

    /// The address, with the port that was taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown` is done, then drains: no new connection, no new call; subscriptions
    /// end, calls in progress finish within `drain_time_max`. The store is the caller's to close.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, local, context } = self;
        let tasks = TaskTracker::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = shutdown.as_mut() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => admit(stream, local, &context, &tasks),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(listener);
        context.drain.cancel();
        tasks.close();
        tasks.wait().await;
        context.operations.end().await;
    }
}

fn admit(stream: TcpStream, listening: SocketAddr, context: &Context, tasks: &TaskTracker) {
    let gate = &context.gate;
    let admitted = gate.connections.take(1).map(|permit| (permit, false));
    let refused = || gate.refused_connections.take(1).map(|permit| (permit, true));
    let Some((permit, refuses)) = admitted.or_else(refused) else {
        return; // Closes it: there are too many even to be refused politely.
    };
    // Small answers must not wait for more. A socket that cannot be told so is as good as closed.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let local = stream.local_addr().unwrap_or(listening);
    let ends = Ends { local, peer: stream.peer_addr().ok() };
    let router = Router::new(context.clone(), ends, refuses);
    let context = context.clone();
    tasks.spawn(async move {
        let _permit: Permit = permit;
        connection::serve(stream, router, context).await;
    });
}

/// Listens and serves until `shutdown` is done; see [`Server::serve`].
///
/// # Errors
///
/// As [`Server::bind`].
pub async fn run(
    config: Config,
    store: AnyStore,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    Server::bind(config, store).await?.serve(shutdown).await;
    Ok(())
}
