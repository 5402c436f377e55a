//! Every RPC that this server answers, in one table: who may call it, and what it is told to be
//! able to. A path that is not here is UNIMPLEMENTED.
//!
//! The access column is for the day when there are users; until then it is documentation that a
//! test keeps complete.

use crate::{grpc::Protocol, health, kurrentdb};

/// What a caller must be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it tells what any client must know to connect.
    Anyone,
    /// To read events.
    Read,
    /// To append events, and to delete streams.
    Write,
    /// To see how the server is.
    Observe,
    /// To maintain the store: to take out of it what is hidden or must go; to copy and verify it.
    Operate,
}

/// One RPC.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// Full name of the service.
    pub service: &'static str,
    /// Name of the method.
    pub method: &'static str,
    /// What a caller must be allowed to do.
    pub access: Access,
    pub(crate) protocol: Protocol,
    pub(crate) features: &'static [&'static str],
}

const V1: &str = "factum.v1.Store";
pub(crate) const OPERATIONS: &str = "factum.v1.Operations";
pub(crate) const COPIES: &str = "factum.v1.Copies";
const DCB: &str = "umadb.v1.DCB";
const STREAMS: &str = "event_store.client.streams.Streams";

const fn v1(method: &'static str, access: Access) -> Rpc {
    Rpc { service: V1, method, access, protocol: Protocol::V1, features: &[] }
}

const fn operation(method: &'static str, access: Access) -> Rpc {
    Rpc { service: OPERATIONS, method, access, protocol: Protocol::V1, features: &[] }
}

const fn copies(method: &'static str) -> Rpc {
    let (access, protocol) = (Access::Operate, Protocol::V1);
    Rpc { service: COPIES, method, access, protocol, features: &[] }
}

const fn health_rpc(method: &'static str) -> Rpc {
    let (access, protocol) = (Access::Anyone, Protocol::V1);
    Rpc { service: health::SERVICE, method, access, protocol, features: &[] }
}

const fn dcb(method: &'static str, access: Access) -> Rpc {
    Rpc { service: DCB, method, access, protocol: Protocol::Dcb, features: &[] }
}

const fn kurrentdb(service: &'static str, method: &'static str, access: Access) -> Rpc {
    Rpc { service, method, access, protocol: Protocol::KurrentDb, features: &[] }
}

impl Rpc {
    const fn with(mut self, features: &'static [&'static str]) -> Self {
        self.features = features;
        self
    }
}

/// The table.
pub const RPCS: &[Rpc] = &[
    v1("Append", Access::Write),
    v1("AppendStream", Access::Write),
    v1("Read", Access::Read),
    v1("Subscribe", Access::Read),
    v1("Head", Access::Read),
    v1("Metadata", Access::Read),
    v1("Change", Access::Write),
    v1("Tracked", Access::Read),
    v1("Capabilities", Access::Anyone),
    v1("Statistics", Access::Observe),
    operation("StartScavenge", Access::Operate),
    operation("StopScavenge", Access::Operate),
    operation("ScavengeStatus", Access::Observe),
    operation("Erase", Access::Operate),
    copies("Inventory"),
    copies("ReadSegment"),
    copies("Verify"),
    kurrentdb(STREAMS, "Read", Access::Read).with(&["position", "events"]),
    kurrentdb(STREAMS, "Append", Access::Write),
    kurrentdb(STREAMS, "BatchAppend", Access::Write).with(&["deadline_duration"]),
    kurrentdb(STREAMS, "Delete", Access::Write),
    kurrentdb(STREAMS, "Tombstone", Access::Write),
    kurrentdb(kurrentdb::FEATURES_SERVICE, "GetSupportedMethods", Access::Anyone),
    kurrentdb("event_store.client.gossip.Gossip", "Read", Access::Anyone),
    kurrentdb("event_store.client.monitoring.Monitoring", "Stats", Access::Observe),
    kurrentdb("event_store.client.operations.Operations", "StartScavenge", Access::Operate),
    kurrentdb("event_store.client.operations.Operations", "StopScavenge", Access::Operate),
    health_rpc("Check"),
    health_rpc("Watch"),
    dcb("Read", Access::Read),
    dcb("Subscribe", Access::Read),
    dcb("Append", Access::Write),
    dcb("Head", Access::Read),
    dcb("GetTrackingInfo", Access::Read),
];

/// The RPC of a path, `/service/method`.
pub(crate) fn find(path: &str) -> Option<&'static Rpc> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    RPCS.iter().find(|rpc| rpc.method == method && rpc.service == service)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_has_its_rpc_and_nothing_else_has() {
        for rpc in RPCS {
            let found = find(&format!("/{}/{}", rpc.service, rpc.method)).unwrap();
            assert_eq!((found.service, found.method), (rpc.service, rpc.method));
        }
        for path in ["", "/", "/factum.v1.Store", "/factum.v1.Store/", "/Append", "//Append"] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
