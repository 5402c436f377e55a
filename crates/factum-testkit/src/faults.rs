//! A store that fails as stores do: any store inside, and in front of it whatever a network, an
//! overloaded server or a process that dies puts there.
//!
//! By a plan (the third append loses its reply) or by chances that a seed draws. What must hold:
//! nothing here breaks a promise of the store. What is refused was not done; what was done and not
//! answered is [`AppendError::Unknown`](factum_core::AppendError::Unknown); a subscription may end,
//! split its batches and repeat them, but never loses one. So an app that goes wrong over this
//! store would go wrong over a real one.

mod batches;
mod plan;
mod store;

pub use batches::FaultyBatches;
pub use plan::{Chances, Counts, Fault, Faults};
pub use store::FaultyStore;
