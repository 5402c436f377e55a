//! Linear steps: done in order, undone in reverse, each with its own patience. Through every crash.

use crate::{
    gaps::{Gap, Gaps},
    payments::Shop,
    processes::{Ask, Asked, Book, Booked, ask, booked, trouble},
};
use factum_app::{
    App, EventSet, EventStore, Input, OnError, Process, Reply, Route, Steps, StreamName,
    consumer::RunState,
    process::{InstanceStatus, Progress, Saga, minutes, seconds},
};
use factum_core::Change;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, EventSet)]
enum TourEvent {
    Asked(Asked),
    Booked(Booked),
}

/// A hotel, a flight, a museum; each with a way back.
#[derive(Default, Serialize, Deserialize)]
struct Tour {
    trip: u32,
    progress: Progress,
}

fn book(trip: u32, what: &str) -> Book {
    Book { trip, what: what.to_owned() }
}

/// What somebody else books means something to the museum, and a strike to everything.
fn museum(event: &TourEvent) -> Option<Reply> {
    match event {
        TourEvent::Booked(Booked { what, .. }) if what == "opened" => Some(Reply::Done),
        TourEvent::Booked(Booked { what, .. }) if what == "closed" => {
            Some(Reply::Refused("closed".into()))
        }
        _ => None,
    }
}

fn strike(event: &TourEvent) -> Option<String> {
    match event {
        TourEvent::Booked(Booked { what, .. }) if what == "strike" => Some("a strike".into()),
        _ => None,
    }
}

/// Trips below 100 do not wait for the museum to open.
fn steps_of(trip: u32, steps: Steps<Tour>) -> Saga<Tour> {
    let saga = Saga::of(steps)
        .unless(strike)
        .undo(book(trip, "sorry"))
        .step("hotel", book(trip, "hotel"))
        .undo(book(trip, "no hotel"))
        .step("flight", book(trip, "flight"))
        .undo(book(trip, "no flight"))
        .attempts(3)
        .ask_again(2, minutes(1))
        .step("museum", book(trip, "museum"))
        .undo(book(trip, "no museum"))
        .within(minutes(5));
    if trip < 100 { saga } else { saga.until(museum) }
}

impl Process for Tour {
    const NAME: &'static str = "tour";
    type Event = TourEvent;
    type Command = Book;

    fn route(event: &TourEvent) -> Route {
        match event {
            TourEvent::Asked(asked) => Route::start(asked.trip),
            TourEvent::Booked(booked) => Route::proceed(booked.trip),
        }
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        if let Input::Event(TourEvent::Asked(Asked { trip })) = input {
            self.trip = trip;
        }
        steps_of(self.trip, steps).run(&mut self.progress, input)
    }
}

/// A tour that was asked for, a minute later.
fn asked(trip: u32) -> (Shop, App) {
    let shop = Shop::new(1);
    let app = shop.start::<Tour>(OnError::Stop);
    ask(&shop, &app, trip);
    (shop, app)
}

/// Somebody else books something.
fn happens(shop: &Shop, trip: u32, what: &str) {
    let dispatch = factum_app::Dispatch::dispatch;
    let call = factum_app::Call { key: Some(what.to_owned()), ..Default::default() };
    shop.world.run(dispatch(book(trip, what), &shop.client(), call)).unwrap();
    shop.run_for(SECOND);
}

fn status(shop: &Shop, trip: u32) -> InstanceStatus {
    let client = shop.client();
    shop.world.run(client.process::<Tour>().status(&trip.to_string())).unwrap().unwrap()
}

/// It is over: all well, or undone for this reason; and this was booked, in this order.
#[track_caller]
fn over(shop: &Shop, trip: u32, why: Option<&str>, what: &[&str]) {
    let is = status(shop, trip);
    assert_eq!(booked(shop, trip), what, "{is:?}");
    let ended = (is.running, is.to_do.is_empty(), is.timers.is_empty());
    assert_eq!((ended, is.failed.as_deref()), ((false, true, true), why));
    shop.world.end();
}

#[test]
fn steps_are_done_in_order_and_then_it_is_over() {
    let (shop, app) = asked(1);
    let process = app.process::<Tour>();
    let state = shop.world.run(process.state("1")).unwrap().unwrap();
    assert_eq!(state.progress.step(), Some("museum"));
    over(&shop, 1, None, &["hotel", "flight", "museum"]);
}

