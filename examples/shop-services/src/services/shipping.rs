//! The shipping service: a parcel for each order that is paid; some cannot be delivered.

use super::{asks::SendAsked, payment::PaymentTaken};
use factum::app::{
    bus::{Delivery, HandlerError},
    prelude::*,
};

#[events]
pub(crate) enum ParcelEvent {
    #[event("parcel.shipped", stream = "parcel-{order}")]
    ParcelShipped {
        #[tag]
        order: String,
        stock: String,
        count: u32,
    },
    #[event("parcel.failed", stream = "parcel-{order}")]
    ParcelFailed {
        #[tag]
        order: String,
        wallet: String,
        stock: String,
    },
}

/// A parcel: what decides, and the row of the view.
#[data]
pub(crate) struct Parcel {
    pub(crate) shipped: u32,
    pub(crate) failed: u32,
}

impl State for Parcel {
    type Event = ParcelEvent;

    fn evolve(self, event: &ParcelEvent) -> Self {
        match event {
            ParcelEvent::ParcelShipped(_) => Self { shipped: self.shipped + 1, ..self },
            ParcelEvent::ParcelFailed(_) => Self { failed: self.failed + 1, ..self },
        }
    }
}

impl Projection for Parcel {
    const NAME: &str = "parcels";
    const KEY: Key = Key::Tag("order");
    type Event = ParcelEvent;

    fn apply(row: &mut Row<Self>, event: &Envelope<ParcelEvent>) {
        row.evolve(event);
    }
}

#[command("parcel.send")]
pub(crate) struct Send {
    #[tag]
    pub(crate) order: String,
    pub(crate) wallet: String,
    pub(crate) stock: String,
    pub(crate) count: u32,
}

/// Every seventh address does not exist.
pub(crate) fn is_lost(order: &str) -> bool {
    let sum = |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
    order.bytes().fold(0, sum) % 7 == 0
}

impl Decision for Send {
    type State = Parcel;
    type Refusal = std::convert::Infallible;

    fn decide(&self, _: &Parcel, _: &Ctx) -> Outcome<Self> {
        let Self { order, wallet, stock, count } = self.clone();
        match is_lost(&order) {
            true => emit(ParcelFailed { order, wallet, stock }),
            false => emit(ParcelShipped { order, stock, count }),
        }
    }
}

/// Its part where the order service orchestrates.
pub(crate) async fn obey(delivery: Delivery<SendAsked>) -> Result<(), HandlerError> {
    let SendAsked { order, wallet, stock, count } = delivery.event.clone();
    delivery.execute(Send { order, wallet, stock, count }).await?;
    Ok(())
}

/// Shipping's part of the choreography.
pub(crate) async fn react(delivery: Delivery<PaymentTaken>) -> Result<(), HandlerError> {
    let PaymentTaken { wallet, order, stock, count, .. } = delivery.event.clone();
    delivery.execute(Send { order, wallet, stock, count }).await?;
    Ok(())
}
