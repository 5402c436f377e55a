//! The suite over the in-memory store, and the proof of the suite: stores with planted bugs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod broken;
mod brokers;
mod declared;
mod faults;
mod following;
mod memory;
mod orders;
mod scenarios;
mod world;
