//! The framework in the simulated world: one row a promise. `tests/rows.rs` runs them; `planted.rs`
//! runs them over a framework with bugs on purpose, and wants each caught.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

pub(crate) mod commands;
pub(crate) mod decisions;
pub(crate) mod outbox;
pub(crate) mod shop;
mod target;
mod world;
