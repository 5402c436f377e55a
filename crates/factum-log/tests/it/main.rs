//! The engine from outside: one binary, one module a behaviour.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a test looks at the folder itself")]

mod backup;
mod conformance;
mod crashes;
mod damage;
mod directory;
mod erase;
mod groups;
mod here;
mod opening;
#[cfg(feature = "zstd")]
mod packed;
mod quarantine;
mod reopening;
mod replica;
mod scavenge;
mod scrub;
mod statistics;
mod tier;
mod tools;
mod verify;
