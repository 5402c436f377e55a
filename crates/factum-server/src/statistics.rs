//! The numbers of the store and of the server, gathered for `factum.v1`, KurrentDB's `Stats` and
//! `/metrics` alike.

use crate::{context::Context, subscribers};
use factum_core::{EventStore, Statistics};

/// All numbers now. A store that cannot tell its own leaves the server's.
pub(crate) async fn gather(context: &Context) -> Statistics {
    let mut all = context.store.statistics().await.unwrap_or_default();
    let gate = &context.gate;
    for (name, counter, help) in [
        ("server_connections", &gate.connections, "Connections that are served"),
        ("server_calls_in_progress", &gate.calls, "Calls in progress, subscriptions included"),
        ("server_subscriptions", &gate.subscriptions, "Subscriptions in progress"),
        ("server_received_bytes", &gate.received_bytes, "Bytes received and not yet decoded"),
        ("server_append_bytes", &gate.append_bytes, "Bytes of appends not yet answered"),
    ] {
        all.gauge(name, counter.used() as u64, help);
    }
    let refused = [
        &gate.connections,
        &gate.calls,
        &gate.subscriptions,
        &gate.received_bytes,
        &gate.append_bytes,
    ];
    let refused: usize = refused.iter().map(|counter| counter.refused()).sum();
    all.counter("server_refused", refused as u64, "Times that a limit of the server refused");
    subscribers::tell(context, &mut all).await;
    all
}
