//! How many messages a second are published with confirmation, and consumed with confirmed
//! acknowledgements: batches of 256, 256 bytes each.
//!
//! `cargo run --release -p factum-nats --example throughput -- nats://localhost:4222 [replicas]`

#![allow(clippy::print_stdout, reason = "it is what it is for")]

use factum_app::message::{Consumer, Deliveries, Message, Outgoing, Publisher, Subscription};
use factum_nats::{Nats, Settings, Stream};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{error::Error, time::Instant};

const BATCH: u64 = 256;
const BATCHES: u64 = 80;
/// Of each kind of run, the median is told.
const ROUNDS: usize = 5;
/// How many acknowledgements are waited for at a time.
const ACKS: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let url = words.next().unwrap_or_else(|| "nats://localhost:4222".to_owned());
    let replicas = words.next().map_or(Ok(1), |word| word.parse())?;
    for (keys, partitions) in [(BATCH, 1), (BATCH, 8), (16, 1)] {
        let (mut published, mut consumed) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let name = format!("throughput-{keys}-{partitions}-{round}");
            let stream = Stream::new(&name, [format!("{name}.>")]).replicas(replicas);
            let settings = Settings::new(&url).stream(stream).partitions(partitions).create();
            let nats = Nats::connect(settings).await?;
            let topic = format!("{name}.a");
            let group = Subscription::shared("g", [topic.as_str()]).prefetch(1024);
            let mut deliveries = nats.consume(group).await?;
            published.push(publish(&nats, &topic, keys).await?);
            consumed.push(consume(&mut *deliveries).await?);
        }
        let (published, consumed) = (median(published), median(consumed));
        println!(
            "{keys} keys, partitions {partitions}, replicas {replicas}: \
             {published:.0} published/s, {consumed:.0} consumed/s"
        );
    }
    Ok(())
}

async fn publish(nats: &Nats, topic: &str, keys: u64) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    for batch in 0..BATCHES {
        let one = |number: u64| {
            let message = Message::new(format!("{batch}-{number}"), "/throughput", "tried");
            let key = format!("k{}", number % keys);
            Outgoing::new(topic, message.key(key).data("x/y", vec![7_u8; 256]))
        };
        let batch = (0..BATCH).map(one).collect::<Vec<_>>();
        for outcome in nats.publish(&batch).await {
            outcome?;
        }
    }
    Ok(rate(started))
}

async fn consume(deliveries: &mut dyn Deliveries) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let mut acks = FuturesUnordered::new();
    for _ in 0..BATCH * BATCHES {
        acks.push(deliveries.next().await?.ack());
        if acks.len() >= ACKS {
            acks.next().await.transpose()?;
        }
    }
    while acks.next().await.transpose()?.is_some() {}
    Ok(rate(started))
}

#[allow(clippy::cast_precision_loss, reason = "it is far below 2^52")]
fn rate(since: Instant) -> f64 {
    (BATCH * BATCHES) as f64 / since.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
