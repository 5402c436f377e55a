//! Steps of instances: what is taken, what is not, and what comes of it.

use super::*;
use crate::{
    Decision, EventSet, Outcome, Process, Route, State, command, emit, event,
    process::{Steps, minutes},
};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

#[event("trip.asked")]
struct Asked {
    #[tag]
    trip: u32,
}

#[event("trip.called.off")]
struct CalledOff {
    #[tag]
    trip: u32,
}

#[derive(Clone, Debug, EventSet)]
enum TripEvent {
    Asked(Asked),
    CalledOff(CalledOff),
}

#[derive(Clone, Default)]
struct Nothing;

impl State for Nothing {
    type Event = Asked;

    fn evolve(self, _: &Asked) -> Self {
        self
    }
}

macro_rules! commands {
    ($($name:ident $text:literal),*) => {$(
        #[command($text)]
        #[derive(PartialEq)]
        struct $name {
            #[tag]
            trip: u32,
        }

        impl Decision for $name {
            type State = Nothing;
            type Refusal = Infallible;

            fn decide(&self, _: &Nothing, _: &Ctx) -> Outcome<Self> {
                emit(Asked { trip: self.trip })
            }
        }
    )*};
}

commands!(Book "trip.book", Fly "trip.fly", Unbook "trip.unbook", Ground "trip.ground");

#[derive(Clone, Debug, PartialEq, crate::CommandSet)]
enum TripCommand {
    Book(Book),
    Fly(Fly),
    Unbook(Unbook),
    Ground(Ground),
}

#[derive(Default, Serialize, Deserialize)]
struct Trip {
    inputs: u32,
}

impl Process for Trip {
    const NAME: &'static str = "trip";
    const VERSION: u32 = 2;
    type Event = TripEvent;
    type Command = TripCommand;

    fn route(event: &TripEvent) -> Route {
        match event {
            TripEvent::Asked(e) => Route::start(e.trip),
            TripEvent::CalledOff(e) => Route::stop(e.trip),
        }
    }

    fn react(&mut self, input: Input<'_, Self>, steps: Steps<Self>) -> Steps<Self> {
        self.inputs += 1;
        match input {
            Input::Event(TripEvent::Asked(Asked { trip })) => {
                let steps = steps.compensate_with(Unbook { trip }).compensate_with(Ground { trip });
                steps.send(Book { trip }).send(Fly { trip }).after(minutes(1), "late")
            }
            Input::Replied(TripCommand::Fly(_), Reply::Refused(why)) => steps.fail(why),
            Input::Replied(TripCommand::Fly(_), _) => steps.end(),
            Input::TimedOut("late") => steps.fail("late"),
            Input::TimedOut(other) => panic!("which timer is {other}?"),
            _ => steps,
        }
    }

    fn migrate(version: u32, mut state: Value) -> Result<Value, String> {
        match state.as_object_mut().and_then(|state| state.remove("count")) {
            Some(count) => Ok(serde_json::json!({ "inputs": count })),
            None => Err(format!("version {version} had a count")),
        }
    }
}

/// A trip that takes one input after the other.
struct Run {
    record: Option<Record>,
    seed: u64,
}

impl Run {
    fn asked() -> Self {
        let mut run = Self { record: None, seed: 0 };
        assert!(run.event(TripEvent::Asked(Asked { trip: 1 }), 1));
        run
    }

    fn try_take(&mut self, given: Given<TripEvent>) -> Result<bool, StepError> {
        self.seed += 1;
        let ctx = Ctx::new(Timestamp(0), self.seed);
        let metadata = given.metadata(self.record.as_ref());
        let step = advance::<Trip>("1", self.record.clone(), given, &ctx.with_metadata(metadata))?;
        let taken = step.is_some();
        if let Some((_, step)) = step {
            // What is stored is what is read.
            let json = serde_json::to_vec(&step).unwrap();
            assert_eq!(serde_json::from_slice::<Step>(&json).unwrap(), step);
            self.record = Some(step.instance);
        }
        Ok(taken)
    }

    fn take(&mut self, given: Given<TripEvent>) -> bool {
        self.try_take(given).unwrap()
    }

    fn event(&mut self, event: TripEvent, position: u64) -> bool {
        self.take(arrived(event, position, false))
    }

    fn record(&self) -> &Record {
        self.record.as_ref().unwrap()
    }

    fn front(&self) -> Uuid {
        self.record().outbox.front().unwrap().id
    }

    fn reply(&mut self, reply: Reply) -> bool {
        let id = self.front();
        self.take(Given::Replied { id, reply })
    }

