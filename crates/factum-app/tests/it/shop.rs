//! Orders: what the tests decide about.

use factum_app::{Ctx, Decision, EventSet, Outcome, State, command, emit, ensure, event, nothing};

#[event("order.placed")]
pub(crate) struct OrderPlaced {
    #[tag]
    pub(crate) order: u32,
    pub(crate) total: u32,
}

#[event("order.cancelled")]
pub(crate) struct OrderCancelled {
    #[tag]
    pub(crate) order: u32,
}

#[derive(Clone, Debug, PartialEq, EventSet)]
pub(crate) enum OrderEvent {
    Placed(OrderPlaced),
    Cancelled(OrderCancelled),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Order {
    #[default]
    New,
    Pending,
    Cancelled,
}

impl State for Order {
    type Event = OrderEvent;

    fn evolve(self, event: &OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(_) => Self::Pending,
            OrderEvent::Cancelled(_) => Self::Cancelled,
        }
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Rejected {
    Empty,
    Exists,
}

#[command("order.place")]
pub(crate) struct Place {
    #[tag]
    pub(crate) order: u32,
    pub(crate) total: u32,
}

impl Decision for Place {
    type State = Order;
    type Refusal = Rejected;

    fn validate(&self) -> Result<(), Rejected> {
        ensure(self.total > 0, Rejected::Empty)
    }

    fn decide(&self, order: &Order, _: &Ctx) -> Outcome<Self> {
        ensure(*order == Order::New, Rejected::Exists)?;
        emit(OrderPlaced { order: self.order, total: self.total })
    }
}

#[command("order.cancel")]
pub(crate) struct Cancel {
    #[tag]
    pub(crate) order: u32,
}

impl Decision for Cancel {
    type State = Order;
    type Refusal = Rejected;

    fn decide(&self, order: &Order, _: &Ctx) -> Outcome<Self> {
        match order {
            Order::Pending => emit(OrderCancelled { order: self.order }),
            _ => nothing("not pending"),
        }
    }
}
