//! Four services, each a process with a database, an outbox and an inbox of its own, over a broker:
//! orders come in, everything is killed now and then, and in the end money and stock add up.
//!
//! `cargo run -p shop-services -- --broker nats --orders 2000`
#![allow(clippy::print_stdout, reason = "an example prints")]

mod args;
mod audit;
mod broker;
mod service;
mod services;
mod timeline;
mod world;

use args::{Args, Run};
use audit::{Given, Stores};
use factum::app::prelude::*;
use services::{inventory::StockCommand, order::OrderCommand, payment::PaymentCommand};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use world::World;

/// How long everything may take to settle after the last order.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// How many orders are placed side by side.
const PLACED_AT_ONCE: usize = 16;

#[tokio::main]
async fn main() -> Result {
    match Args::read(std::env::args().skip(1))? {
        Args::Service(service) => service::run(&service).await,
        Args::Run(run) => shop(&run).await,
    }
}

async fn shop(run: &Run) -> Result {
    let how = if run.orchestrated { "orchestrated" } else { "choreographed" };
    println!("{} orders, {how} over {}, seed {}\n", run.orders, run.broker, run.seed);
    let world = Arc::new(World::start(&run.broker, run.orchestrated).await?);
    let stores = Stores::open(&world).await?;
    let given = supply(run, &world).await?;
    let over = Arc::new(AtomicBool::new(run.calm));
    let chaos = {
        let (world, over, seed) = (world.clone(), over.clone(), run.seed);
        let kill = move || kill_at_random(&world, &over, seed);
        tokio::task::spawn_blocking(move || kill().map_err(|error| error.to_string()))
    };
    let begun = Instant::now();
    place(run, &world).await?;
    println!("{} orders placed in {:.1} s", run.orders, begun.elapsed().as_secs_f64());
    over.store(true, Ordering::Relaxed);
    for line in chaos.await?? {
        println!("  {line}");
    }
    let outcome = settled(&stores, &given).await?;
    println!("all settled after {:.1} s: {outcome:?}\n", begun.elapsed().as_secs_f64());
    let lost = given.orders.iter().find(|order| services::shipping::is_lost(order));
    if let Some(order) = lost {
        println!("What happened to the order {order}:");
        for line in timeline::of(order, &service::NAMES, &stores.all).await? {
            println!("{line}");
        }
    }
    Ok(())
}

/// Twenty articles, of which the last is scarce; fifty customers, of whom the last is poor.
async fn supply(run: &Run, world: &World) -> Result<Given> {
    let inventory = App::new(service::connect(world.url(1)?).await?);
    let payment = App::new(service::connect(world.url(2)?).await?);
    let (mut stock, mut money) = (BTreeMap::new(), BTreeMap::new());
    for number in 0..20 {
        let (article, count) = (article(number), if number == 19 { 3 } else { run.orders * 3 });
        let add = StockCommand::Add { stock: article.clone(), count };
        inventory.execute(add).key(article.clone()).await?;
        stock.insert(article, count);
    }
    for number in 0..50 {
        let (wallet, cents) = (customer(number), if number == 49 { 500 } else { 100_000_000 });
        let allow = PaymentCommand::Allow { wallet: wallet.clone(), cents };
        payment.execute(allow).key(wallet.clone()).await?;
        money.insert(wallet, cents);
    }
    let orders = (0..run.orders).map(|number| format!("{number:05}")).collect();
    Ok(Given { orders, stock, money })
}

fn article(number: u32) -> String {
    format!("article{:02}", number % 20)
}

fn customer(number: u32) -> String {
    format!("customer{:02}", number % 50)
}

/// Places all orders, each once, however often that has to be tried.
async fn place(run: &Run, world: &World) -> Result {
    let front = App::new(service::connect(world.url(0)?).await?);
    let mut placing = tokio::task::JoinSet::new();
    for number in 0..run.orders {
        if placing.len() >= PLACED_AT_ONCE {
            placing.join_next().await.transpose()?;
        }
        let front = front.clone();
        placing.spawn(async move { place_one(&front, number).await });
    }
    while placing.join_next().await.transpose()?.is_some() {}
    Ok(())
}

async fn place_one(front: &App, number: u32) {
    let (order, count) = (format!("{number:05}"), 1 + number % 3);
    let place = OrderCommand::Place {
        order: order.clone(),
        customer: customer(number),
        article: article(number),
        count,
        cents: u64::from(count) * 199,
    };
    // The key makes it one order, whatever answer got lost.
    while front.execute(place.clone()).key(order.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kills a service, the database server or the broker, one after the other, until it is over.
fn kill_at_random(world: &World, over: &AtomicBool, seed: u64) -> Result<Vec<String>> {
    let (mut random, begun, mut killed) = (seed, Instant::now(), Vec::new());
    while !over.load(Ordering::Relaxed) {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = usize::try_from(random >> 33)?;
        std::thread::sleep(Duration::from_millis(300 + (draw as u64 >> 8) % 700));
        let who = match draw % 6 {
            service @ 0..=3 => world.kill_service(service)?,
            5 if world.broker_is_durable()? => world.kill_broker()?,
            _ => world.kill_postgres()?,
        };
        killed.push(format!("{:>5.1} s: {who} killed", begun.elapsed().as_secs_f64()));
    }
    Ok(killed)
}

/// Waits until nothing is pending, and checks that it adds up.
async fn settled(stores: &Stores, given: &Given) -> Result<audit::Outcome> {
    let begun = Instant::now();
    loop {
        match stores.audit(given).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) if begun.elapsed() > SETTLE_LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}
