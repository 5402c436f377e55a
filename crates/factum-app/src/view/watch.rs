//! A row, and then each time that it is another.

use super::{Stamped, View, ViewError, see::Parts};
use crate::projection::Projection;
use factum_core::Position;

/// The changes of a row. Who is slow misses states in between, and never the last one.
pub struct Watch<'a, P> {
    view: View<'a, P>,
    key: String,
    shown: Option<Option<(u32, Position)>>,
    parts: Option<Parts<'a>>,
}

impl<'a, P: Projection> Watch<'a, P> {
    pub(super) fn new(view: View<'a, P>, key: String) -> Self {
        Self { view, key, shown: None, parts: None }
    }

    /// The row as it is, at first; later waits, without a limit, until it is another. `None` in
    /// the place of a row where there is none.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn next(&mut self) -> Result<Option<Stamped<P>>, ViewError> {
        loop {
            let parts = match &mut self.parts {
                Some(parts) => parts,
                None => self.parts.insert(Parts::of(&self.view, Some(&self.key))?),
            };
            // Before it is read: what changes from here on is looked at again.
            parts.look();
            let row = self.view.row(&self.key).await?;
            let state = row.as_ref().map(|row| (row.version, row.at));
            if self.shown != Some(state) {
                self.shown = Some(state);
                return Ok(row);
            }
            parts.changed().await;
        }
    }
    /// Waits, without a limit, until there is a row of which this holds.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn until(&mut self, mut holds: impl FnMut(&P) -> bool) -> Result<P, ViewError> {
        loop {
            if let Some(row) = self.next().await?
                && holds(&row.value)
            {
                return Ok(row.value);
            }
        }
    }
}
