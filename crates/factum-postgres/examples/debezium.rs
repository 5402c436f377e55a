//! Debezium's real engine reads the outbox: what is committed comes out of its event router once,
//! under the topic, key, id, type and payload of the message, in order; what a relay does to the
//! rows does not; and after a `kill -9` it goes on.
//!
//! `cargo run -p factum-postgres --features app --example debezium`. It starts a PostgreSQL server
//! and the engine, and installs them first where they are missing (240 MB, and Java).

#![allow(clippy::print_stdout, reason = "what a program says to whoever runs it")]

use factum_app::{
    message::{Message, Outgoing},
    outbox::{Claim, Outbox, Outcome, Settled},
};
use factum_core::Timestamp;
use factum_postgres::{
    Options, PostgresOutbox,
    sqlx::{PgPool, postgres::PgPoolOptions},
};
use factum_services::{debezium::Debezium, postgres::Postgres};
use std::{
    error::Error,
    time::{Duration, Instant},
};

/// Of each message, the payload's beginning in base64: `{"number":`.
const PAYLOAD: &str = "eyJudW1iZXIiO";
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Postgres::start()?;
    let pool = PgPoolOptions::new().connect(&server.url()).await?;
    let outbox = PostgresOutbox::open(pool.clone(), Options::default()).await?;
    let mut engine = Debezium::follow(&server, "outbox", "factum.factum_outbox")?;
    println!("Debezium follows factum.factum_outbox");
    enqueue(&pool, &outbox, 1..=3).await?;
    let mut undone = pool.begin().await?;
    outbox.enqueue(&mut undone, &[message(0)]).await?;
    undone.rollback().await?;
    relay(&outbox).await?;
    wait(&engine, 3).await?;
    engine.kill9()?;
    enqueue(&pool, &outbox, 4..=6).await?;
    engine.restart(&server)?;
    wait(&engine, 6).await?;
    for record in engine.records() {
        println!("{}\t{}\t{}", record.topic, record.key, record.value);
    }
    check(&engine)
}

fn message(number: u64) -> Outgoing {
    let message = Message::new(format!("id-{number}"), "/orders", "order.placed").key("order-7");
    let message = message.data("application/json", format!("{{\"number\":{number}}}"));
    Outgoing::new("orders.placed", message.with("traceparent", "00-1-2-01"))
}

async fn enqueue(
    pool: &PgPool,
    outbox: &PostgresOutbox,
    numbers: impl Iterator<Item = u64>,
) -> Result<(), Box<dyn Error>> {
    for number in numbers {
        let mut transaction = pool.begin().await?;
        outbox.enqueue(&mut transaction, &[message(number)]).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// What a relay does to the rows, and the end of old ones.
async fn relay(outbox: &PostgresOutbox) -> Result<(), Box<dyn Error>> {
    let (now, until) = (Timestamp(1), Timestamp(2));
    let claim = Claim { relay: "one".into(), rows_max: 9, now, until };
    let rows = outbox.claim(claim).await?;
    let settled =
        rows.iter().map(|row| Settled { sequence: row.sequence, outcome: Outcome::Published });
    outbox.settle("one", settled.collect(), now).await?;
    outbox.sweep(until, 9).await?;
    Ok(())
}

async fn wait(engine: &Debezium, count: usize) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    while engine.records().len() < count {
        if began.elapsed() > LIMIT {
            return Err(format!("{count} records do not come: {:?}", engine.records()).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Each message, in order; one may come again after the kill, as with every relay.
fn check(engine: &Debezium) -> Result<(), Box<dyn Error>> {
    let mut next = 1;
    for record in engine.records() {
        let wrong = || format!("not as enqueued: {record:?}");
        let number = (1..=6).find(|number| record.value.contains(&format!("\"id-{number}\"")));
        let number = number.ok_or_else(wrong)?;
        let is_whole = record.topic == "orders.placed"
            && record.key == "\"order-7\""
            && [PAYLOAD, "\"order.placed\"", "00-1-2-01", "/orders"]
                .iter()
                .all(|part| record.value.contains(part));
        if !is_whole || number > next {
            return Err(wrong().into());
        }
        next = next.max(number + 1);
    }
    if next < 7 {
        return Err(format!("{} messages are missing", 7 - next).into());
    }
    println!("all six, in order");
    Ok(())
}