#[test]
fn a_refused_step_undoes_those_before_it_in_reverse() {
    for (refused, why, what) in [
        ("hotel", "hotel: full", &["sorry"][..]),
        ("flight", "flight: full", &["hotel", "no hotel", "sorry"]),
        ("museum", "museum: full", &["hotel", "flight", "no flight", "no hotel", "sorry"]),
    ] {
        trouble(|trouble| trouble.refused = vec![refused]);
        let (shop, _app) = asked(1);
        shop.run_for(minutes(3));
        over(&shop, 1, Some(why), what);
    }
}

#[test]
fn a_refused_step_is_asked_again_so_often_as_it_says() {
    trouble(|trouble| trouble.refused = vec!["flight"]);
    let (shop, app) = asked(1);
    shop.run_for(SECOND * 90);
    assert_eq!(trouble(|trouble| trouble.tried["flight"]), 3);
    over(&shop, 1, Some("flight: full"), &["hotel", "no hotel", "sorry"]);
    drop(app);
    trouble(|trouble| trouble.tried.clear());
    let (shop, _app) = asked(2);
    trouble(|trouble| trouble.refused.clear());
    shop.run_for(SECOND * 61);
    over(&shop, 2, None, &["hotel", "flight", "museum"]);
}

#[test]
fn a_step_that_fails_so_often_as_it_says_is_undone_too_as_nobody_knows() {
    trouble(|trouble| trouble.failing = vec![("flight", 2, true)]);
    let (shop, _app) = asked(1);
    over(&shop, 1, None, &["hotel", "flight", "museum"]);
    trouble(|trouble| (trouble.failing, trouble.tried) = (vec![("flight", 9, true)], [].into()));
    let (shop, _app) = asked(2);
    assert_eq!(trouble(|trouble| trouble.tried["flight"]), 3);
    let undone = ["hotel", "no flight", "no hotel", "sorry"];
    over(&shop, 2, Some("flight: trip.book: no line"), &undone);
}

#[test]
fn a_step_that_takes_too_long_is_undone_when_what_is_on_its_way_is_back() {
    trouble(|trouble| trouble.failing = vec![("museum", 1_000, true)]);
    let (shop, app) = asked(1);
    assert!(status(&shop, 1).parked.is_none() && status(&shop, 1).running);
    shop.run_for(minutes(6));
    let timeline = shop.world.run(app.process::<Tour>().timeline("1")).unwrap().to_string();
    for line in [
        "-> sets timer \"museum\"",
        "timer \"museum\" went off",
        "-> failed: museum: it took longer than 300s",
        "trip.book failed: trip.book: no line",
    ] {
        assert!(timeline.contains(line), "{line} is not in\n{timeline}");
    }
    let undone = ["hotel", "flight", "no museum", "no flight", "no hotel", "sorry"];
    over(&shop, 1, Some("museum: it took longer than 300s"), &undone);
}

#[test]
fn a_step_may_wait_for_an_event_that_comes_late_or_early_or_never() {
    let (shop, _app) = asked(100);
    assert!(status(&shop, 100).running);
    happens(&shop, 100, "opened");
    over(&shop, 100, None, &["hotel", "flight", "museum", "opened"]);

    let (shop, _app) = asked(100);
    happens(&shop, 100, "closed");
    let closed = ["hotel", "flight", "museum", "closed"];
    let undone = ["no museum", "no flight", "no hotel", "sorry"];
    over(&shop, 100, Some("museum: closed"), &[&closed[..], &undone[..]].concat());

    trouble(|trouble| trouble.failing = vec![("museum", 5, true)]);
    let shop = Shop::new(1);
    let app = shop.start::<Tour>(OnError::Stop);
    shop.world.run(async { app.execute(Ask { trip: 100 }).await.unwrap() });
    shop.run_for(Duration::from_millis(50));
    happens(&shop, 100, "opened");
    shop.run_for(minutes(1));
    over(&shop, 100, None, &["hotel", "flight", "opened", "museum"]);

    let (shop, _app) = asked(100);
    shop.run_for(minutes(5));
    let all = ["hotel", "flight", "museum", "no museum", "no flight", "no hotel", "sorry"];
    over(&shop, 100, Some("museum: it took longer than 300s"), &all);
}

#[test]
fn an_event_may_end_it_whichever_step_it_is_at() {
    let (shop, _app) = asked(100);
    happens(&shop, 100, "strike");
    let all =
        ["hotel", "flight", "museum", "strike", "no museum", "no flight", "no hotel", "sorry"];
    over(&shop, 100, Some("museum: a strike"), &all);

    trouble(|trouble| trouble.refused = vec!["flight"]);
    let (shop, _app) = asked(1);
    happens(&shop, 1, "strike");
    let some = ["hotel", "strike", "no hotel", "sorry"];
    over(&shop, 1, Some("flight: a strike"), &some);
}

