//! The words of Factum as types, and the one trait that every event store implements.
//!
//! An event is an immutable fact in exactly one stream. A store keeps events in one total order,
//! appends them all or nothing under conditions, and gives them back by stream or by query, in both
//! directions, as of now or of a moment in the past, once or live.
//!
//! | module | what |
//! |---|---|
//! | [`name`] | stream names, event types, tags: what is a valid one |
//! | [`number`] | positions, revisions, timestamps |
//! | [`event`] | an event to append, and an event as it was stored |
//! | [`query`] | which events: types, tags, categories, prefixes |
//! | [`append`] | events plus conditions, and the receipt |
//! | [`read`] | reads, subscriptions, batches |
//! | [`metadata`] | what a stream's metadata says, and what it hides |
//! | [`error`] | one enum for each family of operations |
//! | [`store`] | the trait [`EventStore`], and [`AnyStore`] |
//! | [`cursor`] | what a read still has to deliver, for stores over other systems |
//! | [`pull`] | batches that are read when they are asked for |
//! | [`judge`] | the one order in which every store of ours judges an append |
//! | [`memory`] | the in-memory store |
//!
//! No I/O and no runtime live here: a store may complete its futures from any thread.

pub mod append;
pub mod completion;
pub mod cursor;
pub mod error;
pub mod event;
pub mod judge;
pub mod limits;
pub mod memory;
pub mod metadata;
pub mod name;
pub mod number;
pub mod page;
mod planted;
pub mod pull;
pub mod query;
pub mod read;
pub mod statistics;
pub mod store;
#[doc(hidden)]
pub mod sync;
pub mod system;

pub use append::{Append, Change, Check, Expected, Receipt, Tracking, Written};
pub use error::{AppendError, Found, Invalid, ReadError};
pub use event::{ContentType, EventData, RecordedEvent};
pub use limits::{Capabilities, Limits};
pub use memory::MemoryStore;
pub use metadata::StreamMetadata;
pub use name::{EventType, InvalidName, StreamName, Tag};
pub use number::{Position, Revision, Timestamp};
pub use query::{Item, Query};
pub use read::{
    AsOf, Batch, Direction, Freshness, Read, Reading, Select, StreamState, Subscribe, next_batch,
};
pub use statistics::{Bucket, Histogram, Statistic, Statistics, Subscriber};
pub use store::{AnyStore, EventStore};

/// Re-exported, because they are part of the public types.
pub use {bytes::Bytes, futures_core::Stream, uuid::Uuid};
