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
        /// Maintenance of a running server.
        pub mod operations {
            include!("generated/event_store.client.operations.rs");
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

#[cfg(test)]
mod tests {
    use crate::{
        event_store::client::{
            Empty, StreamDeleted, StreamIdentifier,
            streams::{AppendReq, ReadResp, append_req, read_resp},
        },
        google::rpc::Status,
        umadb::v1 as dcb,
    };
    use prost::{Message, Name};

    fn check(message: &(impl Message + std::fmt::Debug), bytes: &[u8]) {
        assert_eq!(message.encode_to_vec(), bytes, "{message:?}");
    }

    /// Bytes as the published clients write and read them, by hand from their field numbers.
    #[test]
    fn the_wire_stays_as_it_is() {
        let stream = StreamIdentifier { stream_name: "a".into() };
        let options = append_req::Options {
            stream_identifier: Some(stream.clone()),
            expected_stream_revision: Some(append_req::options::ExpectedStreamRevision::Any(
                Empty {},
            )),
        };
        let append = AppendReq { content: Some(append_req::Content::Options(options)) };
        check(&append, b"\x0a\x07\x0a\x03\x1a\x01a\x22\x00");
        let checkpoint =
            read_resp::Checkpoint { commit_position: 5, prepare_position: 6, timestamp: None };
        let read = ReadResp { content: Some(read_resp::Content::Checkpoint(checkpoint)) };
        check(&read, b"\x1a\x04\x08\x05\x10\x06");
        check(&Status { code: 6, message: "m".into(), details: None }, b"\x08\x06\x12\x01m");
        let event = dcb::SequencedEvent {
            position: 1,
            event: Some(dcb::Event {
                event_type: "t".into(),
                tags: vec!["g".into()],
                data: "d".into(),
                uuid: "u".into(),
                metadata: vec![dcb::MetadataEntry { key: "k".into(), value: "v".into() }],
            }),
            tracking_info: Some(dcb::TrackingInfo { source: "s".into(), position: 2 }),
        };
        check(
            &event,
            b"\x08\x01\x12\x14\x0a\x01t\x12\x01g\x1a\x01d\x22\x01u\x2a\x06\x0a\x01k\x12\x01v\
              \x1a\x05\
              \x0a\x01s\x10\x02",
        );
    }

    #[test]
    fn details_have_the_names_that_clients_look_for() {
        let name = "type.googleapis.com/event_store.client.StreamDeleted";
        assert_eq!(StreamDeleted::type_url(), name);
    }
}
