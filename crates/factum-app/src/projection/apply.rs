//! One event applied to one row: guarded, and without anything else.

use super::{Projection, Row};
use crate::Envelope;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why an event could not be applied to a row: what [`Row::fail`] was told, or a panic.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("{0}")]
pub struct ApplyError(pub String);

/// Applies an event to a row. After an error the row is not to be used.
///
/// # Errors
///
/// The projection said so, or panicked.
pub fn apply<P: Projection>(
    row: &mut Row<P>,
    event: &Envelope<P::Event>,
) -> Result<(), ApplyError> {
    let applied = catch_unwind(AssertUnwindSafe(|| P::apply(row, event)));
    if let Err(panic) = applied {
        return Err(ApplyError(crate::consumer::said(&*panic)));
    }
    if row.changed {
        row.at = event.position();
    }
    match row.failed.take() {
        Some(why) => Err(ApplyError(why)),
        None => Ok(()),
    }
}
