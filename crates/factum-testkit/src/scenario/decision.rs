//! Decisions: which events, or nothing, or which refusal.

use super::{
    facts::Given,
    show::{self, Shown},
};
use factum_app::{Decision, ExecuteError, decision::Parts};
use factum_core::RecordedEvent;

/// A command that was asked for, and what came of it.
#[derive(Debug)]
pub struct When<D: Decision> {
    given: Given,
    command: D,
    outcome: Outcome<D::Refusal>,
}

#[derive(Debug)]
enum Outcome<R> {
    Emitted(Vec<RecordedEvent>),
    Nothing(String),
    Refused(R),
}

/// What a decision's events are of.
type EventOf<D> = <<D as Decision>::State as Parts>::Event;

impl<D: Decision> When<D> {
    #[track_caller]
    pub(super) fn new(given: Given, command: D) -> Self {
        check_boundary(&given, &command);
        let stage = given.stage();
        let before = given.facts.len();
        let execute = stage.app.execute(command.clone()).metadata(given.metadata.clone());
        let outcome = match stage.world.run(execute.into_future()) {
            Ok(receipt) => match receipt.nothing {
                Some(why) => Outcome::Nothing(why.into_owned()),
                None => Outcome::Emitted(stage.recorded().split_off(before)),
            },
            Err(ExecuteError::Refused(refusal)) => Outcome::Refused(refusal),
            Err(error) => panic!("{}it fails: {error}", head(&given, &command)),
        };
        Self { given, command, outcome }
    }

    /// Then these events are emitted, in this order. What is compared is what is stored: type and
    /// payload. Goes on with these events given, too.
    ///
    /// # Panics
    ///
    /// Anything else came of it; the text shows where they differ.
    #[track_caller]
    pub fn then_events(self, events: impl IntoIterator<Item = impl Into<EventOf<D>>>) -> Given {
        let want: Vec<Shown> = events.into_iter().map(|event| Shown::of(&event.into())).collect();
        let head = self.head();
        match self.outcome {
            Outcome::Emitted(stored) => {
                let got: Vec<Shown> = stored.iter().map(Shown::of_recorded).collect();
                if got != want {
                    panic!(
                        "{head}other events than expected\n{}",
                        show::difference(&got, &want, "emitted")
                    );
                }
                self.given.with_stored(&stored)
            }
            Outcome::Nothing(why) => {
                panic!("{head}nothing was to be done ({why}), but expected\n{}", show::list(&want))
            }
            Outcome::Refused(refusal) => {
                panic!("{head}refused with {refusal:?}, but expected\n{}", show::list(&want))
            }
        }
    }

    /// Then there is nothing to do.
    ///
    /// # Panics
    ///
    /// Events were emitted, or it was refused.
    #[track_caller]
    pub fn then_nothing(self) -> Given {
        let head = self.head();
        match self.outcome {
            Outcome::Nothing(_) => self.given,
            Outcome::Emitted(stored) => {
                panic!("{head}nothing was expected, but emitted\n{}", show::stored(&stored))
            }
            Outcome::Refused(refusal) => {
                panic!("{head}nothing was expected, but refused with {refusal:?}")
            }
        }
    }

    /// Then it is refused in this way.
    ///
    /// # Panics
    ///
    /// It was not, or in another way.
    #[track_caller]
    pub fn then_refused(self, refusal: D::Refusal) -> Given
    where
        D::Refusal: PartialEq,
    {
        let (head, got) = self.refused(&format!("refused with {refusal:?}"));
        let Outcome::Refused(is) = &got.outcome else { return got.given };
        if *is != refusal {
            let shown = crate::difference::of(is, &refusal);
            panic!("{head}refused in another way than expected (- expected, + got)\n{shown}");
        }
        got.given
    }

    /// Then it is refused in a way that this is said to be right of.
    ///
    /// # Panics
    ///
    /// It was not, or in another way.
    #[track_caller]
    pub fn then_refused_as(self, is_right: impl FnOnce(&D::Refusal) -> bool) -> Given {
        let (head, got) = self.refused("a refusal");
        if let Outcome::Refused(refusal) = &got.outcome
            && !is_right(refusal)
        {
            panic!("{head}refused in another way than expected: {refusal:?}");
        }
        got.given
    }

    #[track_caller]
    fn refused(self, wanted: &str) -> (String, Self) {
        let head = self.head();
        match &self.outcome {
            Outcome::Refused(_) => {}
            Outcome::Emitted(stored) => {
                panic!("{head}{wanted} was expected, but emitted\n{}", show::stored(stored))
            }
            Outcome::Nothing(why) => {
                panic!("{head}{wanted} was expected, but nothing was to be done ({why})")
            }
        }
        (head, self)
    }

    fn head(&self) -> String {
        head(&self.given, &self.command)
    }
}

fn head<D: Decision>(given: &Given, command: &D) -> String {
    format!("{}when\n  {}\nthen ", show::given(&given.facts), show::command(command))
}

/// A fact that the command would never have read says nothing: whoever wrote it down thinks that it
/// matters.
#[track_caller]
fn check_boundary<D: Decision>(given: &Given, command: &D) {
    let Ok(boundary) = command.boundary() else { return };
    let boundaries = D::State::boundaries(&boundary);
    let unseen = given.unseen(&boundaries);
    let Some(first) = unseen.first().and_then(|at| given.facts.get(*at)) else { return };
    let reads: Vec<String> = boundaries.iter().map(|one| show::boundary(one)).collect();
    panic!(
        "{}fact {} ({} in stream {}) makes no difference: `{}` never reads it.\n\
         It reads: {}.\n\
         Leave the fact out, correct its tags, or widen what the command reads (`boundary`).",
        head(given, command),
        unseen.first().map_or(0, |at| at + 1),
        first.draft.data.event_type,
        first.draft.stream,
        D::NAME,
        reads.join("; and ")
    );
}
