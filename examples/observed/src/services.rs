//! Two services, each with a store of its own: orders are placed in one, and billed in the other.

use crate::otel::OpenTelemetry;
use factum::app::{
    App, Ctx, Decision, Envelope, MemoryStore, OnError, Outcome, Publication, State,
    bus::Delivery,
    command,
    consumer::StartError,
    emit, ensure, event,
    message::{MemoryBroker, Subscription},
};

/// A fact of the service `orders`.
#[event("order.placed")]
pub(crate) struct OrderPlaced {
    #[tag]
    order: u32,
    cents: u64,
}

/// What others are told of it.
#[event("orders.to-bill", stream = "order-{order}")]
struct ToBill {
    #[tag]
    order: u32,
    cents: u64,
}

/// A fact of the service `billing`.
#[event("bill.sent")]
struct BillSent {
    #[tag]
    order: u32,
    cents: u64,
}

#[derive(Clone, Default)]
pub(crate) struct Placed(bool);

impl State for Placed {
    type Event = OrderPlaced;

    fn evolve(self, _: &OrderPlaced) -> Self {
        Self(true)
    }
}

#[command("order.place")]
pub(crate) struct Place {
    #[tag]
    pub(crate) order: u32,
    pub(crate) cents: u64,
}

impl Decision for Place {
    type State = Placed;
    type Refusal = &'static str;

    fn decide(&self, placed: &Placed, _: &Ctx) -> Outcome<Self> {
        ensure(!placed.0, "it is placed already")?;
        emit(OrderPlaced { order: self.order, cents: self.cents })
    }
}

#[derive(Clone, Default)]
struct Billed;

impl State for Billed {
    type Event = BillSent;

    fn evolve(self, _: &BillSent) -> Self {
        self
    }
}

#[command("bill.send")]
struct Bill {
    #[tag]
    order: u32,
    cents: u64,
}

impl Decision for Bill {
    type State = Billed;
    type Refusal = &'static str;

    fn decide(&self, _: &Billed, _: &Ctx) -> Outcome<Self> {
        emit(BillSent { order: self.order, cents: self.cents })
    }
}

struct Orders;

impl Publication for Orders {
    const NAME: &'static str = "to-bill";
    type Event = OrderPlaced;
    type State = ();
    type Message = ToBill;

    fn message(event: &Envelope<OrderPlaced>, (): &()) -> Option<ToBill> {
        let OrderPlaced { order, cents } = event.event;
        Some(ToBill { order, cents })
    }
}

/// The service that orders are placed in.
pub(crate) async fn orders(broker: MemoryBroker) -> Result<App, StartError> {
    App::builder(MemoryStore::new())
        .service("orders", "1.0.0")
        .traces(OpenTelemetry)
        .publish::<Orders>(OnError::Stop, broker)
        .start()
        .await
}

/// The service that bills them.
pub(crate) async fn billing(broker: MemoryBroker) -> Result<App, StartError> {
    App::builder(MemoryStore::new())
        .service("billing", "1.0.0")
        .traces(OpenTelemetry)
        .receive("orders", broker, Subscription::shared("billing", ["orders.*"]))
        .on("bill", OnError::Park, |told: Delivery<ToBill>| async move {
            let ToBill { order, cents } = told.event;
            told.execute(Bill { order, cents }).await?;
            Ok(())
        })
        .start()
        .await
}
