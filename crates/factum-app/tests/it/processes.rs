//! Processes: events come in, commands and timers go out; nothing twice, nothing lost.

use crate::payments::{Payment, Place, Receive, Shop};
use factum_app::{
    App, Call, Command, CommandSet, Ctx, Decision, Dispatch, DispatchError, EventStore, Input,
    OnError, Outcome, Process, Reply, Route, State, Steps, StreamName, Uuid,
    bus::DeadLetterError,
    command, emit, event,
    process::{ControlError, InstanceStatus, minutes},
};
use factum_core::{Append, EventData, EventType};
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, collections::BTreeMap, convert::Infallible, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_paid_order_is_confirmed_and_an_unpaid_one_cancelled_in_time() {
    let shop = Shop::new(1);
    let app = shop.start::<Payment>(OnError::Stop);
    shop.world.run(async {
        app.execute(Place { order: 1 }).await.unwrap();
        app.execute(Place { order: 2 }).await.unwrap();
        app.execute(Receive { order: 1 }).await.unwrap();
    });
    shop.run_for(SECOND);
    assert_eq!((shop.count("order.confirmed"), shop.count("order.cancelled")), (1, 0));
    shop.run_for(minutes(14));
    assert_eq!(shop.count("order.cancelled"), 0);
    shop.run_for(minutes(2));
    let timeline = shop.world.run(app.process::<Payment>().timeline("2")).unwrap();
    assert_eq!(
        timeline.to_string(),
        [
            "payment 2",
            "    0:00.000  order.placed at 4",
            "              -> started",
            "              -> sets timer \"unpaid\"",
            "   15:00.000  timer \"unpaid\" went off",
            "              -> sends order.cancel {\"order\":2}",
            "              -> ended",
            "   15:00.000  order.cancel was done",
            "",
        ]
        .join("\n")
    );
    assert_eq!((shop.count("order.confirmed"), shop.count("order.cancelled")), (1, 1));
    shop.world.end();
}

#[event("stay.booked")]
pub(crate) struct Booked {
    #[tag]
    pub(crate) trip: u32,
    pub(crate) what: String,
}

#[derive(Clone, Default)]
pub(crate) struct Booking;

impl State for Booking {
    type Event = Booked;

    fn evolve(self, _: &Booked) -> Self {
        self
    }
}

/// Books something, or takes it back. What cannot be is in [`Trouble`].
#[command("trip.book")]
pub(crate) struct Book {
    #[tag]
    pub(crate) trip: u32,
    pub(crate) what: String,
}

thread_local! {
    /// What the tests of this thread want to go wrong.
    static TROUBLE: RefCell<Trouble> = RefCell::default();
}

#[derive(Default)]
pub(crate) struct Trouble {
    /// These are refused.
    pub(crate) refused: Vec<&'static str>,
    /// These fail so often, and whether trying again may help.
    pub(crate) failing: Vec<(&'static str, u32, bool)>,
    /// `react` panics about this trip.
    panics: Option<u32>,
    /// How often each was tried.
    pub(crate) tried: BTreeMap<String, u32>,
}

pub(crate) fn trouble<T>(look: impl FnOnce(&mut Trouble) -> T) -> T {
    TROUBLE.with_borrow_mut(look)
}

impl Dispatch for Book {
    async fn dispatch(self, app: &App, call: Call) -> Result<Reply, DispatchError> {
        let failing = trouble(|trouble| {
            *trouble.tried.entry(self.what.clone()).or_default() += 1;
            if trouble.refused.contains(&self.what.as_str()) {
                return Some(Ok(Reply::Refused("full".into())));
            }
            let mut failing = trouble.failing.iter_mut();
            let (_, left, retryable) =
                failing.find(|(what, left, _)| *what == self.what && *left > 0)?;
            *left -= 1;
            let retryable = *retryable;
            Some(Err(DispatchError { command: Self::NAME, retryable, source: "no line".into() }))
        });
        if let Some(failing) = failing {
            return failing;
        }
        let booked = DoBook { trip: self.trip, what: self.what };
        Dispatch::dispatch(booked, app, call).await
    }
}

#[command("trip.do.book")]
struct DoBook {
    #[tag]
    trip: u32,
    what: String,
}

impl Decision for DoBook {
    type State = Booking;
    type Refusal = Infallible;

    fn decide(&self, _: &Booking, _: &Ctx) -> Outcome<Self> {
        emit(Booked { trip: self.trip, what: self.what.clone() })
    }
}

#[event("trip.asked")]
pub(crate) struct Asked {
    #[tag]
    pub(crate) trip: u32,
}

#[command("trip.ask")]
pub(crate) struct Ask {
    #[tag]
    pub(crate) trip: u32,
}

#[derive(Clone, Default)]
pub(crate) struct Trips;

impl State for Trips {
    type Event = Asked;

    fn evolve(self, _: &Asked) -> Self {
        self
    }
}

impl Decision for Ask {
    type State = Trips;
    type Refusal = Infallible;

