//! The Factum server: one port, several protocols, any event store.
//!
//! | folder | protocol |
//! |---|---|
//! | `v1` | Factum's own, `factum.v1.Store`: the whole store, in batches |
//! | `copies` | `factum.v1.Copies`: bytes of a folder of the engine, and verifying it |
//! | `kurrentdb` | KurrentDB's first gRPC protocol: its published clients work unchanged |
//! | `dcb` | UmaDB's `umadb.v1.DCB` |
//! | `http` | health, `/info`, Prometheus' `/metrics`, over HTTP/1.1 and HTTP/2 |
//! | `health` | gRPC's own health service |
//!
//! Each folder maps messages to the words of `factum-core` in pure functions, and has a thin shell
//! that calls the store. Nothing here knows which store that is, but `copies` and the maintenance
//! of the embedded engine, where the server is given it ([`Server::bind_log`]). Every resource has
//! a named limit ([`Limits`]); what is over it is refused with a status, and nothing waits in a
//! queue without end: reads and subscriptions are pulled by the client's own flow control.
//!
//! ```no_run
//! use factum_core::{AnyStore, MemoryStore};
//! use factum_server::{Config, run};
//!
//! # async fn example() -> Result<(), factum_server::ServerError> {
//! let config = Config::new(([127, 0, 0, 1], 2113).into());
//! let stop = async { /* wait for a signal */ };
//! run(config, AnyStore::new(MemoryStore::new()), stop).await
//! # }
//! ```
//!
//! This release speaks plaintext and knows no users: whoever starts it chooses an address that only
//! friends reach. Credentials that a client sends are ignored.

mod clock;
mod config;
mod connection;
mod context;
mod copies;
mod dcb;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod grpc;
mod health;
mod http;
mod inbound;
mod keys;
mod kurrentdb;
mod metrics;
mod operations;
mod outbound;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod router;
mod rpc;
mod server;
mod socket;
mod statistics;
mod status;
mod subscribers;
mod v1;

pub use config::{Config, HostPort, Limits};
pub use rpc::{Access, RPCS, Rpc};
pub use server::{Server, ServerError, run};
pub use status::{Row, append_row, read_row};
