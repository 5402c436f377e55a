//! The store against the suite, against other processes, and against being killed: all of it over
//! real servers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[cfg(feature = "cdc")]
mod cdc;
mod conformance;
mod crashes;
mod following;
mod inline;
mod opening;
#[cfg(feature = "app")]
mod outbox;
mod support;
#[cfg(feature = "app")]
mod target;
mod together;
