//! The payment service: what customers have, and what was taken and given back.

use super::{
    asks::{RefundAsked, TakeAsked},
    inventory::StockReserved,
    shipping::ParcelFailed,
};
use factum::app::{
    bus::{Delivery, HandlerError},
    prelude::*,
};
use std::collections::BTreeMap;

#[events]
pub(crate) enum PaymentEvent {
    #[event("payment.allowed", stream = "wallet-{wallet}")]
    PaymentAllowed {
        #[tag]
        wallet: String,
        cents: u64,
    },
    #[event("payment.taken", stream = "wallet-{wallet}")]
    PaymentTaken {
        #[tag]
        wallet: String,
        order: String,
        stock: String,
        count: u32,
        cents: u64,
    },
    #[event("payment.declined", stream = "wallet-{wallet}")]
    PaymentDeclined {
        #[tag]
        wallet: String,
        order: String,
        stock: String,
    },
    #[event("payment.refunded", stream = "wallet-{wallet}")]
    PaymentRefunded {
        #[tag]
        wallet: String,
        order: String,
        cents: u64,
    },
}

/// A customer's money: what decides, and the row of the view.
#[data]
pub(crate) struct Wallet {
    pub(crate) cents: u64,
    /// What each order cost and was not given back.
    pub(crate) taken: BTreeMap<String, u64>,
}

impl State for Wallet {
    type Event = PaymentEvent;

    fn evolve(mut self, event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::PaymentAllowed(one) => self.cents += one.cents,
            PaymentEvent::PaymentTaken(one) => {
                self.cents = self.cents.saturating_sub(one.cents);
                self.taken.insert(one.order.clone(), one.cents);
            }
            PaymentEvent::PaymentDeclined(_) => {}
            PaymentEvent::PaymentRefunded(one) => {
                self.cents += one.cents;
                self.taken.remove(&one.order);
            }
        }
        self
    }
}

impl Projection for Wallet {
    const NAME: &str = "wallets";
    const KEY: Key = Key::Tag("wallet");
    type Event = PaymentEvent;

    fn apply(row: &mut Row<Self>, event: &Envelope<PaymentEvent>) {
        row.evolve(event);
    }
}

#[command("payment")]
pub(crate) enum PaymentCommand {
    Allow {
        #[tag]
        wallet: String,
        cents: u64,
    },
    Take {
        #[tag]
        wallet: String,
        order: String,
        stock: String,
        count: u32,
        cents: u64,
    },
    Refund {
        #[tag]
        wallet: String,
        order: String,
    },
}

impl Decision for PaymentCommand {
    type State = Wallet;
    type Refusal = std::convert::Infallible;

    fn decide(&self, now: &Wallet, _: &Ctx) -> Outcome<Self> {
        match self.clone() {
            Self::Allow { wallet, cents } => emit(PaymentAllowed { wallet, cents }),
            Self::Take { wallet, order, stock, cents, .. } if cents > now.cents => {
                emit(PaymentDeclined { wallet, order, stock })
            }
            Self::Take { wallet, order, stock, count, cents } => {
                emit(PaymentTaken { wallet, order, stock, count, cents })
            }
            Self::Refund { wallet, order } => match now.taken.get(&order) {
                Some(cents) => emit(PaymentRefunded { wallet, order, cents: *cents }),
                None => nothing("nothing was taken"),
            },
        }
    }
}

/// What concerns money.
#[derive(Clone, Debug, EventSet)]
pub(crate) enum Outside {
    Reserved(StockReserved),
    Failed(ParcelFailed),
}

/// What it is asked for.
#[derive(Clone, Debug, EventSet)]
pub(crate) enum Asked {
    Take(TakeAsked),
    Refund(RefundAsked),
}

/// Its part where the order service orchestrates.
pub(crate) async fn obey(delivery: Delivery<Asked>) -> Result<(), HandlerError> {
    let command = match delivery.event.clone() {
        Asked::Take(TakeAsked { order, wallet, stock, count, cents }) => {
            PaymentCommand::Take { wallet, order, stock, count, cents }
        }
        Asked::Refund(RefundAsked { order, wallet }) => PaymentCommand::Refund { wallet, order },
    };
    delivery.execute(command).await?;
    Ok(())
}

/// The payments' part of the choreography.
pub(crate) async fn react(delivery: Delivery<Outside>) -> Result<(), HandlerError> {
    let command = match delivery.event.clone() {
        Outside::Reserved(StockReserved { stock, order, customer, count, cents }) => {
            PaymentCommand::Take { wallet: customer, order, stock, count, cents }
        }
        Outside::Failed(ParcelFailed { order, wallet, .. }) => {
            PaymentCommand::Refund { wallet, order }
        }
    };
    delivery.execute(command).await?;
    Ok(())
}
