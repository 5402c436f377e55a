//! The process that orders the steps: reserve, take the payment, ship; and back, where one is
//! refused.

use crate::{
    orders::{OrderCommand, OrderPlaced},
    payments::PaymentCommand,
    stock::StockCommand,
};
use factum::app::prelude::*;
use std::convert::Infallible;

#[event("parcel.sent")]
pub(crate) struct ParcelSent {
    pub(crate) parcel: String,
    pub(crate) article: String,
    pub(crate) count: u32,
}

/// Sending needs no state: whoever asks has paid.
#[data]
pub(crate) struct Parcel;

impl State for Parcel {
    type Event = ParcelSent;

    fn evolve(self, _: &ParcelSent) -> Self {
        self
    }
}

#[command("parcel.send")]
pub(crate) struct Send {
    parcel: String,
    article: String,
    count: u32,
}

impl Decision for Send {
    type State = Parcel;
    type Refusal = Infallible;

    fn decide(&self, _: &Parcel, _: &Ctx) -> Outcome<Self> {
        let Self { parcel, article, count } = self.clone();
        emit(ParcelSent { parcel, article, count })
    }
}

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
}

impl Process for Fulfilment {
    const NAME: &str = "fulfilment";
    type Event = OrderPlaced;
    type Command = Step;

    fn route(event: &OrderPlaced) -> Route {
        Route::start(&event.order)
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        if let Input::Event(placed) = &input {
            self.placed = Some(placed.clone());
        }
        let Some(OrderPlaced { order, customer, article, count, cents }) = self.placed.clone()
        else {
            return steps;
        };
        let stock = article.clone();
        match input {
            Input::Event(_) => steps
                .compensate_with(OrderCommand::Cancel {
                    order: order.clone(),
                    reason: "it cannot be fulfilled".to_owned(),
                })
                .send(StockCommand::Reserve { stock, order, count }),
            Input::Replied(command, Reply::Refused(why)) => {
                steps.fail(format!("{}: {why}", command.name()))
            }
            Input::Replied(Step::Stock(StockCommand::Reserve { .. }), _) => steps
                .compensate_with(StockCommand::Release { stock, order: order.clone() })
                .send(PaymentCommand::Take { wallet: customer, order, cents }),
            Input::Replied(Step::Payment(_), _) => {
                steps.send(Send { parcel: order, article, count })
            }
            Input::Replied(Step::Send(_), _) => steps.send(OrderCommand::Complete { order }).end(),
            _ => steps,
        }
    }
}
