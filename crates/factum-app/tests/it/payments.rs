//! A payment process with a time-out, and the orders that it is about: what the tests of processes
//! run.

use factum_app::{
    AnyStore, App, CommandSet, Ctx, Decision, EventSet, EventStore, Input, MemoryStore, OnError,
    Outcome, Process, Reply, Route, State, Steps, command, emit, event, nothing, process::minutes,
    refuse,
};
use factum_core::{Query, Read, RecordedEvent};
use factum_testkit::SimWorld;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[event("order.placed")]
pub(crate) struct OrderPlaced {
    #[tag]
    pub(crate) order: u32,
}

#[event("order.confirmed")]
pub(crate) struct OrderConfirmed {
    #[tag]
    pub(crate) order: u32,
}

#[event("order.cancelled")]
pub(crate) struct OrderCancelled {
    #[tag]
    pub(crate) order: u32,
}

#[event("payment.received")]
pub(crate) struct PaymentReceived {
    #[tag]
    pub(crate) order: u32,
}

#[derive(Clone, Debug, EventSet)]
pub(crate) enum OrderEvent {
    Placed(OrderPlaced),
    Confirmed(OrderConfirmed),
    Cancelled(OrderCancelled),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Order {
    #[default]
    New,
    Pending,
    Confirmed,
    Cancelled,
}

impl State for Order {
    type Event = OrderEvent;

    fn evolve(self, event: &OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(_) => Self::Pending,
            OrderEvent::Confirmed(_) => Self::Confirmed,
            OrderEvent::Cancelled(_) => Self::Cancelled,
        }
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Rejected {
    Exists,
    Unknown,
}

#[command("order.place")]
pub(crate) struct Place {
    #[tag]
    pub(crate) order: u32,
}

impl Decision for Place {
    type State = Order;
    type Refusal = Rejected;

    fn decide(&self, order: &Order, _: &Ctx) -> Outcome<Self> {
        match order {
            Order::New => emit(OrderPlaced { order: self.order }),
            _ => refuse(Rejected::Exists),
        }
    }
}

#[command("order.confirm")]
pub(crate) struct Confirm {
    #[tag]
    pub(crate) order: u32,
}

impl Decision for Confirm {
    type State = Order;
    type Refusal = Rejected;

    fn decide(&self, order: &Order, _: &Ctx) -> Outcome<Self> {
        match order {
            Order::Pending => emit(OrderConfirmed { order: self.order }),
            Order::New => refuse(Rejected::Unknown),
            _ => nothing("not pending"),
        }
    }
}

#[command("order.cancel")]
pub(crate) struct Cancel {
    #[tag]
    pub(crate) order: u32,
}

/// Cancels whatever the order is, so that doing it twice would be seen.
impl Decision for Cancel {
    type State = Order;
    type Refusal = Rejected;

    fn decide(&self, _: &Order, _: &Ctx) -> Outcome<Self> {
        emit(OrderCancelled { order: self.order })
    }
}

#[derive(Clone, Default)]
pub(crate) struct Paid;

impl State for Paid {
    type Event = PaymentReceived;

    fn evolve(self, _: &PaymentReceived) -> Self {
        self
    }
}

#[command("payment.receive")]
pub(crate) struct Receive {
    #[tag]
    pub(crate) order: u32,
}

impl Decision for Receive {
    type State = Paid;
    type Refusal = Rejected;

    fn decide(&self, _: &Paid, _: &Ctx) -> Outcome<Self> {
        emit(PaymentReceived { order: self.order })
    }
}

#[derive(Clone, Debug, EventSet)]
pub(crate) enum PaymentEvent {
    Placed(OrderPlaced),
    Received(PaymentReceived),
}

#[derive(Clone, Debug, CommandSet)]
pub(crate) enum PaymentCommand {
    Confirm(Confirm),
    Cancel(Cancel),
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Payment {
    order: u32,
}

impl Process for Payment {
    const NAME: &'static str = "payment";
    type Event = PaymentEvent;
    type Command = PaymentCommand;

    fn route(event: &PaymentEvent) -> Route {
        match event {
            PaymentEvent::Placed(e) => Route::start(e.order),
            PaymentEvent::Received(e) => Route::proceed(e.order),
        }
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(PaymentEvent::Placed(e)) => {
                self.order = e.order;
                steps.after(minutes(15), "unpaid")
            }
            Input::Event(PaymentEvent::Received(e)) => {
                steps.cancel("unpaid").send(Confirm { order: e.order })
            }
            Input::Replied(PaymentCommand::Confirm(_), Reply::Done) => steps.end(),
            Input::TimedOut("unpaid") => steps.send(Cancel { order: self.order }).end(),
            _ => steps,
        }
    }
}

/// The same, but what follows from the time is a command that is sent later.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Scheduled;

impl Process for Scheduled {
    const NAME: &'static str = "payment";
    type Event = PaymentEvent;
    type Command = PaymentCommand;

    fn route(event: &PaymentEvent) -> Route {
        Payment::route(event)
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(PaymentEvent::Placed(e)) => {
                steps.send_after(minutes(15), Cancel { order: e.order })
            }
            Input::Event(PaymentEvent::Received(e)) => {
                steps.cancel("order.cancel").send(Confirm { order: e.order })
            }
            Input::Replied(_, Reply::Done) => steps.end(),
            _ => steps,
        }
    }
}

/// A simulated shop: a world, a store that outlives its apps, and the instance that runs now.
pub(crate) struct Shop {
    pub(crate) world: SimWorld,
    pub(crate) store: AnyStore,
}

impl Shop {
    pub(crate) fn new(seed: u64) -> Self {
        let world = SimWorld::new(seed);
        let store = AnyStore::new(MemoryStore::with_clock(world.clock()));
        Self { world, store }
    }

    /// An app over the store that only decides.
    pub(crate) fn client(&self) -> App {
        App::builder(self.store.clone()).world(Arc::new(self.world.clone())).build()
    }

    /// An app that runs a process, in a part of the world that can be killed.
    pub(crate) fn start<P: Process>(&self, on_error: OnError) -> App {
        let part = self.world.instance("app");
        self.start_in::<P>(&part, self.store.clone(), on_error)
    }

    pub(crate) fn start_in<P: Process>(
        &self,
        part: &SimWorld,
        store: impl EventStore,
        on_error: OnError,
    ) -> App {
        let builder = App::builder(store).world(Arc::new(part.clone()));
        self.world.run(builder.process::<P>(on_error).start()).unwrap()
    }

    pub(crate) fn run_for(&self, how_long: Duration) {
        self.world.run_for(how_long);
    }

    /// Every stored event of a type, and then some.
    pub(crate) fn events(&self) -> Vec<RecordedEvent> {
        self.world.run(async {
            let reading = self.store.read(Read::query(Query::All)).await.unwrap();
            reading.events().await.unwrap()
        })
    }

    pub(crate) fn count(&self, event_type: &str) -> usize {
        self.events().iter().filter(|event| event.event_type().as_str() == event_type).count()
    }
}
