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
        plan: Option<&Plan>,
        hook: Option<Hook>,
    ) -> Result<(), Refused> {
        let events = plan.map(|plan| self.recorded(plan));
        let theirs = AssertUnwindSafe(|| self.apply(events.as_deref(), hook));
        // A panic of theirs is an error of theirs: the store goes on, and nothing was written.
        panic::catch_unwind(theirs).unwrap_or_else(|_| {
            let why = "what was to happen in the transaction panicked; nothing was written".into();
            Err(Refused::Append(AppendError::Unavailable { why }))
        })
    }

    fn apply(
        &mut self,
        events: Option<&[RecordedEvent]>,
        hook: Option<Hook>,
    ) -> Result<(), Refused> {
        if let (Some(inline), Some(events)) = (&self.options.inline, events) {
            let applied = self.runtime.block_on(inline.apply(self.connection, events));
            applied.map_err(|error| {
                let why = format!("the inline projection refuses: {error}").into();
                Refused::Append(AppendError::Unavailable { why })
            })?;
        }
        match hook {
            Some(hook) => {
                let events = events.unwrap_or_default();
                hook(self.runtime, self.connection, events).map_err(Refused::Inline)
            }
            None => Ok(()),
        }
    }

    /// The events as they will be read: the last ones so far.
    fn recorded(&self, plan: &Plan) -> Vec<RecordedEvent> {
        let mut page = PageBuilder::default();
        let first = *self.head - plan.events.len() as u64 + 1;
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
