//! PostgreSQL as an event store: for an application that has its tables there, and wants its facts
//! beside them and in the same transactions.
//!
//! The whole [`EventStore`](factum_core::EventStore) trait over PostgreSQL 15 and later, on `sqlx`.
//! An append is one round trip, and waits for nobody but those that it conflicts with; who follows
//! never misses an event that commits late. Any number of processes may use one store.
//!
//! | module | what |
//! |---|---|
//! | `options`, `server` | settings, addresses, what is asked of a server |
//! | `store` | [`PostgresStore`] |
//! | `append` | an append as one call, or judged in a transaction |
//! | `inline` | appends in the caller's transaction, the caller's rows in that of an append |
//! | `terms` | the locks of an append |
//! | `read`, `select` | a cursor and its batches; a query, in SQL |
//! | `tail`, `listen`, `waits` | the settled head, notifications, who holds it back |
//! | `outbox`, `inbox`, `beside` | messages to publish, messages that were handled, with `app` |
//! | `schema` | the tables and functions |
//! | `target` | rows of projections, with the feature `app` |
//! | `cdc` | change data capture, with the feature `cdc` |
//! | `pool` | connections |
//!
//! The order of judgement, and all that is decided there, is [`factum_core::judge`]'s.

mod append;
#[cfg(feature = "app")]
mod beside;
#[cfg(feature = "cdc")]
pub mod cdc;
mod error;
mod heads;
#[cfg(feature = "app")]
mod inbox;
mod inline;
mod listen;
mod options;
#[cfg(feature = "app")]
mod outbox;
mod pool;
mod read;
mod schema;
mod select;
mod server;
mod shared;
mod statistics;
mod store;
mod tail;
#[cfg(feature = "app")]
mod target;
mod terms;
mod waits;

pub use error::OpenError;
#[cfg(feature = "app")]
pub use inbox::PostgresInbox;
pub use inline::AppendWithError;
pub use options::{Clock, Listen, Options};
#[cfg(feature = "app")]
pub use outbox::PostgresOutbox;
pub use read::PostgresBatches;
pub use store::PostgresStore;
#[cfg(feature = "app")]
pub use target::PostgresTarget;
pub use waits::OpenAppend;

/// Re-exported, because its connections are part of the public types.
pub use sqlx;
