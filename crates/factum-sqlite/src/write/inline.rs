//! What the caller wants in the transaction of an append.

use super::{Refused, Theirs, Writing};
use crate::BoxError;
use factum_core::{
    AppendError, Position, RecordedEvent,
    judge::Plan,
    page::{PageBuilder, Place},
};
use std::panic::{self, AssertUnwindSafe};

impl Writing<'_> {
    /// Lets the store's projections and the caller of this append do what they want.
    pub(super) fn inline(&mut self, plan: Option<&Plan>, theirs: Theirs) -> Result<(), Refused> {
        let events = plan.map(|plan| self.recorded(plan));
        let theirs = AssertUnwindSafe(|| self.apply(events.as_deref(), theirs));
        // A panic of theirs is an error of theirs: the store goes on, and nothing was written.
        panic::catch_unwind(theirs).unwrap_or_else(|_| {
            let why = "what was to happen in the transaction panicked; nothing was written".into();
            Err(Refused::Append(AppendError::Unavailable { why }))
        })
    }

    fn apply(
        &mut self,
        events: Option<&[RecordedEvent]>,
        Theirs { inlines, hook }: Theirs,
    ) -> Result<(), Refused> {
        for inline in &inlines {
            let events = events.unwrap_or_default();
            let applied = self.runtime.block_on(inline.apply(self.connection, events));
            applied.map_err(|error| Refused::Append(refused(error)))?;
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

/// What an append is refused with. Who knows whether another attempt helps says so.
fn refused(error: BoxError) -> AppendError {
    match error.downcast::<AppendError>() {
        Ok(error) => *error,
        Err(error) => {
            let why = format!("the inline projection refuses: {error}").into();
            AppendError::Unavailable { why }
        }
    }
}
