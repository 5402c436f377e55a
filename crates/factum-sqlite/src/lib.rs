//! SQLite as an event store: for an application that has its tables there, and wants its facts in
//! the same file and in the same transaction.
//!
//! The whole [`EventStore`](factum_core::EventStore) trait over one file, or in memory, on `sqlx`.
//! An append is acknowledged after its commit has reached the disk (`synchronous=FULL`, a
//! write-ahead log); appends that wait together share a transaction, each in a savepoint. Several
//! processes may have one file open.
//!
//! | module | what |
//! |---|---|
//! | `options` | settings |
//! | `store` | [`SqliteStore`], what waits for the writer, the writer's thread |
//! | `write` | a group of appends in one transaction |
//! | `read` | a cursor, and its batches |
//! | `select` | a query, in SQL |
//! | `schema` | the tables |
//! | `pool` | connections |
//! | `inline` | the caller's own rows in the transaction of an append, or alone |
//! | `inbox` | messages that were handled, with the feature `app` |
//! | `outbox` | messages that wait to be published, with the feature `app` |
//! | `target` | rows of projections, with the feature `app` |
//!
//! The order of judgement, and all that is decided there, is [`factum_core::judge`]'s.

mod error;
mod heads;
#[cfg(feature = "app")]
pub mod inbox;
mod inline;
mod names;
mod options;
#[cfg(feature = "app")]
pub mod outbox;
mod pool;
mod range;
mod read;
mod schema;
mod select;
mod shared;
mod statistics;
mod store;
#[cfg(feature = "app")]
mod target;
mod write;

pub use error::OpenError;
#[cfg(feature = "app")]
pub use inbox::SqliteInbox;
pub use inline::{AppendWithError, Applied, BoxError, Inline};
pub use options::{Clock, Options};
#[cfg(feature = "app")]
pub use outbox::SqliteOutbox;
pub use read::SqliteBatches;
pub use store::SqliteStore;
#[cfg(feature = "app")]
pub use target::SqliteTarget;

/// Re-exported, because its connections are part of the public types.
pub use sqlx;
