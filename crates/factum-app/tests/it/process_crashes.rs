//! Processes that die in every gap: event, step, command, reply, timer. Nothing is lost, nothing is
//! done twice, and timers survive.

use crate::{
    gaps::{Gap, Gaps},
    payments::{OrderPlaced, Payment, Place, Receive, Scheduled, Shop},
};
use factum_app::{
    App, EventStore, Metadata, OnError, Process, StreamName, consumer::RunState, event::Draft,
    process::minutes,
};
use factum_core::{Append, Change};
use factum_testkit::SimWorld;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

/// Two orders are placed, one is paid; then the same again, some minutes later.
async fn trade(app: &App, first: u32) {
    for order in first..first + 2 {
        app.execute(Place { order }).await.unwrap();
    }
    app.execute(Receive { order: first }).await.unwrap();
}

/// Every order was confirmed or cancelled, once.
fn check(shop: &Shop, orders: &[u32], what: &str) {
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    for event in shop.events() {
        let (stream, name) = (event.stream().to_string(), event.event_type().to_string());
        if name == "order.confirmed" || name == "order.cancelled" {
            *counts.entry((stream, name)).or_default() += 1;
        }
    }
    let expected = orders.iter().map(|order| {
        let paid = order % 10 == 1;
        let name = if paid { "order.confirmed" } else { "order.cancelled" };
        ((format!("order-{order}"), name.to_owned()), 1)
    });
    let expected: BTreeMap<_, _> = expected.collect();
    assert_eq!(counts, expected, "{what}");
}

/// Runs with a gap at the Nth call; answers whether there was such a call.
fn run<P: Process>(seed: u64, at: u32, gap: Gap, again: Option<u32>) -> bool {
    let what = format!("SEED={seed} at call {at}: {gap:?}, again at {again:?}");
    let shop = Shop::new(seed);
    let client = shop.client();
    let part = shop.world.instance("first");
    let store = Gaps::new(shop.store.clone(), part.clone(), at, gap);
    let mut apps = vec![shop.start_in::<P>(&part, store.clone(), OnError::Stop)];
    shop.world.run(trade(&client, 1));
    shop.run_for(minutes(3));
    shop.world.run(trade(&client, 11));
    shop.run_for(minutes(17));
    if part.is_killed() {
        let part = shop.world.instance("second");
        let store = Gaps::new(shop.store.clone(), part.clone(), again.unwrap_or(u32::MAX), gap);
        apps.push(shop.start_in::<P>(&part, store, OnError::Stop));
        shop.run_for(minutes(1));
        if part.is_killed() {
            apps.push(shop.start::<P>(OnError::Stop));
        }
    }
    shop.run_for(minutes(30));
    check(&shop, &[1, 2, 11, 12], &what);
    for order in ["1", "2", "11", "12"] {
        let status = shop.world.run(client.process::<P>().status(order)).unwrap().unwrap();
        assert!(!status.running && status.to_do.is_empty(), "{what}: {status:?}");
    }
    shop.world.end();
    store.was_reached()
}

fn in_every_gap<P: Process>(gap: Gap) {
    for seed in factum_testkit::seeds(5) {
        let calls = (1..).take_while(|at| run::<P>(seed, *at, gap, None)).count();
        assert!(calls > 20, "only {calls} gaps");
    }
}

#[test]
fn a_process_that_dies_before_any_call_loses_nothing_and_does_nothing_twice() {
    in_every_gap::<Payment>(Gap::Dies { after: false });
}

#[test]
fn a_process_that_dies_after_any_call_loses_nothing_and_does_nothing_twice() {
    in_every_gap::<Payment>(Gap::Dies { after: true });
}

#[test]
fn a_command_that_is_to_be_sent_later_is_sent_once_whatever_dies() {
    in_every_gap::<Scheduled>(Gap::Dies { after: false });
    in_every_gap::<Scheduled>(Gap::Dies { after: true });
}

#[test]
fn a_store_that_is_away_at_any_call_changes_nothing() {
    in_every_gap::<Payment>(Gap::Away { after: false });
    in_every_gap::<Payment>(Gap::Away { after: true });
}

#[test]
fn a_process_that_dies_again_while_it_recovers_loses_nothing() {
    for seed in factum_testkit::seeds(40) {
        let (at, again) = (1 + (seed % 29) as u32, 1 + (seed % 7) as u32);
        run::<Payment>(seed, at, Gap::Dies { after: seed % 2 == 0 }, Some(again));
    }
}

#[test]
fn two_apps_that_run_one_process_do_nothing_twice() {
    for seed in factum_testkit::seeds(20) {
        let shop = Shop::new(seed);
        let client = shop.client();
        let apps = [shop.start::<Payment>(OnError::Stop), shop.start::<Payment>(OnError::Stop)];
        shop.world.run(trade(&client, 1));
        shop.run_for(minutes(3));
        shop.world.run(trade(&client, 11));
        shop.run_for(minutes(30));
        check(&shop, &[1, 2, 11, 12], &format!("SEED={seed}"));
        drop(apps);
        // Whichever wrote the last checkpoint, it forgot nothing.
        shop.run_for(SECOND);
        let _app = shop.start::<Payment>(OnError::Stop);
        shop.run_for(minutes(30));
        check(&shop, &[1, 2, 11, 12], &format!("SEED={seed}, after a restart"));
        shop.world.end();
    }
}

