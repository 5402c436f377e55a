//! `events.lock`: the shape of every event that was ever released, checked in beside the code.
//!
//! A store keeps what old releases wrote. The compiler knows the code of today; the lock file knows
//! what was promised before, so that a change that would make old facts unreadable is found by a
//! test and not by a consumer that stops:
//!
//! ```no_run
//! # use factum_app::{EventSet, event};
//! # #[event("order.placed")]
//! # struct OrderPlaced { #[tag] order: u32 }
//! # #[derive(Clone, Debug, EventSet)]
//! # enum OrderEvent { Placed(OrderPlaced) }
//! #[test]
//! fn every_fact_ever_released_can_be_read() {
//!     factum_app::lock::check::<(OrderEvent,)>("events.lock");
//! }
//! ```
//!
//! `FACTUM_LOCK=update cargo test` writes what is new and safe. Beside each shape it keeps samples
//! of it, which the test reads through all upcasts: what they make of old facts, no schema tells.
//!
//! `factum events check` compares two
//! lock files, and a lock file with what a store holds.

mod canonical;
mod census;
mod check;
mod compare;
mod file;
mod finding;
mod sampled;
mod schema;

pub(crate) use canonical::canonical;
pub use census::{Census, KINDS_MAX, Seen};
pub use check::{UPDATE, Written, check, verify};
pub use compare::compare;
pub use file::{Lock, LockError, Shape};
pub use finding::{Finding, Findings};
