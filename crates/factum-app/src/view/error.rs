//! What can go wrong when a view is asked.

use crate::projection::TargetError;
use factum_core::Position;
use std::{sync::Arc, time::Duration};

/// Why a view gave no answer.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViewError {
    /// It was not new enough within the limit. Ask again, or show what is there, and say so.
    #[error(
        "{name} is at position {through}, behind {at_least}, after waiting for {within:?}: ask \
         again, or without `at_least`"
    )]
    Behind {
        /// Which projection.
        name: &'static str,
        /// How new it should have been.
        at_least: Position,
        /// How new it is.
        through: Position,
        /// How long was waited.
        within: Duration,
    },
    /// It is being made for the first time, and has not caught up within the limit.
    #[error("{name} is still being made, at position {through}, after waiting for {within:?}")]
    Building {
        /// Which projection.
        name: &'static str,
        /// How far it is.
        through: Position,
        /// How long was waited.
        within: Duration,
    },
    /// An event about this key could not be applied and is parked, so that the row lacks it, and
    /// what came later. Mend the cause, and redrive.
    #[error("{name}, key {key:?}: the event at position {position} is parked: {why}")]
    Parked {
        /// Which projection.
        name: &'static str,
        /// Which key.
        key: String,
        /// Where the event stands.
        position: Position,
        /// What was wrong.
        why: String,
    },
    /// It has stopped, and is not new enough. Mend the cause, and resume it.
    #[error("{name} has stopped at position {through}: {why}")]
    Stopped {
        /// Which projection.
        name: &'static str,
        /// How far it is.
        through: Position,
        /// Why.
        why: Arc<str>,
    },
    /// Nobody keeps it. Register it: `.projection::<…>(…)`.
    #[error("{name} is not registered: add `.projection::<…>(…)` to the app's builder")]
    NotRegistered {
        /// Which projection.
        name: &'static str,
    },
    /// The target did not answer.
    #[error("{name}: {source}")]
    Target {
        /// Which projection.
        name: &'static str,
        /// What it said.
        source: TargetError,
    },
}
