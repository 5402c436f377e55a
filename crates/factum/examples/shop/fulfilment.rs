//! The process that orders the steps: reserve, take the payment, ship; and back, where one is
//! refused.

use crate::{
    orders::{OrderCommand, OrderPlaced},
    parcels::Send,
    payments::PaymentCommand,
    stock::StockCommand,
};
use factum::app::{
    prelude::*,
    process::{Progress, Saga},
};

#[derive(Clone, Debug, CommandSet)]
pub(crate) enum Step {
    Order(OrderCommand),
    Stock(StockCommand),
    Payment(PaymentCommand),
    Send(Send),
}

/// What is remembered of the order between the steps.
#[data]
pub(crate) struct Fulfilment {
    placed: Option<OrderPlaced>,
    progress: Progress,
}

impl Process for Fulfilment {
    const NAME: &str = "fulfilment";
    type Event = OrderPlaced;
    type Command = Step;

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        if let Input::Event(placed) = &input {
            self.placed = Some(placed.clone());
        }
        let Some(OrderPlaced { order, customer: wallet, article, count, cents }) =
            self.placed.clone()
        else {
            return steps;
        };
        let (id, stock) = (|| order.clone(), article.clone());
        Saga::of(steps)
            .undo(OrderCommand::cancel(id()))
            .step("reserve", StockCommand::Reserve { stock: stock.clone(), order: id(), count })
            .undo(StockCommand::Release { stock, order: id() })
            .step("pay", PaymentCommand::Take { wallet, order: id(), cents })
            .step("ship", Send { parcel: id(), article, count })
            .step("complete", OrderCommand::Complete { order: id() })
            .run(&mut self.progress, input)
    }
}
