//! The bus: in order for each key, nobody stops another, effects once; dead letters.

use crate::{
    gaps::{Gap, Gaps},
    payments::{Cancel, Confirm, OrderPlaced, PaymentReceived, Place, Receive, Shop},
};
use factum_app::{
    App, AppBuilder, EventSet, EventStore, OnError, Reply, World,
    bus::{Delivery, Handle, HandlerError, Mediator},
    consumer::{Finally, RunState},
};
use factum_testkit::SimWorld;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

fn start(shop: &Shop, with: impl FnOnce(AppBuilder) -> AppBuilder) -> App {
    start_in(shop, &shop.world.instance("app"), shop.store.clone(), with)
}

fn start_in(
    shop: &Shop,
    part: &SimWorld,
    store: impl EventStore,
    with: impl FnOnce(AppBuilder) -> AppBuilder,
) -> App {
    let builder = App::builder(store).world(Arc::new(part.clone()));
    shop.world.run(with(builder).start()).unwrap()
}

fn place(shop: &Shop, orders: impl IntoIterator<Item = u32>) {
    let client = shop.client();
    shop.world.run(async {
        for order in orders {
            client.execute(Place { order }).await.unwrap();
        }
    });
}

type BySubject = BTreeMap<(&'static str, u32), Vec<String>>;

/// What handlers saw: by handler and order, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BySubject>>);

/// This order fails so often, and whether trying again may help.
type Failing = Arc<Mutex<(u32, u32, bool)>>;

impl Seen {
    fn add(&self, handler: &'static str, order: u32, what: impl Into<String>) {
        self.0.lock().unwrap().entry((handler, order)).or_default().push(what.into());
    }

    fn of(&self, handler: &'static str, order: u32) -> Vec<String> {
        self.0.lock().unwrap().get(&(handler, order)).cloned().unwrap_or_default()
    }
}

#[derive(Clone, Debug, EventSet)]
enum Order {
    Placed(OrderPlaced),
    Received(PaymentReceived),
}

/// Notes what it sees; knows which events are about one order, though their streams differ.
struct Notes {
    seen: Seen,
    world: SimWorld,
    failing: Failing,
}

impl Handle<Order> for Notes {
    fn key(&self, event: &Order) -> Option<String> {
        Some(match event {
            Order::Placed(e) => e.order.to_string(),
            Order::Received(e) => e.order.to_string(),
        })
    }

    async fn handle(&self, delivery: Delivery<Order>) -> Result<(), HandlerError> {
        let (order, what) = match &delivery.event {
            Order::Placed(e) => (e.order, "placed"),
            Order::Received(e) => (e.order, "received"),
        };
        // Others overtake it, but never those of its key.
        self.world.sleep(Duration::from_millis(self.world.below(50))).await;
        {
            let mut failing = self.failing.lock().unwrap();
            if failing.0 == order && failing.1 > 0 {
                failing.1 -= 1;
                return Err(HandlerError { retryable: failing.2, why: "no".into() });
            }
        }
        self.seen.add("notes", order, what);
        Ok(())
    }
}

fn notes(shop: &Shop, failing: (u32, u32, bool)) -> (Notes, Seen, Failing) {
    let (seen, failing) = (Seen::default(), Arc::new(Mutex::new(failing)));
    let notes = Notes { seen: seen.clone(), world: shop.world.clone(), failing: failing.clone() };
    (notes, seen, failing)
}

fn trade(shop: &Shop, orders: u32) {
    place(shop, 1..=orders);
    let client = shop.client();
    shop.world.run(async {
        for order in 1..=orders {
            client.execute(Receive { order }).await.unwrap();
        }
    });
    shop.run_for(SECOND * 10);
}

#[test]
fn events_of_one_key_are_handled_in_order_and_keys_side_by_side() {
    for seed in factum_testkit::seeds(10) {
        let shop = Shop::new(seed);
        trade(&shop, 200);
        let (notes, seen, _) = notes(&shop, (0, 0, false));
        let began = shop.world.now().0;
        let app = start(&shop, |builder| builder.on("notes", OnError::Stop, notes));
        let consumer = app.consumer("notes").unwrap();
        shop.world.run(async {
            consumer.progress().wait_for(|one| one.caught_up && one.handled > 0).await.unwrap();
        });
        let took = Duration::from_nanos((shop.world.now().0 - began).cast_unsigned());
        for order in 1..=200 {
            assert_eq!(seen.of("notes", order), ["placed", "received"], "SEED={seed} {order}");
        }
        // 400 of 25 ms each, one after the other, would be ten seconds.
        assert!(took < SECOND, "SEED={seed}: {took:?}");
        shop.world.end();
    }
}

#[test]
fn what_fails_is_tried_again_then_holds_up_its_key_and_nobody_else() {
    let shop = Shop::new(1);
    let (notes, seen, failing) = notes(&shop, (3, 2, true));
    let policy = OnError::retry(2, Finally::Park);
    let app = start(&shop, |builder| {
        let other = seen.clone();
        builder.on("notes", policy, notes).on(
            "other",
            OnError::Stop,
            move |one: Delivery<Order>| {
                let other = other.clone();
                async move {
                    if let Order::Placed(e) = one.event {
                        other.add("other", e.order, "placed");
                    }
                    Ok(())
                }
            },
        )
    });
    trade(&shop, 3);
    assert_eq!(seen.of("notes", 3), ["placed", "received"], "the third attempt");
    *failing.lock().unwrap() = (4, 4, true);
    place(&shop, [4, 5]);
    shop.world.run(async { shop.client().execute(Receive { order: 4 }).await.unwrap() });
    shop.run_for(SECOND * 10);
    assert_eq!((seen.of("notes", 4).len(), seen.of("notes", 5).len()), (0, 1));
    assert_eq!(seen.of("other", 4), ["placed"]);
    let list = || shop.world.run(app.dead_letters().list("notes")).unwrap();
    let lanes: Vec<_> = list().into_iter().map(|one| (one.lane, one.error)).collect();
    assert_eq!(lanes, [("4".into(), Some("no".into())), ("4".into(), None)]);
    assert_eq!(failing.lock().unwrap().1, 1, "three attempts");

    // The replay fails once, is tried again, and both are handled in order.
    shop.world.run(app.dead_letters().replay("notes", "4")).unwrap();
    shop.run_for(SECOND * 10);
    assert_eq!((seen.of("notes", 4), list()), (vec!["placed".into(), "received".into()], vec![]));
    shop.world.end();
}

#[test]
fn poison_is_not_tried_again_and_a_stop_goes_on_where_it_was() {
    let shop = Shop::new(1);
    let (notes, seen, failing) = notes(&shop, (2, 1, false));
    let policy = OnError::retry(5, Finally::Stop);
    let app = start(&shop, |builder| builder.on("notes", policy, notes));
    place(&shop, [1, 2]);
    shop.run_for(SECOND * 10);
    let consumer = app.consumer("notes").unwrap();
    let state = consumer.progress().borrow().state.clone();
    assert!(matches!(&state, RunState::Stopped { why } if why.contains("no")), "{state:?}");
    assert_eq!((failing.lock().unwrap().1, seen.of("notes", 2).len()), (0, 0));
    consumer.resume();
    shop.run_for(SECOND);
    assert_eq!(seen.of("notes", 2), ["placed"]);
    shop.world.end();
}

/// Two handlers without a coordinator: what is placed is confirmed, and a payment has two effects
/// elsewhere.
fn choreography(builder: AppBuilder) -> AppBuilder {
    builder
        .on("confirm", OnError::Stop, async |placed: Delivery<OrderPlaced>| {
            let order = placed.event.order;
            assert_eq!(placed.execute(Confirm { order }).await?, Reply::Done);
            Ok(())
        })
        .on("cancel", OnError::Stop, async |paid: Delivery<PaymentReceived>| {
            // Two commands for one event, each once.
            paid.execute(Cancel { order: paid.event.order + 100 }).await?;
            paid.execute(Cancel { order: paid.event.order + 200 }).await?;
            Ok(())
        })
}

#[test]
fn a_choreography_that_dies_in_any_gap_does_everything_once() {
    for after in [false, true] {
        for at in 1.. {
            let shop = Shop::new(1);
            let part = shop.world.instance("first");
            let gaps = Gaps::new(shop.store.clone(), part.clone(), at, Gap::Dies { after });
            let first = start_in(&shop, &part, gaps.clone(), choreography);
            trade(&shop, 2);
            let second = part.is_killed().then(|| start(&shop, choreography));
            shop.run_for(SECOND * 10);
            let counts = (shop.count("order.confirmed"), shop.count("order.cancelled"));
            assert_eq!(counts, (2, 4), "call {at}, after: {after}");
            shop.world.end();
            drop((first, second));
            if !gaps.was_reached() {
                assert!(at > 15, "only {at} gaps");
                break;
            }
        }
    }
}

#[test]
fn who_is_behind_an_event_is_behind_what_its_handlers_do() {
    let shop = Shop::new(1);
    let _app = start(&shop, choreography);
    shop.world.run(async {
        shop.client().execute(Place { order: 1 }).actor("ann").await.unwrap();
    });
    shop.run_for(SECOND);
    let events = shop.events();
    let of = |name: &str| {
        let event = events.iter().find(|event| event.event_type().as_str() == name).unwrap();
        (event.id(), factum_app::Metadata::of(event))
    };
    let ((placed, before), (_, after)) = (of("order.placed"), of("order.confirmed"));
    assert_eq!((after.causation, after.correlation), (Some(placed), before.correlation));
    assert_eq!(after.actor.as_deref(), Some("ann"));
    shop.world.end();
}

#[test]
fn a_mediator_hands_an_event_to_one_after_the_other() {
    let shop = Shop::new(1);
    let seen = Seen::default();
    let note = |name: &'static str, fails: bool| {
        let (seen, failed) = (seen.clone(), Arc::new(Mutex::new(false)));
        move |placed: Delivery<OrderPlaced>| {
            let (seen, failed) = (seen.clone(), failed.clone());
            async move {
                placed.execute(Cancel { order: placed.event.order }).await?;
                if fails && !std::mem::replace(&mut *failed.lock().unwrap(), true) {
                    return Err(HandlerError::from(std::io::Error::other("no paper")));
                }
                seen.add(name, placed.event.order, "handled");
                Ok(())
            }
        }
    };
    let all = Mediator::new()
        .then("check", note("check", false))
        .then("print", note("print", true))
        .then("ship", note("ship", false));
    let _app = start(&shop, |builder| builder.on("desk", OnError::Park, all));
    place(&shop, [1]);
    shop.run_for(SECOND);
    assert_eq!((seen.of("check", 1).len(), seen.of("ship", 1).len()), (1, 0), "it waits");
    let letters = shop.world.run(shop.client().dead_letters().list("desk")).unwrap();
    assert_eq!(letters[0].error.as_deref(), Some("print: no paper"));
    assert_eq!(
        letters[0].to_string(),
        "desk order-1: order.placed at 1 failed 1 times: print: no paper"
    );
    shop.world.run(_app.dead_letters().replay("desk", "order-1")).unwrap();
    shop.run_for(SECOND);
    assert_eq!((seen.of("print", 1).len(), seen.of("ship", 1).len()), (1, 1));
    assert_eq!(shop.count("order.cancelled"), 3, "the command of each once, though two ran twice");
    shop.world.end();
}
