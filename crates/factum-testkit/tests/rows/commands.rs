//! Commands between two services, both of which are killed, over a broker that comes and goes: each
//! is done once or not at all, as its sender was told; each answer is told, and none contradicted.

use super::world::Spread;
use factum_app::{
    App, AppBuilder, CommandSet, Ctx, Decision, EventSet, Input, MemoryStore, OnError, Outcome,
    Process, Query, Reply, Route, State, Steps, Timestamp, World, command, data, emit, ensure,
    event,
    message::{
        Consumer, MemoryBroker, MemoryLimits, Outgoing, PublishError, Publisher, ReceiverState,
        Subscription,
        commands::{Answer, Answers, AskError, Remote, Requests},
    },
    world::BoxFuture,
};
use factum_core::{EventStore, EventType, Read};
use factum_testkit::{Report, Sim, SimWorld, same};
use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

const ITEMS: u64 = 3;
/// How many commands each of the three kinds of senders sends.
const COMMANDS: u64 = 24;
/// How long a command that has begun may take until it is durable.
const BEGUN: i64 = 1_000_000_000;

#[event("item.stocked")]
struct Stocked {
    #[tag]
    item: u64,
    count: u64,
}

#[event("item.reserved")]
struct Reserved {
    #[tag]
    item: u64,
    number: u64,
}

#[derive(Clone, Debug, EventSet)]
enum ItemEvent {
    Stocked(Stocked),
    Reserved(Reserved),
}

#[derive(Clone, Default)]
struct Item {
    left: u64,
}

impl State for Item {
    type Event = ItemEvent;

    fn evolve(self, event: &ItemEvent) -> Self {
        match event {
            ItemEvent::Stocked(stocked) => Self { left: self.left + stocked.count },
            ItemEvent::Reserved(_) => Self { left: self.left.saturating_sub(1) },
        }
    }
}

#[command("item.reserve")]
struct Reserve {
    #[tag]
    item: u64,
    number: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SoldOut;

impl Decision for Reserve {
    type State = Item;
    type Refusal = SoldOut;

    fn decide(&self, item: &Item, _: &Ctx) -> Outcome<Self> {
        ensure(item.left > 0, SoldOut)?;
        emit(Reserved { item: self.item, number: self.number })
    }
}

#[event("order.placed")]
struct Placed {
    #[tag]
    order: u64,
}

#[event("order.closed")]
struct Closed {
    #[tag]
    order: u64,
    done: bool,
}

#[derive(Clone, Default)]
struct Blunt;

impl State for Blunt {
    type Event = Closed;

    fn evolve(self, _: &Closed) -> Self {
        self
    }
}

#[command("order.close")]
struct Close {
    #[tag]
    order: u64,
    done: bool,
}

impl Decision for Close {
    type State = Blunt;
    type Refusal = Infallible;

    fn decide(&self, _: &Blunt, _: &Ctx) -> Outcome<Self> {
        emit(Closed { order: self.order, done: self.done })
    }
}

#[derive(Clone, Debug, CommandSet)]
enum OrderCommand {
    Reserve(Remote<Reserve>),
    Close(Close),
}

/// Asks the other service, and keeps its answer.
#[data]
struct Ordering;

impl Process for Ordering {
    const NAME: &'static str = "ordering";
    type Event = Placed;
    type Command = OrderCommand;

    fn route(placed: &Placed) -> Route {
        Route::start(placed.order)
    }

    fn react(&mut self, input: Input<'_, Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(Placed { order }) => {
                steps.send(Remote(Reserve { item: order % ITEMS, number: order }))
            }
            Input::Replied(OrderCommand::Reserve(Remote(reserve)), reply) => {
                steps.send(Close { order: reserve.number, done: reply == Reply::Done })
            }
            Input::Replied(OrderCommand::Close(_), _) => steps.end(),
            Input::TimedOut(_) => steps,
        }
    }
}

/// A way to the broker that takes its time, and on which confirmations get lost.
#[derive(Clone, Debug)]
struct Slow(MemoryBroker, SimWorld);

impl Publisher for Slow {
    fn max_bytes(&self) -> u64 {
        self.0.max_bytes()
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            self.1.sleep(Duration::from_millis(self.1.below(40))).await;
            let outcomes = self.0.publish(batch).await;
            self.1.sleep(Duration::from_millis(self.1.below(40))).await;
            let lost = || Err(PublishError::Unknown { why: "lost".into() });
            outcomes
                .into_iter()
                .map(|one| if self.1.below(10) == 0 { lost() } else { one })
                .collect()
        })
    }
}

/// What the sender of a command was told: whether it was done.
type Told = Arc<Mutex<BTreeMap<u64, Vec<bool>>>>;

struct Services {
    world: SimWorld,
    broker: MemoryBroker,
    items: MemoryStore,
    orders: MemoryStore,
    told: Told,
    /// When commands with a time-out expired.
    expired: Arc<Mutex<BTreeMap<u64, Timestamp>>>,
}

