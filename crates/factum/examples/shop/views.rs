//! What is read: a customer's orders, the revenue of each day, and what the carrier takes along.

use crate::{orders::OrderPlaced, parcels::ParcelSent, payments::PaymentTaken};
use factum::app::prelude::*;

#[data]
pub(crate) struct CustomerOrders {
    pub(crate) orders: Vec<String>,
}

impl Projection for CustomerOrders {
    const NAME: &str = "shop-customers";
    const KEY: Key = Key::Tag("customer");
    type Event = OrderPlaced;

    fn apply(row: &mut Row<Self>, event: &Envelope<OrderPlaced>) {
        row.upsert(|row| row.orders.push(event.event.order.clone()));
    }
}

/// The day on which something happened, in UTC.
fn day<E>(event: &Envelope<E>) -> Vec<String> {
    event.occurred_at().to_string().split('T').next().map(str::to_owned).into_iter().collect()
}

#[data]
pub(crate) struct DailyRevenue {
    pub(crate) cents: u64,
}

impl Projection for DailyRevenue {
    const NAME: &str = "shop-revenue";
    const KEY: Key = Key::Computed;
    type Event = PaymentTaken;

    fn keys(event: &Envelope<PaymentTaken>) -> Vec<String> {
        day(event)
    }

    fn apply(row: &mut Row<Self>, event: &Envelope<PaymentTaken>) {
        row.upsert(|row| row.cents += event.event.cents);
    }
}

#[data]
pub(crate) struct Manifest {
    pub(crate) parcels: Vec<String>,
}

impl Projection for Manifest {
    const NAME: &str = "shop-manifest";
    const KEY: Key = Key::Computed;
    type Event = ParcelSent;

    fn keys(event: &Envelope<ParcelSent>) -> Vec<String> {
        day(event)
    }

    fn apply(row: &mut Row<Self>, event: &Envelope<ParcelSent>) {
        let ParcelSent { parcel, article, count } = &event.event;
        row.upsert(|row| row.parcels.push(format!("{parcel} ({count} {article})")));
    }
}
