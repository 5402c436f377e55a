//! A view and a process under crashes at every kind of commit, redelivery and lost replies: the
//! view is what the facts come to, no event twice and none left out; every order ends once, in
//! time, and its timer survives whoever set it.

use super::{
    target::Shaken,
    world::{Spread, spread},
};
use factum_app::{
    App, CommandSet, Ctx, Decision, Envelope, EventSet, Input, OnError, Outcome, Process,
    Projection, Reply, Route, Row, State, Steps, World, command, emit, ensure, event,
    process::minutes,
    projection::{MemoryTarget, Target, target::Table},
};
use factum_core::RecordedEvent;
use factum_testkit::{Cluster, Report, Sim, same};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

#[event("order.placed")]
struct Placed {
    #[tag]
    order: u64,
}

#[event("order.paid")]
struct Paid {
    #[tag]
    order: u64,
}

#[event("order.confirmed")]
struct Confirmed {
    #[tag]
    order: u64,
}

#[event("order.cancelled")]
struct Cancelled {
    #[tag]
    order: u64,
}

#[derive(Clone, Debug, EventSet)]
enum OrderEvent {
    Placed(Placed),
    Paid(Paid),
    Confirmed(Confirmed),
    Cancelled(Cancelled),
}

#[derive(Clone, Debug, Default)]
struct Order {
    placed: bool,
}

impl State for Order {
    type Event = OrderEvent;

    fn evolve(self, _: &OrderEvent) -> Self {
        Self { placed: true }
    }
}

/// Commands that emit whatever the state is: doing one twice is seen.
macro_rules! blunt {
    ($($name:literal $command:ident $event:ident,)+) => {$(
        #[command($name)]
        struct $command {
            #[tag]
            order: u64,
        }

        impl Decision for $command {
            type State = Order;
            type Refusal = String;

            fn decide(&self, order: &Order, _: &Ctx) -> Outcome<Self> {
                ensure(order.placed || $name == "order.place", "no such order".to_owned())?;
                emit($event { order: self.order })
            }
        }
    )+};
}

blunt! {
    "order.place" Place Placed,
    "order.pay" Pay Paid,
    "order.confirm" Confirm Confirmed,
    "order.cancel" Cancel Cancelled,
}

/// The names of the events of an order, in their order: an event applied twice is seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Story {
    events: Vec<String>,
}

impl Projection for Story {
    const NAME: &'static str = "story";
    type Event = OrderEvent;

    fn apply(row: &mut Row<Self>, event: &Envelope<OrderEvent>) {
        let line = format!("{} {}", event.position(), event.event.info().event_type);
        row.upsert(|story| story.events.push(line));
    }
}

#[derive(Clone, Debug, EventSet)]
enum PaymentEvent {
    Placed(Placed),
    Paid(Paid),
}

#[derive(Clone, Debug, CommandSet)]
enum PaymentCommand {
    Confirm(Confirm),
    Cancel(Cancel),
}

#[derive(Default, Serialize, Deserialize)]
struct Payment {
    order: u64,
}

impl Process for Payment {
    const NAME: &'static str = "payment";
    type Event = PaymentEvent;
    type Command = PaymentCommand;

    fn route(event: &PaymentEvent) -> Route {
        match event {
            PaymentEvent::Placed(e) => Route::start(e.order),
            PaymentEvent::Paid(e) => Route::proceed(e.order),
        }
    }

    fn react(&mut self, input: Input<'_, Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(PaymentEvent::Placed(e)) => {
                self.order = e.order;
                steps.after(minutes(15), "unpaid")
            }
            Input::Event(PaymentEvent::Paid(e)) => {
                steps.cancel("unpaid").send(Confirm { order: e.order })
            }
            Input::Replied(PaymentCommand::Confirm(_), Reply::Done) => steps.end(),
            Input::TimedOut("unpaid") => steps.send(Cancel { order: self.order }).end(),
            _ => steps,
        }
    }
}

const ORDERS: u64 = 6;

