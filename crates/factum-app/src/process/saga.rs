//! Linear steps of a process: one command after the other, each with what undoes it. A saga, in the
//! narrow sense of the word.
//!
//! It is no second kind of process: it turns one input into [`Steps`], as `react` does by hand, so
//! stream, timeline, timers and redelivery are those of any process. What must hold: a step is
//! undone where it was done, and also where nobody knows whether it was.

use super::{Input, Process, Steps};
use crate::decision::{CommandSet, Reply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, time::Duration};

/// Steps in order, to be written down again at each input; they may depend on what the process
/// remembers.
///
/// A step is done when its command was done or had nothing to do; then comes the next one, and
/// after the last the process ends. When the command is refused, cannot be done, or takes too long,
/// the process fails: what the steps before it did is undone, the last first. A compensation that
/// is refused, or fails too often, waits for somebody who resumes or skips it.
///
/// ```
/// # use factum_app::{Ctx, Decision, Outcome, State, command, emit, event};
/// # use factum_app::{CommandSet, Input, Process};
/// # use factum_app::process::{Progress, Saga, Steps, minutes, seconds};
/// # use serde::{Deserialize, Serialize};
/// # use std::convert::Infallible;
/// # #[event("trip.asked")]
/// # struct TripAsked { #[tag] trip: u32 }
/// # #[derive(Clone, Default)]
/// # struct Trips;
/// # impl State for Trips {
/// #     type Event = TripAsked;
/// #     fn evolve(self, _: &TripAsked) -> Self { self }
/// # }
/// # macro_rules! commands { ($($name:ident $text:literal)*) => { $(
/// #     #[command($text)]
/// #     struct $name { #[tag] trip: u32 }
/// #     impl Decision for $name {
/// #         type State = Trips;
/// #         type Refusal = Infallible;
/// #         fn decide(&self, _: &Trips, _: &Ctx) -> Outcome<Self> {
/// #             emit(TripAsked { trip: self.trip })
/// #         }
/// #     }
/// # )* #[derive(Clone, Debug, CommandSet)] enum Step { $($name($name),)* } } }
/// # commands!(Book "trip.book" Unbook "trip.unbook" Fly "trip.fly");
/// #[derive(Default, Serialize, Deserialize)]
/// struct Trip { trip: u32, progress: Progress }
///
/// impl Process for Trip {
///     const NAME: &'static str = "trip";
///     type Event = TripAsked;
///     type Command = Step;
///
///     fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
///         if let Input::Event(TripAsked { trip }) = input {
///             self.trip = trip;
///         }
///         let trip = self.trip;
///         Saga::of(steps)
///             .step("hotel", Book { trip })
///             .undo(Unbook { trip })
///             .step("flight", Fly { trip })
///             .attempts(5)
///             .ask_again(2, seconds(30))
///             .within(minutes(10))
///             .run(&mut self.progress, input)
///     }
/// }
/// ```
#[must_use = "steps do something when they are `run`"]
pub struct Saga<P: Process> {
    steps: Steps<P>,
    /// What undoes that which led to the first step.
    first: Vec<P::Command>,
    line: Vec<Step<P>>,
    unless: Option<Says<P, String>>,
}

struct Step<P: Process> {
    name: &'static str,
    command: P::Command,
    undo: Vec<P::Command>,
    attempts: Option<u32>,
    ask_again: Option<(u32, Duration)>,
    within: Option<Duration>,
    until: Option<Says<P, Reply>>,
}

/// What an event means; `None` where it means nothing.
type Says<P, T> = fn(&<P as Process>::Event) -> Option<T>;

/// How far an instance is: a field of its state.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The step that it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default)]
    phase: Phase,
    /// How often the command of the step was refused.
    #[serde(default)]
    refused: u32,
    /// Whether its command was done, though the step is not.
    #[serde(default)]
    touched: bool,
    /// What events said about steps that were not ready for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    heard: BTreeMap<String, Reply>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    New,
    /// The command of the step is on its way.
    Sent,
    /// It is done, and an event is waited for.
    Waits,
    /// It was refused, and is asked again in a while.
    Refused,
    /// All steps are done, or the process has failed.
    Over,
}

