//! The inventory service: what is in stock, and for whom it is reserved.

use super::{
    asks::{ReleaseAsked, ReserveAsked},
    order::OrderPlaced,
    payment::PaymentDeclined,
    shipping::ParcelFailed,
};
use factum::app::{
    bus::{Delivery, HandlerError},
    prelude::*,
};
use std::collections::BTreeMap;

#[events]
pub(crate) enum StockEvent {
    #[event("stock.added")]
    StockAdded { stock: String, count: u32 },
    #[event("stock.reserved")]
    StockReserved { stock: String, order: String, customer: String, count: u32, cents: u64 },
    #[event("stock.refused")]
    StockRefused { stock: String, order: String },
    #[event("stock.released")]
    StockReleased { stock: String, order: String, count: u32 },
}

/// An article: what decides, and the row of the view.
#[data]
pub(crate) struct Stock {
    pub(crate) added: u32,
    /// Who has it, and how much.
    pub(crate) reserved: BTreeMap<String, u32>,
}

impl Stock {
    pub(crate) fn free(&self) -> u32 {
        self.added.saturating_sub(self.reserved.values().sum())
    }
}

impl State for Stock {
    type Event = StockEvent;

    fn evolve(mut self, event: &StockEvent) -> Self {
        match event {
            StockEvent::StockAdded(one) => self.added += one.count,
            StockEvent::StockReserved(one) => {
                *self.reserved.entry(one.order.clone()).or_default() += one.count;
            }
            StockEvent::StockReleased(one) => {
                self.reserved.remove(&one.order);
            }
            StockEvent::StockRefused(_) => {}
        }
        self
    }
}

impl Projection for Stock {
    const NAME: &str = "stock";
    type Event = StockEvent;

    fn apply(row: &mut Row<Self>, event: &Envelope<StockEvent>) {
        row.evolve(event);
    }
}

#[command("stock")]
pub(crate) enum StockCommand {
    Add { stock: String, count: u32 },
    Reserve { stock: String, order: String, customer: String, count: u32, cents: u64 },
    Release { stock: String, order: String },
}

impl Decision for StockCommand {
    type State = Stock;
    type Refusal = std::convert::Infallible;

    fn decide(&self, now: &Stock, _: &Ctx) -> Outcome<Self> {
        match self.clone() {
            Self::Add { stock, count } => emit(StockAdded { stock, count }),
            Self::Reserve { stock, order, count, .. } if count > now.free() => {
                emit(StockRefused { stock, order })
            }
            Self::Reserve { stock, order, customer, count, cents } => {
                emit(StockReserved { stock, order, customer, count, cents })
            }
            Self::Release { stock, order } => match now.reserved.get(&order) {
                Some(count) => emit(StockReleased { stock, order, count: *count }),
                None => nothing("nothing is reserved"),
            },
        }
    }
}

/// What concerns the stock.
#[derive(Clone, Debug, EventSet)]
pub(crate) enum Outside {
    Placed(OrderPlaced),
    Declined(PaymentDeclined),
    Failed(ParcelFailed),
}

/// What it is asked for.
#[derive(Clone, Debug, EventSet)]
pub(crate) enum Asked {
    Reserve(ReserveAsked),
    Release(ReleaseAsked),
}

/// Its part where the order service orchestrates.
pub(crate) async fn obey(delivery: Delivery<Asked>) -> Result<(), HandlerError> {
    let command = match delivery.event.clone() {
        Asked::Reserve(ReserveAsked { order, customer, stock, count, cents }) => {
            StockCommand::Reserve { stock, order, customer, count, cents }
        }
        Asked::Release(ReleaseAsked { order, stock }) => StockCommand::Release { stock, order },
    };
    delivery.execute(command).await?;
    Ok(())
}

/// The inventory's part of the choreography.
pub(crate) async fn react(delivery: Delivery<Outside>) -> Result<(), HandlerError> {
    let command = match delivery.event.clone() {
        Outside::Placed(OrderPlaced { order, customer, article, count, cents }) => {
            StockCommand::Reserve { stock: article, order, customer, count, cents }
        }
        Outside::Declined(PaymentDeclined { order, stock, .. })
        | Outside::Failed(ParcelFailed { order, stock, .. }) => {
            StockCommand::Release { stock, order }
        }
    };
    delivery.execute(command).await?;
    Ok(())
}
