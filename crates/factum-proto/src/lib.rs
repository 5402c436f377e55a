//! Wire messages and service stubs of the protocols that Factum speaks.
//!
//! | module | protocol | who speaks it |
//! |---|---|---|
//! | [`factum::v1`] | Factum's own: the whole store | `factum-client` |
//! | [`event_store::client`] | KurrentDB's first protocol | its published clients |
//! | [`umadb::v1`] | UmaDB's dynamic consistency boundaries | its published clients |
//! | [`google::rpc`] | the error that the others carry | all |
//! | [`grpc::health`] | whether a server serves | probes |
//!
//! The code is generated from the folder `proto` by `cargo xtask proto`, and checked in, so that
//! building Factum needs no compiler of protobuf. Nothing else lives here: what a message *means*
//! is said where it is served or called.
//!
//! Features: `server` adds the traits that a server implements, `client` the stubs that a client
//! calls. Messages are there without either.

/// Error details, as Google's APIs name them.
pub mod google {
    /// The error, in details.
    #[allow(missing_docs, unreachable_pub, clippy::all)]
    pub mod rpc {
        include!("generated/google.rpc.rs");
    }
}

/// What every gRPC server has.
pub mod grpc {
    /// Whether a server serves.
    pub mod health {
        /// The first version.
        #[allow(missing_docs, unreachable_pub, clippy::all)]
        pub mod v1 {
            include!("generated/grpc.health.v1.rs");
        }
    }
}

/// KurrentDB's protocols.
pub mod event_store {
    /// The first protocol: what its services share, and a module for each service.
    #[allow(missing_docs, unreachable_pub, clippy::all)]
    pub mod client {
        include!("generated/event_store.client.rs");
        /// Which nodes there are.
        pub mod gossip {
            include!("generated/event_store.client.gossip.rs");
        }
        /// Figures of a running server.
        pub mod monitoring {
            include!("generated/event_store.client.monitoring.rs");
        }
        /// What a server can do.
        pub mod server_features {
            include!("generated/event_store.client.server_features.rs");
        }
        /// Appending, reading, deleting.
        pub mod streams {
            include!("generated/event_store.client.streams.rs");
        }
    }
}

/// UmaDB's protocol.
pub mod umadb {
    /// The first version.
    #[allow(missing_docs, unreachable_pub, clippy::all)]
    pub mod v1 {
        include!("generated/umadb.v1.rs");
    }
}

/// Factum's own protocol.
pub mod factum {
    /// The first version.
    #[allow(missing_docs, unreachable_pub, clippy::all)]
    pub mod v1 {
        include!("generated/factum.v1.rs");
    }
}
