//! Simulated disk, clock and randomness, and the rows of the reliability programme that run on
//! them: power cuts, crashes inside recovery, errors of the disk, damage, model histories.
//!
//! | module | what |
//! |---|---|
//! | [`disk`] | a disk in memory that forgets what was not synced, and fails when told to |
//! | [`dice`], [`clock`] | seeded randomness, and a clock that can be set back |
//! | [`model`] | what a store must answer, worked out anew and simply |
//! | [`work`] | histories: groups of appends and changes, from a seed |
//! | [`check`](mod@check) | whether a store agrees with itself and with the model |
//! | [`linear`] | what many clients saw at once, and whether it is as if one came after the other |
//! | [`program`] | what a program does that runs rows |
//! | [`rows`] | the rows, and the runner that shares a time budget among them |
//! | `planted` | with the feature `planted`: which row catches which bug in the engine |
//!
//! Nothing here calls the engine's own judgement: what it gets wrong the model must not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "here a panic is a find")]

pub mod check;
pub mod clock;
pub mod dice;
pub mod disk;
pub mod linear;
pub mod model;
#[cfg(feature = "planted")]
pub mod planted;
pub mod program;
pub mod rows;
pub mod work;
