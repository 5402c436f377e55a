//! Orders, and their summary: the state is the row.

use factum::app::prelude::*;

#[events]
pub(crate) enum OrderEvent {
    #[event("order.placed")]
    OrderPlaced {
        #[tag]
        order: String,
        #[tag]
        customer: String,
        article: String,
        count: u32,
        cents: u64,
    },
    #[event("order.completed")]
    OrderCompleted { order: String },
    #[event("order.cancelled")]
    OrderCancelled { order: String, reason: String },
}

#[data]
pub(crate) enum Status {
    #[default]
    New,
    Pending,
    Completed,
    Cancelled,
}

#[data]
pub(crate) struct Order {
    pub(crate) customer: String,
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
            OrderEvent::OrderPlaced(OrderPlaced { customer, article, count, cents, .. }) => {
                let (customer, article) = (customer.clone(), article.clone());
                let (count, cents) = (*count, *cents);
                Self { customer, article, count, cents, status: Status::Pending, ..self }
            }
            OrderEvent::OrderCompleted(_) => Self { status: Status::Completed, ..self },
            OrderEvent::OrderCancelled(cancelled) => {
                Self { status: Status::Cancelled, reason: cancelled.reason.clone(), ..self }
            }
        }
    }
}

impl Projection for Order {
    const NAME: &str = "shop-orders";
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

impl OrderCommand {
    pub(crate) fn cancel(order: String) -> Self {
        Self::Cancel { order, reason: "it cannot be fulfilled".to_owned() }
    }
}

#[data]
pub(crate) struct Exists;

impl Decision for OrderCommand {
    type State = Order;
    type Refusal = Exists;

    fn decide(&self, now: &Order, _: &Ctx) -> Outcome<Self> {
        match (self.clone(), &now.status) {
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
