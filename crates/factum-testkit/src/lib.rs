//! Tests of what is built on Factum, and of what it stands on.
//!
//! *Of applications*: [`given`] facts, when something is asked, then that comes of it;
//! [`SimWorld`], a world whose clock and schedule follow a seed; and [`FaultyStore`], a store that
//! fails as stores do.
//!
//! *Of stores*: the conformance suite, what every event store does, as cases that run over any of
//! them.
//! A store's tests implement [`Harness`] (how to make a store, and what else they can do with it),
//! and name it once:
//!
//! ```
//! use factum_testkit::MemoryHarness;
//!
//! mod conformance {
//!     use super::*;
//!     factum_testkit::conformance!(MemoryHarness::new(), run = factum_testkit::block_on);
//! }
//! ```
//!
//! That makes one `#[test]` of each case, in a module for each area, so that
//! `cargo test replay::` runs the retries. What a store says it cannot do
//! ([`factum_core::Capabilities`]) it must refuse as `Unsupported`, with nothing written: a case
//! that comes to such an operation ends there, having proved the refusal. What a harness cannot do
//! ([`Need`]) is skipped, and said aloud.
//!
//! | module | what |
//! |---|---|
//! | [`harness`] | what a store's tests bring |
//! | [`suite`] | the list of cases, and the macro [`conformance!`] |
//! | [`run`] | runs one case: a thread, a time limit, a verdict |
//! | [`trial`] | what a case works with: a store, names of its own, patience |
//! | [`build`] | events and checks in few words |
//! | [`difference`] | assertions that show where two values differ |
//! | [`brokers`] | the suite that every broker passes |
//! | [`outboxes`] | the suite that every outbox and inbox passes |
//! | [`wait`] | waiting without a runtime: `block_on`, limits |
//! | [`scenario`] | given, when, then |
//! | [`faults`] | a store that fails as stores do: by a plan, or by a seed |
//! | [`sample`] | a small app for tests of stores with real processes |
//! | [`sim`] | a whole app in a simulation: instances that crash and come back |
//! | [`world`] | a world that follows a seed: clock, tasks, randomness |
//!
//! No runtime lives here: a store that needs one brings its own as `run`.

pub mod brokers;
pub mod build;
mod cases;
pub mod difference;
pub mod faults;
pub mod harness;
pub mod outboxes;
mod referee;
pub mod run;
pub mod sample;
pub mod scenario;
pub mod sim;
mod skip;
pub mod suite;
pub mod trial;
pub mod wait;
pub mod world;

pub use build::{Ids, event, event_with_id};
pub use difference::same;
pub use faults::{Chances, Counts, Fault, Faults, FaultyStore};
pub use harness::{Boxed, Harness, ManualClock, MemoryHarness, Need, Turns};
pub use run::{Failure, Outcome, Settings, Verdict};
pub use scenario::{Following, Given, Rows, When, given, given_nothing};
pub use sim::{Cluster, Crashed, Report, Sim, at_every_append};
pub use suite::{CASES, Case};
pub use trial::{Feed, Seen, Trial};
pub use wait::{block_on, within};
pub use world::{SimWorld, seeds};