    fn decide(&self, _: &Trips, _: &Ctx) -> Outcome<Self> {
        emit(Asked { trip: self.trip })
    }
}

#[derive(Clone, Debug, CommandSet)]
enum TripCommand {
    Book(Book),
}

/// A hotel, then a flight; undone by "no hotel".
#[derive(Default, Serialize, Deserialize)]
struct Trip {
    asked: u32,
}

impl Process for Trip {
    const NAME: &'static str = "trip";
    type Event = Asked;
    type Command = TripCommand;

    fn route(event: &Asked) -> Route {
        Route::start(event.trip)
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(Asked { trip }) => {
                self.asked += 1;
                assert!(trouble(|trouble| trouble.panics != Some(trip)), "not to {trip}");
                steps.send(Book { trip, what: "hotel".into() })
            }
            Input::Replied(TripCommand::Book(Book { trip, what }), reply) => {
                match (what.as_str(), reply) {
                    ("hotel", Reply::Done) => steps
                        .compensate_with(Book { trip, what: "no hotel".into() })
                        .compensate_with(Book { trip, what: "an excuse".into() })
                        .send(Book { trip, what: "flight".into() }),
                    (_, Reply::Refused(why)) => steps.fail(format!("{what}: {why}")),
                    _ => steps.end(),
                }
            }
            Input::TimedOut(_) => steps,
        }
    }
}

pub(crate) fn ask(shop: &Shop, app: &App, trip: u32) {
    shop.world.run(async { app.execute(Ask { trip }).await.unwrap() });
    shop.run_for(SECOND * 60);
}

/// What was booked for a trip, in order.
pub(crate) fn booked(shop: &Shop, trip: u32) -> Vec<String> {
    let events = shop.events().into_iter();
    let of_trip = events.filter(|event| event.stream().as_str() == format!("stay-{trip}"));
    of_trip.map(|event| serde_json::from_slice::<Booked>(event.data()).unwrap().what).collect()
}

fn status(shop: &Shop, trip: u32) -> InstanceStatus {
    let client = shop.client();
    shop.world.run(client.process::<Trip>().status(&trip.to_string())).unwrap().unwrap()
}

#[test]
fn what_was_done_is_undone_in_reverse_when_a_step_fails() {
    trouble(|trouble| trouble.refused = vec!["flight"]);
    let shop = Shop::new(1);
    let app = shop.start::<Trip>(OnError::Stop);
    ask(&shop, &app, 1);
    assert_eq!(booked(&shop, 1), ["hotel", "an excuse", "no hotel"]);
    let status = status(&shop, 1);
    assert_eq!((status.running, status.failed.as_deref()), (false, Some("flight: full")));
    shop.world.end();
}

#[test]
fn a_compensation_that_fails_waits_for_somebody_who_resumes_or_skips_it() {
    trouble(|trouble| trouble.refused = vec!["flight", "an excuse"]);
    let shop = Shop::new(1);
    let app = shop.start::<Trip>(OnError::Stop);
    for trip in [1, 2] {
        ask(&shop, &app, trip);
        assert_eq!(booked(&shop, trip), ["hotel"]);
        let parked = status(&shop, trip).parked.unwrap();
        assert_eq!(parked.error, "refused: full");
    }
    // It waits for ever, also through a restart.
    drop(app);
    let app = shop.start::<Trip>(OnError::Stop);
    shop.run_for(minutes(600));
    assert_eq!(trouble(|trouble| trouble.tried["an excuse"]), 2);
    trouble(|trouble| trouble.refused.clear());
    let process = app.process::<Trip>();
    shop.world.run(process.resume("1", "ann")).unwrap();
    shop.world.run(process.skip("2", "ann")).unwrap();
    shop.run_for(SECOND * 60);
    assert_eq!(booked(&shop, 1), ["hotel", "an excuse", "no hotel"]);
    assert_eq!(booked(&shop, 2), ["hotel", "no hotel"]);
    let again = shop.world.run(process.skip("2", "bob")).unwrap_err();
    assert!(matches!(again, ControlError::NotParked { .. }), "{again}");
    let none = shop.world.run(process.resume("9", "bob")).unwrap_err();
    assert!(matches!(none, ControlError::None { .. }), "{none}");
    let timeline = shop.world.run(process.timeline("2")).unwrap().to_string();
    for line in [
        "trip.asked at ",
        "-> would undo with trip.book",
        "trip.book was refused: full",
        "-> failed: flight: full",
        "-> undoes with trip.book {\"trip\":2,\"what\":\"an excuse\"}",
        "-> parked: refused: full",
        "trip.book was skipped by ann",
        "-> ended, undone: flight: full",
    ] {
        assert!(timeline.contains(line), "{line} is not in\n{timeline}");
    }
    shop.world.end();
}

