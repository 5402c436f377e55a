//! Factum: an event-native platform. This crate is the one to add: the words of `factum-core`, and
//! [`open()`], which finds the store that a URL names.
//!
//! | URL | store | feature |
//! |---|---|---|
//! | `memory:` | in memory, gone with the process | – |
//! | `file:./data` | the embedded engine, in a folder | `embedded` (default) |
//! | `sqlite:./app.db`, `sqlite::memory:` | SQLite, in a file or in memory | `sqlite` |
//! | `postgres://user@host/database` | tables of PostgreSQL | `postgres` |
//! | `factum://host:2113` | a Factum server | `client` (default) |
//! | `kurrentdb://host:2113?tls=false` | the same, or a KurrentDB, over KurrentDB's protocol | `client` |
//!
//! ```
//! use factum::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = factum::blocking::open("memory:")?;
//!     let order = StreamName::new("order-1")?;
//!     let placed = EventData::new(
//!         Uuid::from_u128(0x6f72646572),
//!         EventType::new("order.placed")?,
//!         r#"{"total": 12}"#,
//!     );
//!     let append = Append::to(order.clone(), [placed]);
//!     store.append(append.expecting(order.clone(), Expected::NoStream))?;
//!     for event in store.read(Read::stream(order))? {
//!         let event = event?;
//!         println!("{} {}", event.revision(), event.event_type());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The same without blocking: [`open()`] gives an [`AnyStore`], whose methods are those of
//! [`EventStore`].

pub mod blocking;
mod open;
pub mod prelude;

pub use factum_core::*;
pub use open::{OpenError, folder, open};

/// The application framework: decisions, views, processes.
#[cfg(feature = "app")]
pub use factum_app as app;

/// The client, for what is its own: `factum_client`.
#[cfg(feature = "client")]
pub use factum_client as client;

/// The embedded engine, for what is its own: `factum_log`.
#[cfg(feature = "embedded")]
pub use factum_log as log;

/// PostgreSQL as a store, for what is its own: `factum_postgres`, with your rows in the transaction
/// of the events, and the events in yours.
#[cfg(feature = "postgres")]
pub use factum_postgres as postgres;

/// SQLite as a store, for what is its own: `factum_sqlite`, with your rows in the transaction of
/// the events.
#[cfg(feature = "sqlite")]
pub use factum_sqlite as sqlite;

/// The example of the repository's README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
