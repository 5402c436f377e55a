//! The same without a coordinator: each handler knows the event that it waits for, and what it does
//! about it. What comes again is done once, as every command has its event for a key.

use crate::{
    orders::{Order, OrderCommand, OrderPlaced},
    parcels::{ParcelSent, Send},
    payments::{PaymentCommand, PaymentTaken},
    stock::{StockCommand, StockReleased, StockReserved},
};
use factum::app::{
    AppBuilder,
    bus::{Delivery, HandlerError},
    prelude::*,
};

/// The handlers, in the order in which an order meets them.
pub(crate) fn handlers(builder: AppBuilder) -> AppBuilder {
    builder
        .on("shop-reserve", OnError::Park, reserve)
        .on("shop-pay", OnError::Park, pay)
        .on("shop-ship", OnError::Park, ship)
        .on("shop-complete", OnError::Park, complete)
        .on("shop-cancel", OnError::Park, cancel)
}

type Handled = Result<(), HandlerError>;

async fn reserve(placed: Delivery<OrderPlaced>) -> Handled {
    let OrderPlaced { order, article: stock, count, .. } = placed.event.clone();
    let reserve = StockCommand::Reserve { stock, order: order.clone(), count };
    if let Reply::Refused(_) = placed.execute(reserve).await? {
        placed.execute(OrderCommand::cancel(order)).await?;
    }
    Ok(())
}

async fn pay(reserved: Delivery<StockReserved>) -> Handled {
    let StockReserved { stock, order, .. } = reserved.event.clone();
    let Order { customer: wallet, cents, .. } = reserved.app().state::<Order>(&order).await?;
    let take = PaymentCommand::Take { wallet, order: order.clone(), cents };
    if let Reply::Refused(_) = reserved.execute(take).await? {
        reserved.execute(StockCommand::Release { stock, order }).await?;
    }
    Ok(())
}

async fn ship(taken: Delivery<PaymentTaken>) -> Handled {
    let parcel = taken.event.order.clone();
    let Order { article, count, .. } = taken.app().state::<Order>(&parcel).await?;
    taken.execute(Send { parcel, article, count }).await?;
    Ok(())
}

async fn complete(sent: Delivery<ParcelSent>) -> Handled {
    sent.execute(OrderCommand::Complete { order: sent.event.parcel.clone() }).await?;
    Ok(())
}

async fn cancel(released: Delivery<StockReleased>) -> Handled {
    released.execute(OrderCommand::cancel(released.event.order.clone())).await?;
    Ok(())
}
