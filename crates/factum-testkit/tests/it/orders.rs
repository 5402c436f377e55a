//! A small domain for the tests of the kit: orders.

use factum_app::{
    Boundary, Ctx, Decision, EventSet, InvalidName, Outcome, State, command, emit, ensure, event,
    nothing,
};
use std::convert::Infallible;

#[event("order.placed")]
#[derive(PartialEq)]
pub(crate) struct OrderPlaced {
    #[tag]
    pub(crate) order: u32,
    pub(crate) total: u32,
    pub(crate) note: String,
}

#[event("order.cancelled")]
#[derive(PartialEq)]
pub(crate) struct OrderCancelled {
    #[tag]
    pub(crate) order: u32,
}

#[event("name.taken")]
pub(crate) struct Named {
    #[tag]
    pub(crate) name: String,
}

#[derive(Clone, Debug, EventSet)]
pub(crate) enum OrderEvent {
    Placed(OrderPlaced),
    Cancelled(OrderCancelled),
}

#[derive(Clone, Default, Debug, PartialEq)]
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
    Empty { total: u32 },
    Exists,
}

#[command("order.place")]
pub(crate) struct Place {
    #[tag]
    pub(crate) order: u32,
    pub(crate) total: u32,
    pub(crate) note: String,
}

impl Decision for Place {
    type State = Order;
    type Refusal = Rejected;

    fn validate(&self) -> Result<(), Rejected> {
        ensure(self.total > 0, Rejected::Empty { total: self.total })
    }

    /// Asked for by "who", it notes who and when.
    fn decide(&self, order: &Order, ctx: &Ctx) -> Outcome<Self> {
        ensure(*order == Order::New, Rejected::Exists)?;
        let who = ctx.metadata().actor.clone().unwrap_or_default();
        let note = match self.note.as_str() {
            "who" => format!("{who} at {}", ctx.now().0),
            note => note.into(),
        };
        emit(OrderPlaced { order: self.order, total: self.total, note })
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

/// Emits about another order than the one that it reads.
#[command("order.stray")]
pub(crate) struct Stray {
    pub(crate) order: u32,
}

impl Decision for Stray {
    type State = Order;
    type Refusal = Infallible;

    fn boundary(&self) -> Result<Boundary, InvalidName> {
        Boundary::tagged::<OrderEvent>(&[("order", self.order.to_string())])
    }

    fn decide(&self, _: &Order, _: &Ctx) -> Outcome<Self> {
        emit(OrderCancelled { order: self.order + 1 })
    }
}
