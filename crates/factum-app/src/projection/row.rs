//! The row that an event is applied to.

use crate::{Envelope, State};
use factum_core::Position;

/// A row of a projection, while an event is applied to it.
#[derive(Debug)]
pub struct Row<R> {
    pub(crate) key: String,
    pub(crate) value: Option<R>,
    pub(crate) at: Position,
    pub(crate) changed: bool,
    pub(crate) failed: Option<String>,
}

impl<R> Row<R> {
    /// One as it is before an event.
    pub(crate) fn new(key: String, value: Option<R>) -> Self {
        Self { key, value, at: Position::START, changed: false, failed: None }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As it is; `None` where there is none yet, or no more.
    #[must_use]
    pub fn get(&self) -> Option<&R> {
        self.value.as_ref()
    }

    /// Makes it this, whether there was one or not.
    pub fn set(&mut self, value: R) {
        self.value = Some(value);
        self.changed = true;
    }

    /// Changes it, if there is one.
    pub fn edit(&mut self, change: impl FnOnce(&mut R)) {
        if let Some(value) = &mut self.value {
            change(value);
            self.changed = true;
        }
    }

    /// Changes it, from its default on where there is none.
    pub fn upsert(&mut self, change: impl FnOnce(&mut R))
    where
        R: Default,
    {
        change(self.value.get_or_insert_default());
        self.changed = true;
    }

    /// Removes it.
    pub fn delete(&mut self) {
        self.value = None;
        self.changed = true;
    }

    /// Says that the event cannot be applied. Nothing of it is, and the policy that was chosen says
    /// what becomes of it.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.failed = Some(why.into());
    }
}

impl<S: State> Row<S> {
    /// The row is the fold of a state: the state after one more event.
    pub fn evolve(&mut self, event: &Envelope<S::Event>) {
        let before = self.get().cloned().unwrap_or_default();
        self.set(before.evolve(&event.event));
    }
}
