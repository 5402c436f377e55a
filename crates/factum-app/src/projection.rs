//! Projections: events become rows, by key. In here for now: where rows live.

pub mod target;

mod memory;

pub use memory::MemoryTarget;
pub use target::{Mark, Target, TargetError};
