//! Messages of a broker: stored before they are acknowledged, handled in order of keys, their
//! effects once, whatever is delivered again and whoever is killed; dead letters.

use factum_app::{
    App, Ctx, Decision, EventStore, MemoryStore, OnError, Outcome, Query, State, World,
    bus::{Delivery, HandlerError},
    command, emit, event,
    message::{MemoryBroker, MemoryLimits, Message, Outgoing, Publisher, Subscription},
};
use factum_core::{Bytes, EventType, Read};
use factum_testkit::{Chances, Faults, FaultyStore, SimWorld, seeds};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

#[event("parcel.arrived")]
struct Arrived {
    #[tag]
    parcel: u32,
    number: u32,
}

#[event("parcel.booked")]
struct Booked {
    #[tag]
    parcel: u32,
    number: u32,
}

#[derive(Clone, Default)]
struct Nothing;

impl State for Nothing {
    type Event = Booked;

    fn evolve(self, _: &Booked) -> Self {
        Self
    }
}

/// Emits whatever was before: doing it twice is seen.
#[command("parcel.book")]
struct Book {
    #[tag]
    parcel: u32,
    number: u32,
}

impl Decision for Book {
    type State = Nothing;
    type Refusal = Infallible;

    fn decide(&self, _: &Nothing, _: &Ctx) -> Outcome<Self> {
        emit(Booked { parcel: self.parcel, number: self.number })
    }
}

/// The message that is not handled, while it is so.
type Poison = Arc<Mutex<Option<(u32, u32)>>>;

struct Depot {
    world: SimWorld,
    store: MemoryStore,
    broker: MemoryBroker,
    poison: Poison,
}

impl Depot {
    fn new(seed: u64) -> Self {
        let world = SimWorld::new(seed);
        let broker = MemoryBroker::with(Arc::new(world.clone()), MemoryLimits::default());
        let store = MemoryStore::with_clock(world.clock());
        Self { world, store, broker, poison: Arc::default() }
    }

    /// An instance of the app, in a process of its own.
    fn start(&self) -> (SimWorld, App) {
        let (process, poison) = (self.world.instance("depot"), self.poison.clone());
        let world = process.clone();
        let handler = move |arrived: Delivery<Arrived>| {
            let (world, poison) = (world.clone(), poison.clone());
            async move {
                let Arrived { parcel, number } = arrived.event;
                world.sleep(Duration::from_millis(world.below(30))).await;
                if *poison.lock().unwrap() == Some((parcel, number)) {
                    return Err(HandlerError::poison("no such address"));
                }
                arrived.execute(Book { parcel, number }).await?;
                Ok(())
            }
        };
        let subscription = Subscription::shared("depot", ["parcels.#"]);
        // Slow, so that it may be killed while an append is on its way there or back.
        let slow = Chances { delay_max: Duration::from_millis(40), ..Chances::NONE };
        let faults = Faults::seeded(self.world.seed(), slow);
        let store = FaultyStore::new(self.store.clone(), faults, Arc::new(process.clone()));
        let app = App::builder(store)
            .world(Arc::new(process.clone()))
            .receive("parcels", self.broker.clone(), subscription)
            .on("book", OnError::Park, handler);
        (process.clone(), self.world.run(app.start()).unwrap())
    }

    fn arrive(&self, parcel: u32, number: u32) {
        let message = Message::new(format!("{parcel}-{number}"), "/depot", "parcel.arrived");
        let message = message.key(parcel.to_string());
        let message = message.json(&serde_json::json!({ "parcel": parcel, "number": number }));
        let outgoing = Outgoing::new("parcels.arrived", message);
        self.world.run(self.broker.publish(&[outgoing])).remove(0).unwrap();
    }

    /// What was booked, by parcel, in order.
    fn booked(&self) -> BTreeMap<u64, Vec<u64>> {
        let types = Query::types([EventType::new("parcel.booked").unwrap()]);
        let events = self.world.run(async {
            self.store.read(Read::query(types)).await.unwrap().events().await.unwrap()
        });
        let mut booked: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for event in events {
            let data: serde_json::Value = serde_json::from_slice(event.data()).unwrap();
            let of = |name| data.get(name).and_then(serde_json::Value::as_u64).unwrap();
            booked.entry(of("parcel")).or_default().push(of("number"));
        }
        booked
    }

