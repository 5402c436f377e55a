//! Factum's embedded engine: one log, one writer, one index.
//!
//! [`LogStore`] is an [`EventStore`](factum_core::EventStore) over a folder. Below it, and usable
//! without threads, are [`Writer`] (judges, encodes and commits a group of appends, one sync a
//! group) and [`Reader`] (batches up to the published watermark).
//!
//! | module | what |
//! |---|---|
//! | [`disk`], [`clock`], [`rng`] | the only doors to the world: a simulation stands behind them |
//! | [`format`](mod@format) | the bytes on disk |
//! | `segment` | a file of the log, with its index |
//! | `durations` | how long things took: buckets of atomics |
//! | `index` | which events: in memory for the newest segment, a file for each sealed one |
//! | `recovery` | opening: what is whole, what is torn, what is damaged |
//! | [`write`](mod@write) | the one writer |
//! | [`read`](mod@read) | cursors |
//! | [`backup`](mod@backup) | a copy to go back to, and going back |
//! | [`copy`] | segments copied as they are, checked on the way |
//! | `scrub` | sealed files are read again in the background |
//! | [`mod@replica`] | a folder that follows another store, and is read |
//! | [`mod@verify`] | every byte, compared with every other that says the same |
//! | [`mod@quarantine`] | damaged segments put aside, and what is lost with them |
//! | [`rewrite`] | scavenging: sealed segments without what is gone |
//! | [`mod@tier`] | sealed segments in object storage |
//! | [`packed`] | sealed segments, compressed |
//! | [`store`] | threads and futures around it |
//!
//! Nothing here knows an async runtime. `docs/format.md` says every byte, `docs/guarantees.md` what
//! is promised and which test proves it.

pub mod backup;
pub mod clock;
pub mod copy;
pub mod disk;
mod durations;
pub mod error;
pub mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
pub mod options;
pub mod packed;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
pub mod quarantine;
pub mod read;
mod recovery;
pub mod replica;
pub mod rewrite;
pub mod rng;
mod scrub;
mod segment;
mod shared;
pub mod store;
pub mod tier;
pub mod verify;
mod watermark;
pub mod write;

pub use error::{Damage, OpenError};
pub use index::PageCache;
pub use options::{Options, World};
pub use read::Reader;
pub use recovery::open;

pub use store::LogStore;
pub use write::{Job, Writer};