impl Progress {
    /// The step that it is at; `None` before the first one. Where it has failed, the one that did.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }
}

impl<P: Process> Saga<P> {
    /// No steps yet; what comes of an input goes into `steps`.
    pub fn of(steps: Steps<P>) -> Self {
        Self { steps, first: Vec::new(), line: Vec::new(), unless: None }
    }

    /// One more step: its name, by which it is found again, and what is to be done.
    ///
    /// # Panics
    ///
    /// Another step has that name.
    pub fn step(mut self, name: &'static str, command: impl Into<P::Command>) -> Self {
        assert!(self.line.iter().all(|step| step.name != name), "two steps are called {name:?}");
        self.line.push(Step {
            name,
            command: command.into(),
            undo: Vec::new(),
            attempts: None,
            ask_again: None,
            within: None,
            until: None,
        });
        self
    }

    /// What undoes the last step, if it was done, or may have been: it must be able to find nothing
    /// to undo. Before the first step: what undoes that which led to it.
    pub fn undo(mut self, command: impl Into<P::Command>) -> Self {
        match self.line.last_mut() {
            Some(step) => step.undo.push(command.into()),
            None => self.first.push(command.into()),
        }
        self
    }

    /// How often the last step's command is tried, at most, where it fails (a store is away, a
    /// payment provider does not answer), before the process does. Unless this or
    /// [`Saga::within`] is said, it is parked for somebody after ten times.
    pub fn attempts(self, count: u32) -> Self {
        self.last(|step| step.attempts = Some(count.max(1)))
    }

    /// How often the last step's command is sent again after it was refused, and after which pause.
    pub fn ask_again(self, count: u32, pause: Duration) -> Self {
        self.last(|step| step.ask_again = Some((count, pause)))
    }

    /// How long the last step may take, with all its attempts. What is on its way then is waited
    /// for before anything is undone.
    pub fn within(self, how_long: Duration) -> Self {
        self.last(|step| step.within = Some(how_long))
    }

    /// The last step is done when an event says so, not when its command was: `says` what the event
    /// means to it. The event may come before the command is done.
    pub fn until(self, says: Says<P, Reply>) -> Self {
        self.last(|step| step.until = Some(says))
    }

    /// The process fails, whichever step it is at, when an event says why.
    pub fn unless(self, says: Says<P, String>) -> Self {
        Self { unless: Some(says), ..self }
    }

    fn last(mut self, change: impl FnOnce(&mut Step<P>)) -> Self {
        let step = self.line.last_mut();
        change(step.expect("a step comes before what is said about it"));
        self
    }

    /// What follows from an input. The first event begins with the first step; what is of no
    /// interest to the steps changes nothing.
    ///
    /// # Panics
    ///
    /// The step that the instance is at is not there any more. The input is then put aside until a
    /// release has it again: give a step its name back, or have the steps depend on
    /// [`Steps::began_with`].
    pub fn run(mut self, progress: &mut Progress, input: Input<'_, P>) -> Steps<P> {
        match (progress.phase, &input) {
            (Phase::New, Input::Event(_)) => {
                let undo = std::mem::take(&mut self.first);
                self.undoing(undo).enter_next(progress)
            }
            (Phase::New | Phase::Over, _) => self.steps,
            _ => {
                let step = self.advance_to(progress);
                self.take(progress, step, input)
            }
        }
    }

    /// The step that the instance is at; what is left are those after it.
    fn advance_to(&mut self, progress: &Progress) -> Step<P> {
        let name = progress.step.as_deref().unwrap_or_default();
        let index = self.line.iter().position(|step| step.name == name);
        let step = index.and_then(|index| self.line.drain(..=index).next_back());
        step.unwrap_or_else(|| panic!("no step is called {name:?}, and an instance is at it"))
    }

