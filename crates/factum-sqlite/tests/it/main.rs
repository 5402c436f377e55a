//! The store against the suite, against other processes, and against being killed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod conformance;
mod crashes;
mod facade;
mod following;
mod groups;
mod inbox;
mod inline;
mod inlined;
mod killed;
mod opening;
mod outbox;
mod processes;
mod projections;
mod support;
mod target;
