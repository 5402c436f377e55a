//! What is NATS's own in `factum-nats`, over real servers: those of Debian (2.9) and of today.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod checks;
mod cluster;
mod commands;
mod conformance;
mod crash;
mod groups;
mod kit;
mod limits;
