//! What other services are told of orders: less than the shop knows, under names of its own.

use crate::orders::{Order, OrderEvent};
use factum::app::prelude::*;

#[events]
pub(crate) enum Told {
    #[event("shop.order.completed", stream = "order-{order}")]
    Completed {
        #[tag]
        order: String,
        count: u32,
    },
    #[event("shop.order.cancelled", stream = "order-{order}")]
    Cancelled {
        #[tag]
        order: String,
        reason: String,
    },
}

pub(crate) struct Orders;

impl Publication for Orders {
    const NAME: &str = "orders";
    type Event = OrderEvent;
    type State = Order;
    type Message = Told;

    fn message(event: &Envelope<OrderEvent>, now: &Order) -> Option<Told> {
        match event.event.clone() {
            OrderEvent::OrderPlaced(_) => None,
            OrderEvent::OrderCompleted(one) => {
                Some(Completed { order: one.order, count: now.count }.into())
            }
            OrderEvent::OrderCancelled(one) => {
                Some(Cancelled { order: one.order, reason: one.reason }.into())
            }
        }
    }
}