#[test]
fn a_compensation_that_is_refused_waits_for_somebody_and_goes_on() {
    trouble(|trouble| trouble.refused = vec!["museum", "no flight"]);
    let (shop, app) = asked(1);
    shop.run_for(minutes(60));
    let is = status(&shop, 1);
    assert_eq!((is.parked.unwrap().error.as_str(), is.running), ("refused: full", true));
    assert_eq!(booked(&shop, 1), ["hotel", "flight"]);
    trouble(|trouble| trouble.refused.clear());
    shop.world.run(app.process::<Tour>().resume("1", "ann")).unwrap();
    shop.run_for(SECOND);
    over(&shop, 1, Some("museum: full"), &["hotel", "flight", "no flight", "no hotel", "sorry"]);
}

/// A release in which the museum has another name.
#[derive(Default, Serialize, Deserialize)]
struct Renamed {
    progress: Progress,
}

impl Process for Renamed {
    const NAME: &'static str = "tour";
    type Event = Asked;
    type Command = Book;

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        Saga::of(steps).step("gallery", book(1, "gallery")).run(&mut self.progress, input)
    }
}

#[test]
fn a_step_that_a_release_does_not_have_waits_for_one_that_has() {
    trouble(|trouble| trouble.failing = vec![("museum", 2, true)]);
    let shop = Shop::new(1);
    let app = shop.start::<Tour>(OnError::Stop);
    shop.world.run(async { app.execute(Ask { trip: 1 }).await.unwrap() });
    shop.run_for(Duration::from_millis(50));
    drop(app);
    let app = shop.start::<Renamed>(OnError::Stop);
    shop.run_for(minutes(1));
    let parked = status(&shop, 1).parked.unwrap().error;
    assert!(parked.contains("no step is called \"museum\""), "{parked}");
    drop(app);
    let app = shop.start::<Tour>(OnError::Stop);
    shop.world.run(app.process::<Tour>().resume("1", "ann")).unwrap();
    shop.run_for(SECOND);
    over(&shop, 1, None, &["hotel", "flight", "museum"]);
}

/// Dies, or is away, at the Nth call; answers whether there was one.
fn run(at: u32, gap: Gap, refused: Option<&'static str>) -> bool {
    let what = format!("at call {at}: {gap:?}, refused: {refused:?}");
    trouble(|trouble| trouble.refused = refused.into_iter().collect());
    let shop = Shop::new(u64::from(at));
    let client = shop.client();
    let part = shop.world.instance("first");
    let store = Gaps::new(shop.store.clone(), part.clone(), at, gap);
    let mut apps = vec![shop.start_in::<Tour>(&part, store.clone(), OnError::Stop)];
    shop.world.run(async { client.execute(Ask { trip: 1 }).await.unwrap() });
    shop.run_for(minutes(4));
    if part.is_killed() {
        apps.push(shop.start::<Tour>(OnError::Stop));
    }
    shop.run_for(minutes(10));
    let all = ["hotel", "flight", "museum"];
    let undone = ["hotel", "flight", "no flight", "no hotel", "sorry"];
    let expected = if refused.is_none() { &all[..] } else { &undone[..] };
    assert_eq!(booked(&shop, 1), expected, "{what}");
    assert!(!status(&shop, 1).running, "{what}");
    shop.world.end();
    store.was_reached()
}

#[test]
fn a_crash_in_any_gap_loses_no_step_and_does_none_twice() {
    for refused in [None, Some("museum")] {
        for after in [false, true] {
            for gap in [Gap::Dies { after }, Gap::Away { after }] {
                let calls = (1..).take_while(|at| run(*at, gap, refused)).count();
                assert!(calls > 15, "only {calls} gaps");
            }
        }
    }
}

#[test]
fn every_event_handed_over_again_does_nothing_twice() {
    trouble(|trouble| trouble.refused = vec!["museum"]);
    let (shop, app) = asked(1);
    let steps = shop.count("process.step.taken");
    drop(app);
    let checkpoint = StreamName::new("checkpoint-process.tour").unwrap();
    shop.world.run(async {
        shop.store.change(&checkpoint, Change::Delete, None).await.unwrap();
    });
    let app = shop.start::<Tour>(OnError::Stop);
    shop.run_for(seconds(60));
    let state = app.consumer("tour").unwrap().progress().borrow().state.clone();
    assert_eq!((state, shop.count("process.step.taken")), (RunState::Running, steps));
    over(&shop, 1, Some("museum: full"), &["hotel", "flight", "no flight", "no hotel", "sorry"]);
}
