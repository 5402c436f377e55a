//! The process that sends to collection what is not paid in time after its penalty.

use crate::fine::{FineAppealed, FineCommand, FinePenalised};
use factum::app::prelude::*;

/// How long a penalised fine may stay unpaid.
pub(crate) const DAYS: u64 = 365;

#[events]
pub(crate) enum CollectionEvent {
    FinePenalised,
    FineAppealed,
}

#[data]
pub(crate) struct Collection {
    fine: String,
}

impl Process for Collection {
    const NAME: &str = "collection";
    type Event = CollectionEvent;
    type Command = FineCommand;

    fn route(event: &CollectionEvent) -> Route {
        match event {
            CollectionEvent::FinePenalised(one) => Route::start(&one.fine),
            // Whoever appeals is not pressed.
            CollectionEvent::FineAppealed(one) => Route::stop(&one.fine),
        }
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(CollectionEvent::FinePenalised(one)) => {
                self.fine = one.fine;
                steps.at(deadline(one.on), "deadline")
            }
            Input::TimedOut(_) => {
                let (fine, on) = (self.fine.clone(), steps.now());
                steps.send(FineCommand::Collect { fine, on })
            }
            Input::Replied(..) => steps.end(),
            Input::Event(CollectionEvent::FineAppealed(_)) => steps,
        }
    }
}

/// When a fine that was penalised then is to be collected.
pub(crate) fn deadline(penalised: Timestamp) -> Timestamp {
    penalised.plus_seconds(DAYS * 86_400)
}
