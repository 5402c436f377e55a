//! What is in stock, and for whom it is reserved.

use factum::app::prelude::*;
use std::collections::BTreeMap;

#[events]
pub(crate) enum StockEvent {
    #[event("stock.added")]
    StockAdded { stock: String, count: u32 },
    #[event("stock.reserved")]
    StockReserved { stock: String, order: String, count: u32 },
    #[event("stock.released")]
    StockReleased { stock: String, order: String },
}

#[data]
pub(crate) struct Stock {
    count: u32,
    reserved: BTreeMap<String, u32>,
}

impl Stock {
    /// Not reserved by anybody.
    pub(crate) fn free(&self) -> u32 {
        self.count.saturating_sub(self.reserved.values().sum())
    }
}

impl State for Stock {
    type Event = StockEvent;

    fn evolve(mut self, event: &StockEvent) -> Self {
        match event {
            StockEvent::StockAdded(added) => self.count += added.count,
            StockEvent::StockReserved(one) => {
                self.reserved.insert(one.order.clone(), one.count);
            }
            StockEvent::StockReleased(one) => {
                self.reserved.remove(&one.order);
            }
        }
        self
    }
}

#[command("stock")]
pub(crate) enum StockCommand {
    Add { stock: String, count: u32 },
    Reserve { stock: String, order: String, count: u32 },
    Release { stock: String, order: String },
}

#[data]
pub(crate) struct Short {
    by: u32,
}

impl Decision for StockCommand {
    type State = Stock;
    type Refusal = Short;

    fn decide(&self, now: &Stock, _: &Ctx) -> Outcome<Self> {
        match self.clone() {
            Self::Add { stock, count } => emit(StockAdded { stock, count }),
            Self::Reserve { order, .. } if now.reserved.contains_key(&order) => {
                nothing("it is reserved")
            }
            Self::Reserve { stock, order, count } => {
                let by = count.saturating_sub(now.free());
                ensure(by == 0, Short { by })?;
                emit(StockReserved { stock, order, count })
            }
            Self::Release { stock, order } if now.reserved.contains_key(&order) => {
                emit(StockReleased { stock, order })
            }
            Self::Release { .. } => nothing("nothing is reserved"),
        }
    }
}