    fn to_do(&self) -> Vec<&str> {
        self.record().outbox.iter().map(|sent| sent.command.name.as_str()).collect()
    }
}

fn arrived(event: TripEvent, position: u64, late: bool) -> Given<TripEvent> {
    let how = Trip::route(&event).into_parts().unwrap().0;
    let place = Place { position, part: 0 };
    let metadata = Metadata::default();
    Given::Event(Arrived { event, how, place, late, event_type: "trip", metadata })
}

#[test]
fn commands_are_done_one_after_the_other_and_their_answers_are_inputs() {
    let mut run = Run::asked();
    assert_eq!(run.to_do(), ["trip.book", "trip.fly"]);
    let second = run.record().outbox[1].id;
    assert!(!run.take(Given::Replied { id: second, reply: Reply::Done }), "out of turn");
    assert!(run.reply(Reply::Done));
    assert!(!run.take(Given::Replied { id: Uuid::max(), reply: Reply::Done }), "not sent");
    assert!(run.reply(Reply::Done));
    assert_eq!(run.record().state["inputs"], 3);
    assert_eq!(run.record().status, Status::Ended);
    assert!(!run.record().is_outstanding(), "{:?}", run.record());
}

#[test]
fn an_event_is_taken_once_and_only_by_who_is_running() {
    let mut run = Run::asked();
    assert!(!run.event(TripEvent::Asked(Asked { trip: 1 }), 1), "again");
    assert!(!Run { record: None, seed: 0 }.event(TripEvent::CalledOff(CalledOff { trip: 1 }), 1));
    assert!(run.event(TripEvent::CalledOff(CalledOff { trip: 1 }), 2));
    assert_eq!(run.record().status, Status::Ended, "stop ends, whatever it reacts");
    assert!(run.record().timers.is_empty());
    assert!(!run.event(TripEvent::CalledOff(CalledOff { trip: 1 }), 3), "it is over");
    assert_eq!(run.to_do(), ["trip.book", "trip.fly"], "what was sent is still done");
    assert!(run.event(TripEvent::Asked(Asked { trip: 1 }), 4), "anew");
    assert_eq!((run.record().run, run.record().outbox.len()), (2, 4));
    let before = run.record().state.clone();
    assert!(run.reply(Reply::Done));
    assert_eq!(run.record().state, before, "the answer to an earlier run is not heard");
}

#[test]
fn a_late_event_is_taken_though_later_ones_were() {
    let mut run = Run::asked();
    assert!(run.event(TripEvent::Asked(Asked { trip: 1 }), 9));
    assert!(!run.event(TripEvent::Asked(Asked { trip: 1 }), 5));
    assert!(run.take(arrived(TripEvent::Asked(Asked { trip: 1 }), 5, true)));
    assert_eq!(run.record().seen.position, 9);
}

#[test]
fn a_timer_goes_off_once_and_only_as_it_was_set() {
    let due = Timestamp(60_000_000_000);
    let late = |due| Given::TimedOut { name: "late".into(), due };
    let mut run = Run::asked();
    assert!(!run.take(late(Timestamp(1))), "another one of that name");
    assert!(run.take(late(due)));
    assert!(!run.take(late(due)));
    assert_eq!(run.record().status, Status::Compensating("late".into()));
}

#[test]
fn what_fails_is_undone_in_reverse_when_everything_is_back() {
    let mut run = Run::asked();
    assert!(run.reply(Reply::Done));
    assert!(run.reply(Reply::Refused("fog".into())));
    assert_eq!(run.to_do(), ["trip.ground"]);
    assert!(run.record().timers.is_empty());
    assert!(run.reply(Reply::Done));
    assert_eq!(run.to_do(), ["trip.unbook"]);
    assert!(run.reply(Reply::Nothing("not booked".into())));
    assert_eq!(run.record().status, Status::Failed("fog".into()));
    assert!(run.to_do().is_empty());

    let due = Timestamp(60_000_000_000);
    let mut run = Run::asked();
    assert!(run.take(Given::TimedOut { name: "late".into(), due }));
    assert_eq!(run.to_do(), ["trip.book", "trip.fly"], "first what was sent comes back");
    assert!(run.reply(Reply::Done));
    assert!(run.reply(Reply::Done));
    assert_eq!(run.to_do(), ["trip.ground"]);
}

