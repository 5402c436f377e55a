//! The server over real sockets, with generated clients, on the in-memory store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod bad_input;
mod batch;
mod copies;
mod dcb;
mod delete;
mod errors;
mod harness;
mod held_back;
mod http;
mod info;
mod limits;
mod operations;
mod replica;
mod streams_append;
mod streams_read;
mod subscribers;
mod subscriptions;
mod v1;