/// Runs it once, and looks at everything that came of it.
pub(crate) fn run(sim: Sim) -> Report {
    let seed = sim.seed();
    let rows = MemoryTarget::new();
    let shared = rows.clone();
    sim.run(
        move |store, world| {
            let target = Shaken { rows: shared.clone(), instance: world.clone(), one_in: 12 };
            async move {
                let builder = App::builder(store).world(world).target(target);
                let builder = builder.projection::<Story>(OnError::Stop);
                builder.process::<Payment>(OnError::Stop).start().await.unwrap()
            }
        },
        async |sim| {
            let mut random = Spread(spread(seed));
            for order in 0..ORDERS {
                ask(sim, order, Place { order }).await;
                sim.world().sleep(Duration::from_secs(random.below(60))).await;
                if order % 2 == 0 {
                    ask(sim, order, Pay { order }).await;
                }
                if random.below(3) == 0 {
                    sim.crash(usize::try_from(random.below(2)).unwrap());
                }
            }
            sim.world().sleep(minutes(10)).await;
            sim.calm();
            let ends = async || ended(&sim.events().await) == ORDERS;
            sim.eventually("every order has ended", minutes(90), ends).await;
            sim.world().sleep(minutes(1)).await;
            check_ends(&sim.events().await);
            sim.world().sleep(minutes(5)).await;
            same("the view", stories(&rows).await, expected(&sim.events().await));
        },
    )
}

async fn ask<D: Decision<Refusal = String>>(sim: &Cluster<App>, order: u64, command: D) {
    let work = |app: App| {
        let (command, key) = (command.clone(), order.to_string());
        async move { app.execute(command).key(key).await.is_ok() }
    };
    while !sim.insist(work).await {
        sim.world().sleep(Duration::from_secs(1)).await;
    }
}

fn is_end(event: &&RecordedEvent) -> bool {
    ["order.confirmed", "order.cancelled"].contains(&event.event_type().as_str())
}

fn ended(events: &[RecordedEvent]) -> u64 {
    let mut streams: Vec<_> =
        events.iter().filter(is_end).map(|event| event.stream().clone()).collect();
    streams.sort();
    streams.dedup();
    streams.len() as u64
}

/// A paid order is confirmed, or cancelled where the payment came too late; another is cancelled,
/// and not before its time. Each once.
fn check_ends(events: &[RecordedEvent]) {
    for order in 0..ORDERS {
        let stream = format!("order-{order}");
        let of = events.iter().filter(|event| event.stream().as_str() == stream);
        let ends: Vec<_> = of.clone().filter(is_end).collect();
        assert_eq!(ends.len(), 1, "order {order} ended {} times", ends.len());
        let placed = of.clone().next().unwrap();
        if ends[0].event_type().as_str() == "order.cancelled" {
            let took = ends[0].recorded_at().0 - placed.recorded_at().0;
            assert!(took >= 15 * 60 * 1_000_000_000, "order {order} was cancelled too early");
        } else {
            assert_eq!(order % 2, 0, "order {order} was confirmed, and never paid");
        }
    }
}

/// What the view must be: one row an order, one line an event.
fn expected(events: &[RecordedEvent]) -> BTreeMap<String, Vec<String>> {
    let mut stories: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.stream().as_str().starts_with("order-")) {
        let key = event.stream().as_str().trim_start_matches("order-").to_owned();
        let line = format!("{} {}", event.position(), event.event_type());
        stories.entry(key).or_default().push(line);
    }
    stories
}

async fn stories(rows: &MemoryTarget) -> BTreeMap<String, Vec<String>> {
    let table = Table { name: Story::NAME.to_owned(), version: 1 };
    let mut stories = BTreeMap::new();
    for order in 0..ORDERS {
        let Ok(seen) = rows.get(&table, &order.to_string()).await else { continue };
        if let Some(row) = seen.value {
            let story: Story = factum_app::serde_json::from_slice(&row.data).unwrap();
            stories.insert(row.key, story.events);
        }
    }
    stories
}