#[test]
fn a_compensation_that_is_refused_waits_for_somebody() {
    let failed = || {
        let mut run = Run::asked();
        run.reply(Reply::Done);
        run.reply(Reply::Refused("fog".into()));
        assert!(run.reply(Reply::Refused("flying".into())));
        assert_eq!(run.record().parked.as_ref().unwrap().error, "refused: flying");
        assert_eq!(run.record().to_do(), None);
        run
    };
    let mut resumed = failed();
    let before = resumed.front();
    assert!(resumed.take(Given::Resumed { by: "ann".into() }));
    assert_eq!(resumed.record().to_do().unwrap().id, before, "the same command");
    assert!(!resumed.take(Given::Resumed { by: "ann".into() }));
    let mut skipped = failed();
    assert!(skipped.take(Given::Skipped { by: "ann".into() }));
    assert_eq!(skipped.to_do(), ["trip.unbook"]);
    assert!(!skipped.take(Given::Skipped { by: "ann".into() }));
}

#[test]
fn a_skipped_command_is_heard_of() {
    let mut run = Run::asked();
    let why = Parked { error: "no".into(), attempts: 3 };
    assert!(run.take(Given::Parked { id: run.front(), why: why.clone() }));
    assert_eq!(run.record().to_do(), None);
    assert!(!run.take(Given::Parked { id: run.front(), why }), "it is parked");
    let before = run.record().state["inputs"].as_u64().unwrap();
    assert!(run.take(Given::Skipped { by: "ann".into() }));
    assert_eq!(run.record().state["inputs"], before + 1);
    assert_eq!(run.to_do(), ["trip.fly"]);
}

#[test]
fn an_older_state_is_migrated_and_a_newer_one_left_alone() {
    let mut run = Run::asked();
    let record = run.record.as_mut().unwrap();
    (record.version, record.state) = (1, serde_json::json!({ "count": 7 }));
    assert!(run.reply(Reply::Done));
    let record = run.record();
    assert_eq!((record.version, record.state["inputs"].as_u64()), (2, Some(8)));
    assert_eq!(record.began_with, 2);

    let mut broken = |version: u32, state: Value| {
        let record = run.record.as_mut().unwrap();
        (record.version, record.state) = (version, state);
        let id = run.front();
        run.try_take(Given::Replied { id, reply: Reply::Done }).unwrap_err()
    };
    let none = serde_json::json!({});
    assert!(matches!(broken(3, none.clone()), StepError::Newer { stored: 3, known: 2 }));
    assert!(matches!(broken(1, none.clone()), StepError::Migrate { stored: 1, .. }));
    assert!(matches!(broken(2, none), StepError::State { .. }));
}

#[test]
fn a_panic_and_a_forgotten_command_are_errors_of_one_step() {
    let mut run = Run::asked();
    let timer = |name: &str| Timer {
        name: name.into(),
        due: 5,
        command: None,
        metadata: Metadata::default(),
    };
    run.record.as_mut().unwrap().timers.push(timer("odd"));
    let given = Given::TimedOut { name: "odd".into(), due: Timestamp(5) };
    let error = run.try_take(given).unwrap_err();
    assert_eq!(error, StepError::Panicked { why: "which timer is odd?".into() });

    run.record.as_mut().unwrap().outbox[0].command.name = "trip.gone".into();
    let given = Given::Replied { id: run.front(), reply: Reply::Done };
    assert!(matches!(run.try_take(given).unwrap_err(), StepError::Command { .. }));
}

#[test]
fn who_is_behind_a_step_is_behind_what_comes_of_it() {
    let correlation = Some(Uuid::from_u128(7));
    let metadata = Metadata { correlation, actor: Some("ann".into()), ..Metadata::default() };
    let ctx = Ctx::new(Timestamp(0), 1).with_metadata(metadata.clone());
    let mut given = arrived(TripEvent::Asked(Asked { trip: 1 }), 1, false);
    if let Given::Event(arrived) = &mut given {
        arrived.metadata = metadata;
    }
    let (id, step) = advance::<Trip>("1", None, given, &ctx).unwrap().unwrap();
    let record = step.instance;
    let sent = record.outbox.front().unwrap();
    for of in [&sent.metadata, &record.timers[0].metadata] {
        assert_eq!((of.correlation, of.causation), (correlation, Some(id)));
        assert_eq!(of.actor.as_deref(), Some("ann"));
    }
    let given = Given::<TripEvent>::Replied { id: sent.id, reply: Reply::Done };
    let metadata = given.metadata(Some(&record));
    assert_eq!((metadata.correlation, metadata.causation), (correlation, Some(sent.id)));
}