impl Services {
    fn builder(&self, name: &str, store: &MemoryStore) -> (SimWorld, AppBuilder) {
        let process = self.world.instance(name);
        let builder = App::builder(store.clone()).world(Arc::new(process.clone()));
        (process, builder)
    }

    /// An instance of the service that is asked.
    async fn item_service(&self) -> (SimWorld, App) {
        let (process, builder) = self.builder("items", &self.items);
        let commands = Subscription::shared("items", ["items.commands"]);
        let publisher = Slow(self.broker.clone(), process.clone());
        let answers = Answers::new(self.broker.clone(), commands, publisher);
        let builder = builder.answer("items", answers.decision::<Reserve>());
        (process, builder.start().await.unwrap())
    }

    async fn requests(&self, process: &SimWorld) -> Requests {
        let world = Arc::new(process.clone());
        let publisher = Slow(self.broker.clone(), process.clone());
        let settings = Requests::new("/orders", "orders.answers").within(Duration::from_secs(3));
        loop {
            let starting = settings.clone();
            let started = starting.start(world.clone(), publisher.clone(), self.broker.clone());
            if let Ok(requests) = started.await {
                return requests;
            }
            self.world.sleep(Duration::from_millis(50)).await;
        }
    }

    /// An instance of the service that asks.
    async fn order_service(&self) -> (SimWorld, App) {
        let (process, builder) = self.builder("orders", &self.orders);
        let requests = self.requests(&process).await;
        let builder = builder.remote::<Reserve>(&requests, "items.commands");
        (process, builder.process::<Ordering>(OnError::Stop).start().await.unwrap())
    }

    /// Asks with a key and little time, until it is known what became of it; every other one gives
    /// up when its time is over.
    fn ask(&self, requests: &Requests, number: u64) {
        let (requests, told, expired) = (requests.clone(), self.told.clone(), self.expired.clone());
        let world = self.world.clone();
        let item = number % ITEMS;
        self.world.spawn(Box::pin(async move {
            loop {
                let within = Duration::from_millis(200 + world.below(2_000));
                let ask = requests.ask("items.commands", Reserve { item, number });
                let at = world.now().0 + i64::try_from(within.as_nanos()).unwrap();
                expired.lock().unwrap().insert(number, Timestamp(at));
                let done = match ask.key(number.to_string()).within(within).await {
                    Ok(Answer::Done(receipt)) => {
                        assert_eq!(receipt.unwrap().streams.len(), 1);
                        true
                    }
                    Ok(Answer::Refused(refused)) => {
                        assert_eq!(refused.data::<SoldOut>().unwrap(), SoldOut);
                        false
                    }
                    Err(AskError::Expired) => false,
                    Err(AskError::TimedOut { .. }) if number % 2 == 1 => {
                        told.lock().unwrap().entry(number).or_default();
                        return;
                    }
                    Err(error) if error.is_retryable() => continue,
                    other => panic!("{number}: {other:?}"),
                };
                told.lock().unwrap().entry(number).or_default().push(done);
                return;
            }
        }));
    }

    /// Sends it, and waits for nothing: its outcome comes as an event.
    fn send(&self, requests: &Requests, number: u64) {
        let command = Reserve { item: number % ITEMS, number };
        let ask = requests.ask("items.commands", command).key(number.to_string());
        let ask = ask.reply_to("orders.outcomes").within(Duration::from_secs(3_600));
        self.world.spawn(Box::pin(async move { ask.send().await.unwrap() }));
    }

