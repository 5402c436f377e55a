//! How many messages a second are published with confirmation: batches of 256, one after the
//! other, over the cluster at `FACTUM_KAFKA_URL`, or over librdkafka's mock cluster. To be run with
//! `--release`.

#![allow(clippy::print_stdout, reason = "a program that measures")]

use factum_app::message::{Message, Outgoing, Publisher};
use factum_kafka::{KafkaPublisher, NewTopics, Options, rdkafka::mocking::MockCluster};
use std::{error::Error, time::Instant};

const BATCH: u32 = 256;
const BATCHES: u32 = 200;
const BYTES: usize = 256;
const TOPIC: &str = "factum-throughput";

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("FACTUM_KAFKA_URL").ok();
    let mock = if url.is_none() { Some(MockCluster::new(1)?) } else { None };
    if let Some(mock) = &mock {
        mock.create_topic(TOPIC, 4, 1)?;
    }
    let servers = url.or_else(|| mock.as_ref().map(MockCluster::bootstrap_servers));
    let create = Some(NewTopics { partitions: 4, replication: 1 });
    let options = Options { create, ..Options::new(servers.unwrap_or_default()) };
    let publisher = KafkaPublisher::connect(options).await?;
    let batch: Vec<Outgoing> = (0..BATCH).map(outgoing).collect();
    // Topics are looked for, connections made.
    confirmed(&publisher, &batch).await?;
    let began = Instant::now();
    for _ in 0..BATCHES {
        confirmed(&publisher, &batch).await?;
    }
    let rate = f64::from(BATCH * BATCHES) / began.elapsed().as_secs_f64();
    println!("{rate:.0} messages/s, {BATCH} a batch, {BYTES} bytes each");
    Ok(())
}

fn outgoing(n: u32) -> Outgoing {
    let message = Message::new(n.to_string(), "/throughput", "throughput.measured");
    let message = message.key(format!("key-{}", n % 64));
    Outgoing::new(TOPIC, message.data("application/octet-stream", vec![b'x'; BYTES]))
}

async fn confirmed(publisher: &KafkaPublisher, batch: &[Outgoing]) -> Result<(), Box<dyn Error>> {
    for outcome in publisher.publish(batch).await {
        outcome?;
    }
    Ok(())
}
