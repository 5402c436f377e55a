//! What the caller wants in the transaction of an append.

use super::{Refused, Writing};
use crate::inline::Hook;
use factum_core::{
    AppendError, Position, RecordedEvent,
    judge::Plan,
    page::{PageBuilder, Place},
};
use std::panic::{self, AssertUnwindSafe};

impl Writing<'_> {
    /// Lets the store's projection and the caller of this append do what they want.
    pub(super) fn inline(
        &mut self,
        plan: &Plan,
        first: u64,
        hook: Option<Hook>,
    ) -> Result<(), Refused> {
        let events = self.recorded(plan, first);
        let theirs = AssertUnwindSafe(|| self.apply(&events, hook));
        // A panic of theirs is an error of theirs: the store goes on, and nothing was written.
        panic::catch_unwind(theirs).unwrap_or_else(|_| {
            let why = "what was to happen in the transaction panicked; nothing was written".into();
            Err(Refused::Append(AppendError::Unavailable { why }))
        })
    }

    fn apply(&mut self, events: &[RecordedEvent], hook: Option<Hook>) -> Result<(), Refused> {
        if let Some(inline) = &self.options.inline {
            let applied = self.runtime.block_on(inline.apply(self.connection, events));
            applied.map_err(|error| {
                let why = format!("the inline projection refuses: {error}").into();
                Refused::Append(AppendError::Unavailable { why })
            })?;
        }
        match hook {
            Some(hook) => hook(self.runtime, self.connection, events).map_err(Refused::Inline),
            None => Ok(()),
        }
    }

    /// The events as they will be read.
    fn recorded(&self, plan: &Plan, first: u64) -> Vec<RecordedEvent> {
        let mut page = PageBuilder::default();
        for (planned, position) in plan.events.iter().zip(first..) {
            let place = Place {
                stream: planned.stream.clone(),
                revision: planned.revision,
                position: Position(position),
                recorded_at: *self.recorded_at,
            };
            page.push_data(place, &planned.event);
        }
        page.build()
    }
}
