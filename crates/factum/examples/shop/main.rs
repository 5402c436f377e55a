//! A shop: an order reserves stock, takes a payment and ships, or gives back what it had. One
//! process orders the steps and compensates them; four views are kept beside, and other services
//! are told how it ended. What is made of what is drawn in `shop.mmd`, and what leaves is described
//! in `shop.asyncapi.json`; both are made from the code (`FACTUM_DESCRIBE=update cargo test`).
//!
//! `cargo run --example shop`; with `-- choreographed` handlers do it without a coordinator, and
//! all that is read is the same. `FACTUM_URL` names another store than the one in memory:
//! `file:./shop`, or `factum://127.0.0.1:2113` where `factum dev` runs.
#![allow(clippy::print_stdout, reason = "an example prints")]

mod choreography;
mod fulfilment;
mod orders;
mod parcels;
mod payments;
mod stock;
mod told;
mod views;

use factum::{
    Read,
    app::{
        AppBuilder, EventStore, Metadata, Query,
        consumer::Finally,
        message::{Consumer, Deliveries, MemoryBroker, Message, Subscription},
        prelude::*,
    },
};
use fulfilment::Fulfilment;
use orders::{Order, OrderCommand, Status};
use payments::PaymentCommand;
use std::collections::BTreeSet;
use stock::StockCommand;
use views::{CustomerOrders, DailyRevenue, Manifest};

#[tokio::main]
async fn main() -> Result {
    let url = std::env::var("FACTUM_URL").unwrap_or_else(|_| "memory:".to_owned());
    let choreographed = std::env::args().nth(1).as_deref() == Some("choreographed");
    let broker = MemoryBroker::new();
    let told = Subscription::shared("mail", ["shop.order.completed", "shop.order.cancelled"]);
    let mut told = broker.consume(told).await?;
    let builder = shop(factum::open(&url).await?, broker);
    let app = match choreographed {
        true => choreography::handlers(builder).start().await?,
        false => builder.process::<Fulfilment>(OnError::Park).start().await?,
    };
    // Names of its own for each run, so that the example may be run twice over one store.
    let run = app.store().head().await?.to_string();
    println!("A shop, in {url}\n");
    supply(&app, &run).await?;
    let orders = [("ann", 2, 1_200), ("bob", 9, 5_400), ("cem", 1, 600)];
    for (customer, count, cents) in orders {
        buy(&app, &run, (customer, count, cents)).await?;
    }
    show(&app, &run).await?;
    listen(&mut *told, &run, orders.len()).await
}

/// What the shop is made of, whoever orders its steps.
fn shop(store: impl EventStore, broker: MemoryBroker) -> AppBuilder {
    App::builder(store)
        .service("shop", "1.0")
        .decision::<OrderCommand>()
        .decision::<StockCommand>()
        .decision::<PaymentCommand>()
        .decision::<parcels::Send>()
        .projection::<Order>(OnError::Stop)
        .projection::<CustomerOrders>(OnError::Park)
        .projection::<DailyRevenue>(OnError::Park)
        .projection::<Manifest>(OnError::Park)
        .publish::<told::Orders>(OnError::retry(u32::MAX, Finally::Stop), broker)
}

/// What another service hears of the orders of this run. What an earlier one did not know to be
/// published comes again; and of different orders any may come first.
async fn listen(told: &mut dyn Deliveries, run: &str, orders: usize) -> Result {
    let mut heard = BTreeSet::new();
    while heard.len() < orders {
        let delivered = told.next().await?;
        if let Ok(Message { name, subject: Some(order), data, .. }) = &delivered.message
            && order.ends_with(&format!(".{run}"))
        {
            heard.insert(format!("  {name} {}", String::from_utf8_lossy(data)));
        }
        delivered.ack().await?;
    }
    println!("\nTold to others:");
    heard.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Three lamps; Ann and Bob can pay anything, Cem nothing.
async fn supply(app: &App, run: &str) -> Result {
    let lamp = format!("lamp.{run}");
    app.execute(StockCommand::Add { stock: lamp, count: 3 }).await?;
    for (customer, cents) in [("ann", 100_000), ("bob", 100_000), ("cem", 0)] {
        let wallet = format!("{customer}.{run}");
        app.execute(PaymentCommand::Allow { wallet, cents }).await?;
    }
    Ok(())
}

/// Places an order, and waits for what becomes of it.
async fn buy(app: &App, run: &str, (customer, count, cents): (&str, u32, u64)) -> Result {
    let (order, article) = (format!("{customer}.{run}"), format!("lamp.{run}"));
    let customer = order.clone();
    let place = OrderCommand::Place { order: order.clone(), customer, article, count, cents };
    let placed = app.execute(place).actor("web").await?;
    let settled = |order: &Order| matches!(order.status, Status::Completed | Status::Cancelled);
    let became = app.view::<Order>().watch(&order).until(settled).await?;
    let Order { count, status, reason, .. } = became;
    println!("Order {order}: {count} lamps, {status:?} {reason}");
    match app.process::<Fulfilment>().status(&order).await? {
        Some(_) => println!("{}", app.process::<Fulfilment>().timeline(&order).await?),
        None => trail(app, &placed).await?,
    }
    Ok(())
}

/// Everything that one command led to, whoever did it.
async fn trail(app: &App, placed: &Receipt) -> Result {
    let since = Read { from: Some(placed.position.0), ..Read::query(Query::All) };
    for event in app.store().read(since).await?.events().await? {
        if Metadata::of(&event).correlation == Some(placed.correlation) {
            println!("  {:<16} {}", event.event_type().to_string(), event.stream());
        }
    }
    println!();
    Ok(())
}

async fn show(app: &App, run: &str) -> Result {
    let head = app.store().head().await?;
    let left = app.state::<stock::Stock>(format!("lamp.{run}")).await?;
    println!("Left in stock: {} lamps", left.free());
    println!("\nOrders by customer:");
    for row in app.view::<CustomerOrders>().at_least(head).list().await?.rows {
        println!("  {:<12} {}", row.key, row.value.orders.join(", "));
    }
    println!("\nRevenue by day:");
    for row in app.view::<DailyRevenue>().at_least(head).list().await?.rows {
        println!("  {}  {:>3}.{:02}", row.key, row.value.cents / 100, row.value.cents % 100);
    }
    println!("\nTo be carried, by day:");
    for row in app.view::<Manifest>().at_least(head).list().await?.rows {
        println!("  {}  {}", row.key, row.value.parcels.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum::app::{MemoryStore, describe};

    #[test]
    fn what_is_drawn_and_described_is_what_there_is() {
        let shop = shop(MemoryStore::new(), MemoryBroker::new());
        let shop = shop.process::<Fulfilment>(OnError::Park).describe();
        describe::check("examples/shop/shop.mmd", &shop.mermaid());
        describe::check("examples/shop/shop.asyncapi.json", &shop.asyncapi_text());
    }
}
