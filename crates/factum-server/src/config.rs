//! What a server is told: where to listen, what to tell clients about itself, and its limits.

use std::{net::SocketAddr, time::Duration};

/// How a server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where clients reach this server, told by gossip. `None`: the address that the client that
    /// asks has used, which is right unless there is a proxy that rewrites it.
    pub advertise: Option<HostPort>,
    /// Over how many streams (`dcb-0` …) events are spread that come without a stream. Not to be
    /// changed once there are such events: retries are recognised by stream.
    pub dcb_streams: u32,
    /// The largest of everything.
    pub limits: Limits,
}

impl Config {
    /// A server on this address, with the defaults.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, advertise: None, dcb_streams: 1, limits: Limits::default() }
    }
}

/// A host's name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The named limits of a server; those of the store are in [`factum_core::Limits`].
///
/// What is over a limit is refused: with UNAVAILABLE `Server Is Too Busy` over KurrentDB's
/// protocol, RESOURCE_EXHAUSTED over the other gRPC services, 503 over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections that are served. A few more are answered with a refusal, the rest are closed.
    pub connections_max: usize,
    /// Calls at once on one connection; HTTP/2 tells the client.
    pub calls_per_connection_max: u32,
    /// Calls at once, of all connections, subscriptions included.
    pub calls_max: usize,
    /// Subscriptions at once.
    pub subscriptions_max: usize,
    /// Bytes of one message that is received.
    pub message_bytes_max: usize,
    /// Bytes that are received and not yet decoded, of all calls.
    pub received_bytes_max: usize,
    /// Bytes of the header list of one request.
    pub header_bytes_max: u32,
    /// Bytes of appends that are decoded and not yet answered, of all calls.
    pub append_bytes_max: usize,
    /// Pieces of segments that are read at once for copies, of 1 MiB each.
    pub copies_max: usize,
    /// Verifications at once: each needs memory for the index of a segment.
    pub verifications_max: usize,
    /// Appends that are not yet answered on one streaming call. More are not read until some are.
    pub appends_per_call_max: usize,
    /// Streaming appends of one call that have begun and are not complete.
    pub open_appends_per_call_max: usize,
    /// Events in one response of a dynamic consistency boundary's read, at most and by default.
    pub dcb_batch_events_max: usize,
    /// Bytes of a regular expression's text.
    pub regex_bytes_max: usize,
    /// Bytes of a compiled regular expression.
    pub regex_compiled_bytes_max: usize,
    /// Steps that a regular expression with look-around may go back on one name.
    pub regex_steps_max: usize,
    /// How long a connection may be open without a first request.
    pub first_request_time_max: Duration,
    /// How long a connection may be open without a call in progress.
    pub idle_time_max: Duration,
    /// How often a peer that is silent is asked whether it is there.
    pub keep_alive_interval: Duration,
    /// How long it may take to say so.
    pub keep_alive_time_max: Duration,
    /// How long calls may go on once the server is told to stop.
    pub drain_time_max: Duration,
    /// How long ago a replica may have been level with its source before health says so.
    pub replica_lag_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            calls_per_connection_max: 1_024,
            calls_max: 16_384,
            subscriptions_max: 8_192,
            message_bytes_max: 72 << 20,
            received_bytes_max: 512 << 20,
            header_bytes_max: 16 << 10,
            append_bytes_max: 256 << 20,
            copies_max: 16,
            verifications_max: 1,
            appends_per_call_max: 1_024,
            open_appends_per_call_max: 256,
            dcb_batch_events_max: 1_000,
            regex_bytes_max: 4_096,
            regex_compiled_bytes_max: 1 << 20,
            regex_steps_max: 100_000,
            first_request_time_max: Duration::from_secs(30),
            idle_time_max: Duration::from_secs(600),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_time_max: Duration::from_secs(10),
            drain_time_max: Duration::from_secs(10),
            replica_lag_max: Duration::from_secs(30),
        }
    }
}