    fn take(self, progress: &mut Progress, step: Step<P>, input: Input<'_, P>) -> Steps<P> {
        match input {
            Input::Event(event) => self.hear(progress, step, &event),
            Input::Replied(command, reply)
                if progress.phase == Phase::Sent && command.name() == step.command.name() =>
            {
                self.replied(progress, step, reply)
            }
            Input::TimedOut(timer) if progress.phase == Phase::Refused && timer == step.again() => {
                progress.phase = Phase::Sent;
                step.send(self.steps)
            }
            Input::TimedOut(timer) if timer == step.name => {
                let limit = step.within.unwrap_or_default();
                self.fail(progress, step, &format!("it took longer than {limit:?}"))
            }
            _ => self.steps,
        }
    }

    /// Sends the command of the next step; after the last step all is done.
    fn enter_next(self, progress: &mut Progress) -> Steps<P> {
        let Some(step) = self.line.first() else {
            progress.phase = Phase::Over;
            return self.steps.end();
        };
        progress.step = Some(step.name.to_owned());
        (progress.phase, progress.refused, progress.touched) = (Phase::Sent, 0, false);
        match step.within {
            Some(how_long) => step.send(self.steps.after(how_long, step.name)),
            None => step.send(self.steps),
        }
    }

    fn replied(self, progress: &mut Progress, step: Step<P>, reply: Reply) -> Steps<P> {
        progress.touched |= matches!(reply, Reply::Done);
        match progress.heard.remove(step.name) {
            Some(said) => self.settle(progress, step, said),
            None if step.until.is_some() && matches!(reply, Reply::Done | Reply::Nothing(_)) => {
                progress.phase = Phase::Waits;
                self.steps
            }
            None => self.settle(progress, step, reply),
        }
    }

    fn hear(self, progress: &mut Progress, step: Step<P>, event: &P::Event) -> Steps<P> {
        if let Some(why) = self.unless.and_then(|says| says(event)) {
            return self.fail(progress, step, &why);
        }
        for step in std::iter::once(&step).chain(&self.line) {
            if let Some(reply) = step.until.and_then(|says| says(event)) {
                progress.heard.entry(step.name.to_owned()).or_insert(reply);
            }
        }
        if progress.phase != Phase::Waits {
            return self.steps;
        }
        match progress.heard.remove(step.name) {
            Some(said) => self.settle(progress, step, said),
            None => self.steps,
        }
    }

    /// What a step has come to.
    fn settle(mut self, progress: &mut Progress, step: Step<P>, reply: Reply) -> Steps<P> {
        let why = match reply {
            Reply::Done | Reply::Nothing(_) => {
                if step.within.is_some() {
                    self.steps = self.steps.cancel(step.name);
                }
                return self.undoing(step.undo).enter_next(progress);
            }
            Reply::Failed(why) => return self.fail(progress, step, &why),
            Reply::Refused(why) => why,
        };
        progress.phase = Phase::Refused;
        match step.ask_again {
            Some((count, pause)) if progress.refused < count => {
                progress.refused += 1;
                self.steps.after(pause, step.again())
            }
            _ => self.fail(progress, step, &why),
        }
    }

    /// Fails at a step. It is undone too, unless its command was refused: otherwise it was done, or
    /// nobody knows.
    fn fail(mut self, progress: &mut Progress, step: Step<P>, why: &str) -> Steps<P> {
        if progress.touched || progress.phase != Phase::Refused {
            self = self.undoing(step.undo);
        }
        progress.phase = Phase::Over;
        self.steps.fail(format!("{}: {why}", step.name))
    }

    fn undoing(self, undo: Vec<P::Command>) -> Self {
        Self { steps: undo.into_iter().fold(self.steps, Steps::compensate_with), ..self }
    }
}

impl<P: Process> Step<P> {
    fn send(&self, steps: Steps<P>) -> Steps<P> {
        // Who has a limit of time is tried until it is over.
        match self.attempts.or(self.within.map(|_| u32::MAX)) {
            Some(count) => steps.attempt(self.command.clone(), count),
            None => steps.send(self.command.clone()),
        }
    }

    fn again(&self) -> String {
        format!("{} again", self.name)
    }
}

impl<P: Process> fmt::Debug for Saga<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.line.iter().map(|step| (step.name, &step.command))).finish()
    }
}
