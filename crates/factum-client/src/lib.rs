//! Stores over the network: a Factum server, and a KurrentDB.
//!
//! | store | speaks | URL | can do |
//! |---|---|---|---|
//! | [`FactumClient`] | `factum.v1`, Factum's own protocol | `factum://host:2113` | all that the server's store can |
//! | [`KurrentClient`] | KurrentDB's first protocol, to a KurrentDB or a Factum server | `kurrentdb://host:2113?tls=false` | what that protocol has |
//!
//! Both are [`EventStore`](factum_core::EventStore)s: whatever works over a store works over them.
//!
//! ```no_run
//! use factum_client::FactumClient;
//! use factum_core::{Append, EventData, EventStore, EventType, StreamName, Uuid};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let store = FactumClient::connect("factum://127.0.0.1:2113").await?;
//! let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
//! store.append(Append::to(StreamName::new("order-1")?, [placed])).await?;
//! # Ok(()) }
//! ```
//!
//! # Connections
//!
//! A client is one HTTP/2 connection, shared by its clones, and lives on the `tokio` runtime in
//! which it was connected. `connect` asks the server what it can do, and so fails if there is none.
//! From then on a lost connection is made again by the next call, which waits for it at most
//! [`CONNECT_TIMEOUT`]. A call that found its connection closed before it was sent is made once
//! more; nothing else is repeated behind the caller's back, so pauses between attempts are the
//! caller's too:
//!
//! - A call that found no server did nothing: `Unavailable`.
//! - An append whose connection broke before its answer came: `Unknown`. Retry with the same ids.
//! - A read or a subscription whose connection broke ends with `Unavailable`: ask again after the
//!   last batch's `through`.
//!
//! A connection on which nothing answers for some 20 seconds is given up. Deadlines are the
//! caller's: dropping a future ends its call.
//!
//! Reads are pulled: a consumer that does not ask holds up nobody, and no more than
//! [`READ_AHEAD_BYTES`] wait for it here.

mod address;
mod connect;
mod factum;
mod kurrent;
pub mod operations;

pub use address::{DEFAULT_PORT, InvalidAddress};
pub use connect::{CONNECT_TIMEOUT, ConnectError, READ_AHEAD_BYTES};
pub use factum::{CopiesClient, CopyError, FactumBatches, FactumClient, copies};
pub use kurrent::{KurrentBatches, KurrentClient};