#[test]
fn every_event_handed_over_again_does_nothing_twice() {
    let shop = Shop::new(1);
    let client = shop.client();
    let app = shop.start::<Payment>(OnError::Stop);
    shop.world.run(trade(&client, 1));
    shop.run_for(minutes(16));
    check(&shop, &[1, 2], "once");
    let steps = shop.count("process.step.taken");
    drop(app);
    let checkpoint = StreamName::new("checkpoint-process.payment").unwrap();
    shop.world.run(async {
        shop.store.change(&checkpoint, Change::Delete, None).await.unwrap();
    });
    let _app = shop.start::<Payment>(OnError::Stop);
    shop.run_for(minutes(30));
    check(&shop, &[1, 2], "again");
    assert_eq!(shop.count("process.step.taken"), steps);
    shop.world.end();
}

#[test]
fn what_was_away_comes_to_the_same_as_what_was_not() {
    // The payment comes after the time-out, while the process does not run.
    let shop = Shop::new(1);
    let client = shop.client();
    drop(shop.start::<Payment>(OnError::Stop));
    shop.run_for(SECOND);
    shop.world.run(async { client.execute(Place { order: 2 }).await.unwrap() });
    shop.run_for(minutes(20));
    shop.world.run(async { client.execute(Receive { order: 2 }).await.unwrap() });
    shop.run_for(minutes(20));
    let _app = shop.start::<Payment>(OnError::Stop);
    shop.run_for(minutes(1));
    let status = shop.world.run(client.process::<Payment>().status("2")).unwrap().unwrap();
    assert!(!status.running);
    assert_eq!((shop.count("order.confirmed"), shop.count("order.cancelled")), (0, 1));
    shop.world.end();
}

#[test]
fn a_payment_that_came_in_time_counts_though_nobody_was_there() {
    for seed in factum_testkit::seeds(10) {
        let shop = Shop::new(seed);
        let client = shop.client();
        let app = shop.start::<Payment>(OnError::Stop);
        shop.world.run(async { client.execute(Place { order: 1 }).await.unwrap() });
        shop.run_for(SECOND);
        drop(app);
        shop.run_for(minutes(5));
        shop.world.run(async { client.execute(Receive { order: 1 }).await.unwrap() });
        shop.run_for(minutes(30));
        let _app = shop.start::<Payment>(OnError::Stop);
        shop.run_for(minutes(1));
        assert_eq!((shop.count("order.confirmed"), shop.count("order.cancelled")), (1, 0));
        shop.world.end();
    }
}

#[test]
fn a_store_that_is_away_for_long_in_the_middle_of_many_loses_none() {
    const ORDERS: u32 = 1_600;
    let shop = Shop::new(1);
    let client = shop.client();
    let placed = (0..ORDERS).map(|order| {
        let id = factum_app::Uuid::from_u128(u128::from(order) + 1);
        let draft = Draft::new(&OrderPlaced { order }, id, &Metadata::default()).unwrap();
        (draft.stream, draft.data)
    });
    let append = Append { events: placed.collect(), ..Append::default() };
    shop.world.run(client.store().append(append)).unwrap();
    // 500 steps are appended in the middle of a batch; the third time the store is away.
    let part = shop.world.instance("app");
    let store = Gaps::new(shop.store.clone(), part.clone(), 5, Gap::Away { after: false });
    let store = store.at_appends().for_calls(12);
    let _app = shop.start_in::<Payment>(&part, store.clone(), OnError::Stop);
    shop.run_for(minutes(1));
    assert!(store.was_reached());
    assert_eq!(shop.count("process.step.taken"), ORDERS as usize);
    shop.world.end();
}

#[test]
fn another_instance_takes_over_what_was_outstanding() {
    for seed in factum_testkit::seeds(10) {
        let shop = Shop::new(seed);
        let client = shop.client();
        let start = |name: &str| {
            let part = shop.world.instance(name);
            let builder = App::builder(shop.store.clone()).world(Arc::new(part.clone()));
            let builder = builder.shared(SECOND * 5).process::<Payment>(OnError::Stop);
            (shop.world.run(builder.start()).unwrap(), part)
        };
        let (first, second) = (start("first"), start("second"));
        shop.run_for(SECOND);
        shop.world.run(trade(&client, 1));
        // Whoever has it dies now, or a little later; the timers are the other's.
        shop.run_for(Duration::from_millis(shop.world.below(2_000)));
        let state = |one: &(App, SimWorld)| {
            one.0.consumer("payment").unwrap().progress().borrow().state.clone()
        };
        let (dies, lives) = match state(&first) {
            RunState::Running => (&first, &second),
            _ => (&second, &first),
        };
        assert_eq!(state(lives), RunState::Elsewhere, "SEED={seed}");
        dies.1.kill();
        shop.run_for(SECOND * 20);
        assert_eq!(state(lives), RunState::Running, "SEED={seed}");
        shop.world.run(trade(&client, 11));
        shop.run_for(minutes(30));
        check(&shop, &[1, 2, 11, 12], &format!("SEED={seed}"));
        shop.world.end();
    }
}
