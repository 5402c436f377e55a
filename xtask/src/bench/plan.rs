//! The loads, in their order, and which stores are under each.

/// What a store holds before a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Store {
    /// Nothing: a new folder for each run.
    Empty,
    /// A million events, filled once; loads leave it as it is, but for an event a run.
    Filled,
    /// As many as `--large` says.
    Large,
}

/// A load, as `loadgen` is asked for it.
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// The subcommand, and its options.
    pub(super) command: &'static [&'static str],
    pub(super) peers: &'static [&'static str],
    pub(super) store: Store,
}

const LIBRARIES: &[&str] = &["factum-embedded", "fjall", "redb", "tephra-embedded"];

/// Servers, Factum by each of its clients, and what gRPC allows.
const UNARY: &[&str] = &[
    "factum-v1-unary",
    "factum-v1",
    "factum-kurrent",
    "factum-dcb",
    "umadb",
    "tephra",
    "postgres",
    "nats",
    "redis",
    "echo",
    "echo-log",
];
const PIPELINES: &[&str] = &["factum-v1", "factum-kurrent", "echo", "echo-log"];
const READERS: &[&str] = &[
    "factum-v1",
    "factum-kurrent",
    "factum-dcb",
    "umadb",
    "tephra",
    "postgres",
    "nats",
    "redis",
    "echo",
];
const STORES: &[&str] =
    &["factum-v1", "factum-kurrent", "factum-dcb", "umadb", "tephra", "postgres", "nats", "redis"];
/// Opening does not depend on the client; a library is opened in the process of the load.
const OPENED: &[&str] = &[
    "factum-v1",
    "factum-embedded",
    "umadb",
    "tephra",
    "postgres",
    "nats",
    "redis",
    "redb",
    "fjall",
    "tephra-embedded",
];

const fn load(
    name: &'static str,
    command: &'static [&'static str],
    peers: &'static [&'static str],
    store: Store,
) -> Workload {
    Workload { name, command, peers, store }
}

/// All of them.
pub(super) const WORKLOADS: &[Workload] = &[
    load("embedded-append", &["append", "--clients", "1,64"], LIBRARIES, Store::Empty),
    load("embedded-batch", &["append", "--batch", "100,1000"], LIBRARIES, Store::Empty),
    load("embedded-stream", &["stream", "--len", "1000"], LIBRARIES, Store::Empty),
    load("embedded-all", &["all"], LIBRARIES, Store::Filled),
    load("append", &["append", "--clients", "1,16,64"], UNARY, Store::Empty),
    load("pipeline", &["pipeline", "--window", "64,256"], PIPELINES, Store::Empty),
    load("batch", &["append", "--batch", "100,1000"], UNARY, Store::Empty),
    load("stream", &["stream", "--len", "10,1000,100000"], READERS, Store::Empty),
    load("aggregate", &["aggregate", "--clients", "1,16"], STORES, Store::Empty),
    load("subscribe", &["subscribe"], STORES, Store::Empty),
    load("all", &["all"], READERS, Store::Filled),
    load("open", &["open"], OPENED, Store::Filled),
    load("open-large", &["open"], &["factum-v1"], Store::Large),
];

/// Their names, and that of the machine's limits.
pub(super) fn names() -> Vec<&'static str> {
    std::iter::once(LIMITS).chain(WORKLOADS.iter().map(|load| load.name)).collect()
}

/// The load that is none: what the machine allows.
pub(super) const LIMITS: &str = "limits";

/// Its parts.
pub(super) const LIMIT_KINDS: &[&str] = &["sync", "group", "scan"];

impl Workload {
    /// Whether `loadgen` starts the server itself, because that is what is measured.
    pub(super) fn starts_server(&self) -> bool {
        self.command == ["open"]
    }

    /// Whether it runs for a time, and takes `--secs`.
    pub(super) fn is_timed(&self) -> bool {
        !matches!(self.command.first(), Some(&"all" | &"open"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::peers::{PEERS, peer};
    use super::*;

    #[test]
    fn every_peer_is_there_and_has_a_load() {
        for load in WORKLOADS {
            assert!(load.peers.iter().all(|name| peer(name).is_some()), "{}", load.name);
        }
        for peer in PEERS {
            let loads = WORKLOADS.iter().filter(|load| load.peers.contains(&peer.name)).count();
            assert!(loads > 0, "{}", peer.name);
        }
    }
}
