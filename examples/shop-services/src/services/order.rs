//! The order service: what was ordered, and what became of it.

use super::{
    inventory::StockRefused,
    payment::PaymentDeclined,
    shipping::{ParcelFailed, ParcelShipped},
};
use factum::app::{
    bus::{Delivery, HandlerError},
    prelude::*,
};

#[events]
pub(crate) enum OrderEvent {
    #[event("order.placed")]
    OrderPlaced { order: String, customer: String, article: String, count: u32, cents: u64 },
    #[event("order.completed")]
    OrderCompleted { order: String },
    #[event("order.cancelled")]
    OrderCancelled { order: String, reason: String },
}

#[data]
#[derive(Copy, Eq)]
pub(crate) enum Status {
    #[default]
    New,
    Pending,
    Completed,
    Cancelled,
}

/// An order: what decides, and the row of the view.
#[data]
pub(crate) struct Order {
    pub(crate) article: String,
    pub(crate) count: u32,
    pub(crate) cents: u64,
    pub(crate) status: Status,
    pub(crate) reason: String,
}

impl State for Order {
    type Event = OrderEvent;

    fn evolve(self, event: &OrderEvent) -> Self {
        match event {
            OrderEvent::OrderPlaced(placed) => {
                let OrderPlaced { article, count, cents, .. } = placed.clone();
                Self { article, count, cents, status: Status::Pending, ..self }
            }
            OrderEvent::OrderCompleted(_) => Self { status: Status::Completed, ..self },
            OrderEvent::OrderCancelled(cancelled) => {
                Self { status: Status::Cancelled, reason: cancelled.reason.clone(), ..self }
            }
        }
    }
}

impl Projection for Order {
    const NAME: &str = "orders";
    type Event = OrderEvent;

    fn apply(row: &mut Row<Self>, event: &Envelope<OrderEvent>) {
        row.evolve(event);
    }
}

#[command("order")]
pub(crate) enum OrderCommand {
    Place { order: String, customer: String, article: String, count: u32, cents: u64 },
    Complete { order: String },
    Cancel { order: String, reason: String },
}

#[data]
pub(crate) struct Exists;

impl Decision for OrderCommand {
    type State = Order;
    type Refusal = Exists;

    fn decide(&self, now: &Order, _: &Ctx) -> Outcome<Self> {
        match (self.clone(), now.status) {
            (Self::Place { order, customer, article, count, cents }, Status::New) => {
                emit(OrderPlaced { order, customer, article, count, cents })
            }
            (Self::Place { .. }, _) => refuse(Exists),
            (Self::Complete { order }, Status::Pending) => emit(OrderCompleted { order }),
            (Self::Cancel { order, reason }, Status::Pending) => {
                emit(OrderCancelled { order, reason })
            }
            _ => nothing("the order is not pending"),
        }
    }
}

/// What ends an order.
#[derive(Clone, Debug, EventSet)]
pub(crate) enum Outside {
    Refused(StockRefused),
    Declined(PaymentDeclined),
    Failed(ParcelFailed),
    Shipped(ParcelShipped),
}

/// The order service's part of the choreography.
pub(crate) async fn react(delivery: Delivery<Outside>) -> Result<(), HandlerError> {
    let cancel = |order: &str, reason: &str| OrderCommand::Cancel {
        order: order.to_owned(),
        reason: reason.to_owned(),
    };
    let command = match &delivery.event {
        Outside::Refused(one) => cancel(&one.order, "not in stock"),
        Outside::Declined(one) => cancel(&one.order, "payment declined"),
        Outside::Failed(one) => cancel(&one.order, "cannot be delivered"),
        Outside::Shipped(one) => OrderCommand::Complete { order: one.order.clone() },
    };
    delivery.execute(command).await?;
    Ok(())
}