    /// What was sent and not waited for is told here.
    async fn hear(&self) {
        let outcomes = || Subscription::shared("outcomes", ["orders.outcomes"]);
        let mut feed = Some(self.broker.consume(outcomes()).await.unwrap());
        let (world, broker, told) = (self.world.clone(), self.broker.clone(), self.told.clone());
        self.world.spawn(Box::pin(async move {
            loop {
                let Some(deliveries) = &mut feed else {
                    feed = broker.consume(outcomes()).await.ok();
                    world.sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let Ok(delivered) = deliveries.next().await else {
                    feed = None;
                    continue;
                };
                let message = delivered.message.clone().unwrap();
                assert_eq!(message.name, "command.answered");
                let outcome: serde_json::Value = serde_json::from_slice(&message.data).unwrap();
                let number = outcome["key"].as_str().unwrap().parse().unwrap();
                let done = outcome["outcome"] == "done";
                told.lock().unwrap().entry(number).or_default().push(done);
                let _ = delivered.ack().await;
            }
        }));
    }
}

fn number(event: &serde_json::Value) -> u64 {
    let of = |name: &str| event.get(name).and_then(serde_json::Value::as_u64);
    of("number").or_else(|| of("order")).unwrap()
}

/// The events of a type: what they say, and when they were stored.
async fn facts(store: &MemoryStore, name: &str) -> Vec<(serde_json::Value, Timestamp)> {
    let query = Query::types([EventType::new(name).unwrap()]);
    let events = store.read(Read::query(query)).await.unwrap().events().await.unwrap();
    let of = |data: &[u8]| serde_json::from_slice(data).unwrap();
    events.iter().map(|event| (of(event.data()), event.recorded_at())).collect()
}

/// Sends everything, and disturbs everybody meanwhile. Answers how often one was killed.
async fn send_and_disturb(services: &Services, seed: u64) -> u64 {
    let (world, broker) = (&services.world, &services.broker);
    let (mut draw, mut kills) = (Spread(seed), 0);
    let mut items = vec![services.item_service().await, services.item_service().await];
    let mut orders = services.order_service().await;
    let requests = services.requests(world).await;
    let stock = App::builder(services.items.clone()).world(Arc::new(world.clone())).build();
    let shop = App::builder(services.orders.clone()).world(Arc::new(world.clone())).build();
    services.hear().await;
    // Until a group is there, a broker keeps nothing for it.
    for (_, app) in &items {
        let mut answering = app.answering("items").unwrap();
        answering.wait_for(|now| now.state == ReceiverState::Running).await.unwrap();
    }
    for order in 0..COMMANDS {
        shop.record(Placed { order }).await.unwrap();
        services.send(&requests, 1_000 + order);
        services.ask(&requests, 2_000 + order);
        if draw.below(3) == 0 {
            stock.record(Stocked { item: draw.below(ITEMS), count: 2 }).await.unwrap();
        }
        match draw.below(6) {
            0 => {
                let killed =
                    items.drain(..=draw.below(2) as usize).map(|(process, _)| process.kill());
                kills += killed.count() as u64;
                world.sleep(Duration::from_millis(draw.below(5_000))).await;
                while items.len() < 2 {
                    items.push(services.item_service().await);
                }
            }
            1 => {
                orders.0.kill();
                broker.come_back();
                orders = services.order_service().await;
                kills += 1;
            }
            2 => broker.go_away(),
            _ => broker.come_back(),
        }
        world.sleep(Duration::from_millis(draw.below(300))).await;
    }
    broker.come_back();
    let all = COMMANDS as usize;
    let done = async {
        while services.told.lock().unwrap().len() < 2 * all
            || facts(&services.orders, "order.closed").await.len() < all
        {
            world.sleep(Duration::from_millis(200)).await;
        }
    };
    let patience = world.sleep(Duration::from_secs(600));
    if let Either::Right(_) = select(Box::pin(done), patience).await {
        panic!("not all were answered: {:?}", services.told.lock().unwrap());
    }
    // Whoever is still at it has its time.
    world.sleep(Duration::from_secs(30)).await;
    items.into_iter().chain([orders]).for_each(|(process, _)| process.kill());
    kills
}

/// What was told is what happened, once.
async fn audit(services: &Services) {
    let reserved = facts(&services.items, "item.reserved").await;
    let mut stored: BTreeMap<u64, usize> = BTreeMap::new();
    reserved.iter().for_each(|(event, _)| *stored.entry(number(event)).or_default() += 1);
    assert!(stored.values().all(|count| *count == 1), "done twice: {stored:?}");
    let mut told = services.told.lock().unwrap().clone();
    for (event, _) in facts(&services.orders, "order.closed").await {
        let done = event.get("done").and_then(serde_json::Value::as_bool).unwrap();
        told.entry(number(&event)).or_default().push(done);
    }
    // Who gave up knows nothing.
    told.retain(|_, told| !told.is_empty());
    let want = told.keys().map(|one| (*one, vec![stored.contains_key(one)]));
    let want = BTreeMap::from_iter(want);
    for told in told.values_mut() {
        told.dedup();
    }
    same("what was told", told, want);
    let expired = services.expired.lock().unwrap();
    for (event, at) in &reserved {
        let limit = expired.get(&number(event)).map_or(i64::MAX, |limit| limit.0);
        assert!(at.0 < limit.saturating_add(BEGUN), "begun though it had expired: {event}");
    }
}

/// Runs the row, and says what was done to it.
pub(crate) fn run(sim: Sim) -> Report {
    let world = SimWorld::new(sim.seed()).with_step_time(Duration::from_micros(50));
    let services = Services {
        broker: MemoryBroker::with(Arc::new(world.clone()), MemoryLimits::default()),
        items: MemoryStore::with_clock(world.clock()),
        orders: MemoryStore::with_clock(world.clock()),
        told: Arc::default(),
        expired: Arc::default(),
        world: world.clone(),
    };
    let restarts = world.run(async {
        let restarts = send_and_disturb(&services, sim.seed()).await;
        audit(&services).await;
        restarts
    });
    let (steps, trace) = (world.steps(), world.trace());
    world.end();
    Report { restarts, steps, trace, ..Report::default() }
}