#[test]
fn a_command_that_fails_is_tried_again_and_parked_in_the_end() {
    trouble(|trouble| trouble.failing = vec![("hotel", 3, true), ("flight", 1_000, true)]);
    let shop = Shop::new(1);
    let app = shop.start::<Trip>(OnError::Stop);
    ask(&shop, &app, 1);
    assert_eq!((booked(&shop, 1), trouble(|one| one.tried["hotel"])), (vec!["hotel".into()], 4));
    shop.run_for(minutes(60));
    let parked = status(&shop, 1).parked.unwrap();
    assert_eq!((parked.error.as_str(), parked.attempts), ("trip.book: no line", 10));
    // Another instance is not held up.
    trouble(|trouble| trouble.failing = vec![("flight", 1, false)]);
    ask(&shop, &app, 2);
    assert_eq!(status(&shop, 2).parked.unwrap().attempts, 1, "trying again does not help");
    ask(&shop, &app, 3);
    assert_eq!(booked(&shop, 3), ["hotel", "flight"]);
    shop.world.run(app.process::<Trip>().resume("1", "ann")).unwrap();
    shop.run_for(SECOND);
    assert_eq!(booked(&shop, 1), ["hotel", "flight"]);
    assert!(!status(&shop, 1).running);
    shop.world.end();
}

#[test]
fn an_event_that_react_panics_at_holds_up_its_key_only_until_it_is_replayed() {
    trouble(|trouble| trouble.panics = Some(13));
    let shop = Shop::new(1);
    let app = shop.start::<Trip>(OnError::Park);
    ask(&shop, &app, 13);
    ask(&shop, &app, 13);
    ask(&shop, &app, 14);
    assert_eq!((booked(&shop, 13).len(), booked(&shop, 14).len()), (0, 2));
    let list = |app: &App| shop.world.run(app.dead_letters().list("trip")).unwrap();
    let letters = list(&app);
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!((letters[0].lane.as_str(), &*letters[0].data), ("13", &br#"{"trip":13}"#[..]));
    assert_eq!(letters[0].error.as_deref(), Some("`react` panicked: not to 13"));
    assert_eq!(letters[1].error, None, "it waits behind the first");
    let parked = app.consumer("trip").unwrap().progress().borrow().parked;
    assert_eq!(parked, 2);

    // It fails again, in another instance of the app, and counts.
    drop(app);
    let app = shop.start::<Trip>(OnError::Park);
    shop.world.run(app.dead_letters().replay("trip", "13")).unwrap();
    shop.run_for(SECOND);
    assert_eq!((list(&app).len(), list(&app)[0].attempts), (2, 2));

    trouble(|trouble| trouble.panics = None);
    shop.world.run(app.dead_letters().replay("trip", "13")).unwrap();
    shop.run_for(SECOND * 60);
    assert_eq!(list(&app), []);
    assert_eq!(booked(&shop, 13).len(), 4, "both, in order");
    let none = shop.world.run(app.dead_letters().replay("trip", "13")).unwrap_err();
    assert!(matches!(none, DeadLetterError::None { .. }), "{none}");
    // Nothing of it comes again.
    drop(app);
    let _app = shop.start::<Trip>(OnError::Park);
    shop.run_for(SECOND * 60);
    assert_eq!(booked(&shop, 13).len(), 4);
    shop.world.end();
}

/// The same process, of a release that reads what the first one could not.
#[derive(Default, Serialize, Deserialize)]
struct Tolerant;

#[event("trip.asked")]
struct AskedSomehow {
    trip: serde_json::Value,
}

impl Process for Tolerant {
    const NAME: &'static str = "trip";
    type Event = AskedSomehow;
    type Command = TripCommand;

    fn route(event: &AskedSomehow) -> Route {
        Route::start(&event.trip)
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(_) => steps.send(Book { trip: 77, what: "tent".into() }).end(),
            _ => steps,
        }
    }
}

#[test]
fn an_event_that_cannot_be_read_is_kept_byte_for_byte_and_read_by_a_later_release() {
    let shop = Shop::new(1);
    let app = shop.start::<Trip>(OnError::Park);
    let append = |trip: &str| {
        let id = Uuid::from_u128(trip.len() as u128 + 1);
        let data = EventData::new(id, EventType::new("trip.asked").unwrap(), trip.to_owned());
        let stream = StreamName::new("trip-77").unwrap();
        let event = data.with_metadata(&b"\xff odd"[..]);
        shop.world.run(async {
            shop.store.append(Append::to(stream, [event])).await.unwrap();
        });
        shop.run_for(SECOND);
    };
    append(r#"{"trip": "north"}"#);
    append(r#"{"trip": 77}"#);
    ask(&shop, &app, 1);
    assert_eq!((booked(&shop, 77).len(), booked(&shop, 1).len()), (0, 2));
    let letters = shop.world.run(app.dead_letters().list("trip")).unwrap();
    assert_eq!(letters.len(), 2, "what is in its stream waits too");
    assert_eq!(letters[0].lane, "$stream-trip-77");
    assert_eq!(&*letters[0].data, br#"{"trip": "north"}"#);
    assert_eq!(&*letters[0].metadata, b"\xff odd");
    assert!(letters[0].error.as_ref().unwrap().contains("does not fit the struct"));
    shop.world.run(app.dead_letters().discard(&letters[1])).unwrap();
    drop(app);

    let app = shop.start::<Tolerant>(OnError::Park);
    shop.world.run(app.dead_letters().replay("trip", "$stream-trip-77")).unwrap();
    shop.run_for(SECOND);
    assert_eq!(booked(&shop, 77), ["tent"], "once: the other was discarded");
    shop.world.end();
}
