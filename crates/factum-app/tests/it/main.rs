//! The framework over stores, one module a behaviour.
#![allow(clippy::unwrap_used, reason = "tests")]

mod aggregates;
mod attributes;
mod away;
mod between;
mod bus;
mod clock;
mod commands;
mod compile;
mod consumers;
mod courses;
mod decisions;
mod describe;
mod failing;
mod gaps;
mod history;
mod hooked;
mod leases;
mod lock;
mod messages;
mod observed;
mod payments;
#[cfg(feature = "personal")]
mod personal;
mod placeless;
mod process_crashes;
mod processes;
mod projections;
mod publications;
mod receiving;
mod sagas;
mod shop;
mod snapshots;
mod sugar;
mod targets;
mod upcasts;
