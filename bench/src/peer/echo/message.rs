//! The messages of the echo, in the shape of those of an event store.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Event {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) id: Bytes,
    #[prost(string, tag = "2")]
    pub(crate) event_type: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) data: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) metadata: Bytes,
    #[prost(uint64, tag = "5")]
    pub(crate) position: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) revision: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppendRequest {
    #[prost(string, tag = "1")]
    pub(crate) stream: String,
    /// Events that the stream has.
    #[prost(uint64, tag = "2")]
    pub(crate) expected: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppendResponse {
    #[prost(uint64, tag = "1")]
    pub(crate) position: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) count: u64,
    /// Events in a message.
    #[prost(uint32, tag = "2")]
    pub(crate) batch: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) events: Vec<Event>,
}