    fn run_for(&self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }
}

fn all(parcels: u64, numbers: u64) -> BTreeMap<u64, Vec<u64>> {
    (1..=parcels).map(|parcel| (parcel, (1..=numbers).collect())).collect()
}

#[test]
fn a_message_that_comes_twice_is_handled_once_in_the_order_of_its_key() {
    let depot = Depot::new(1);
    let (_, app) = depot.start();
    depot.run_for(1);
    for number in 1..=10 {
        for parcel in 1..=4 {
            depot.arrive(parcel, number);
            depot.arrive(parcel, number);
        }
    }
    depot.run_for(10);
    assert_eq!(depot.booked(), all(4, 10));
    // Over a restart too: nothing is left at the broker, and nothing is done again.
    depot.world.run(app.stop());
    let (_, _app) = depot.start();
    depot.arrive(1, 3);
    depot.arrive(1, 11);
    depot.run_for(10);
    assert_eq!(depot.booked()[&1], (1..=11).collect::<Vec<_>>());
}

#[test]
fn killed_at_any_moment_with_a_broker_that_comes_and_goes_nothing_is_lost_or_done_twice() {
    let mut kills = 0;
    for seed in seeds(25) {
        let depot = Depot::new(seed);
        let (mut process, mut app) = depot.start();
        depot.run_for(1);
        for number in 1..=12 {
            for parcel in 1..=3 {
                depot.broker.come_back();
                depot.arrive(parcel, number);
            }
            depot.world.run_for(Duration::from_millis(depot.world.below(120)));
            match depot.world.below(4) {
                0 => {
                    process.kill();
                    drop(app);
                    kills += 1;
                    (process, app) = depot.start();
                }
                1 => depot.broker.go_away(),
                _ => {}
            }
        }
        depot.broker.come_back();
        depot.run_for(60);
        assert_eq!(depot.booked(), all(3, 12), "SEED={seed}");
        depot.world.end();
    }
    assert!(kills > 25, "only {kills} were killed");
}

#[test]
fn what_fails_for_good_holds_up_its_key_until_it_is_replayed() {
    let depot = Depot::new(1);
    *depot.poison.lock().unwrap() = Some((2, 3));
    let (_, app) = depot.start();
    depot.run_for(1);
    for number in 1..=5 {
        (1..=3).for_each(|parcel| depot.arrive(parcel, number));
    }
    depot.run_for(10);
    let before = BTreeMap::from([(2, vec![1, 2])]);
    assert_eq!(depot.booked(), all(3, 5).into_iter().chain(before).collect());
    let letters = depot.world.run(app.dead_letters().list("book")).unwrap();
    let first = &letters[0];
    assert_eq!((letters.len(), first.error.as_deref()), (3, Some("no such address")));
    assert!(first.metadata.windows(6).any(|part| part == b"/depot"), "{first:?}");
    *depot.poison.lock().unwrap() = None;
    depot.world.run(app.dead_letters().replay("book", &first.lane)).unwrap();
    depot.run_for(10);
    assert_eq!(depot.booked(), all(3, 5));
}

#[test]
fn what_is_no_message_is_put_aside_and_what_is_not_of_the_set_is_left_out() {
    let depot = Depot::new(1);
    let (_, app) = depot.start();
    depot.run_for(1);
    let bytes = Bytes::from_static(b"\x00no message");
    depot.broker.publish_raw("parcels.arrived", Vec::new(), None, bytes.clone()).unwrap();
    let other = Outgoing::new("parcels.lost", Message::new("1", "/depot", "parcel.lost"));
    depot.world.run(depot.broker.publish(&[other])).remove(0).unwrap();
    depot.arrive(1, 1);
    depot.run_for(10);
    assert_eq!(depot.booked(), all(1, 1));
    let dead = depot.broker.dead_letters("depot").remove(0);
    assert_eq!(dead.message.unwrap_err().bytes, bytes);
    assert_eq!(app.receiving("parcels").unwrap().borrow().refused, 1);
}
