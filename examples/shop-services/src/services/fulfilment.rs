//! The orchestration: one process in the order service says who does what, and what is undone.

use super::{
    asks::Ask,
    inventory::{StockRefused, StockReserved},
    order::{OrderCommand, OrderPlaced},
    payment::{PaymentDeclined, PaymentTaken},
    shipping::{ParcelFailed, ParcelShipped},
};
use factum::app::prelude::*;

/// What the process follows: the order, and what the others answered.
#[derive(Clone, Debug, EventSet)]
pub(crate) enum Heard {
    Placed(OrderPlaced),
    Reserved(StockReserved),
    Refused(StockRefused),
    Taken(PaymentTaken),
    Declined(PaymentDeclined),
    Shipped(ParcelShipped),
    Failed(ParcelFailed),
}

#[derive(Clone, Debug, CommandSet)]
pub(crate) enum Step {
    Ask(Ask),
    Order(OrderCommand),
}

#[data]
pub(crate) struct Fulfilment;

impl Process for Fulfilment {
    const NAME: &str = "fulfilment";
    type Event = Heard;
    type Command = Step;

    fn route(event: &Heard) -> Route {
        match event {
            Heard::Placed(one) => Route::start(&one.order),
            Heard::Reserved(one) => Route::proceed(&one.order),
            Heard::Refused(one) => Route::proceed(&one.order),
            Heard::Taken(one) => Route::proceed(&one.order),
            Heard::Declined(one) => Route::proceed(&one.order),
            Heard::Shipped(one) => Route::proceed(&one.order),
            Heard::Failed(one) => Route::proceed(&one.order),
        }
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        let order = steps.key().to_owned();
        let cancel =
            |reason: &str| OrderCommand::Cancel { order: order.clone(), reason: reason.to_owned() };
        let Input::Event(event) = input else { return steps };
        match event {
            Heard::Placed(OrderPlaced { order, customer, article: stock, count, cents }) => {
                steps.send(Ask::Reserve { order, customer, stock, count, cents })
            }
            Heard::Reserved(StockReserved { stock, customer, count, cents, .. }) => steps
                .compensate_with(Ask::Release { order: order.clone(), stock: stock.clone() })
                .send(Ask::Take { order, wallet: customer, stock, count, cents }),
            Heard::Taken(PaymentTaken { wallet, stock, count, .. }) => steps
                .compensate_with(Ask::Refund { order: order.clone(), wallet: wallet.clone() })
                .send(Ask::Send { order, wallet, stock, count }),
            Heard::Shipped(_) => steps.send(OrderCommand::Complete { order }).end(),
            Heard::Refused(_) => steps.send(cancel("not in stock")).fail("not in stock"),
            Heard::Declined(_) => steps.send(cancel("payment declined")).fail("declined"),
            Heard::Failed(_) => steps.send(cancel("cannot be delivered")).fail("not delivered"),
        }
    }
}
