//! What every handler shares: the store, the configuration, the counters, and word of the end.

use crate::{
    config::Config, gate::Gate, metrics::Metrics, operations::Operations, subscribers::Subscribers,
};
use factum_core::AnyStore;
use factum_log::LogStore;
use std::{net::SocketAddr, sync::Arc};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use uuid::Uuid;

/// Shared by all connections of one server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: AnyStore,
    /// The engine, where the store is a folder of it.
    pub(crate) log: Option<LogStore>,
    pub(crate) config: Config,
    pub(crate) gate: Gate,
    pub(crate) metrics: Metrics,
    pub(crate) subscribers: Subscribers,
    pub(crate) operations: Operations,
    /// Cancelled when the server is to stop: subscriptions end, calls in progress finish.
    pub(crate) drain: CancellationToken,
    /// Of this run of the server.
    pub(crate) instance: Uuid,
}

/// One reference count.
pub(crate) type Context = Arc<Shared>;

impl Shared {
    pub(crate) fn new(store: AnyStore, log: Option<LogStore>, config: Config) -> Context {
        Arc::new(Self {
            store,
            operations: Operations::of(log.clone()),
            log,
            gate: Gate::new(&config.limits),
            config,
            metrics: Metrics::default(),
            subscribers: Subscribers::default(),
            drain: CancellationToken::new(),
            instance: Uuid::new_v4(),
        })
    }
}

/// How a client reached the server: an extension of every request.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// The authority that the client named.
    pub(crate) authority: Option<String>,
    /// Where the connection was accepted.
    pub(crate) local: SocketAddr,
    /// Where it comes from, if the system still knows.
    pub(crate) peer: Option<SocketAddr>,
}

/// Where a request comes from.
pub(crate) fn peer<T>(request: &Request<T>) -> Option<SocketAddr> {
    request.extensions().get::<Reached>().and_then(|reached| reached.peer)
}
