//! What the outbox and the inbox cost the database: messages a second that relays claim and mark,
//! with a broker that confirms each batch after 2 ms; how long one takes from its commit to the
//! broker, woken by a notification of another process; and messages a second that a consumer takes
//! in, in transactions of 500.
//!
//! ```text
//! FACTUM_POSTGRES_URL=postgres://localhost/bench \
//!     cargo run --release -p factum-postgres --features app --example outbox
//! ```

#![allow(clippy::print_stdout, reason = "what a program says to whoever runs it")]

use factum_app::{
    TokioWorld,
    message::{Message, Outgoing, PublishError, Publisher},
    outbox::{Outbox, Relay, RelayHandle, RelayOptions},
    world::BoxFuture,
};
use factum_postgres::{
    Options, PostgresInbox, PostgresOutbox,
    sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions, raw_sql},
};
use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const MESSAGES: usize = 40_000;
const BATCH: usize = 500;
const KEYS: usize = 1_000;
/// Of each kind of run, the median is told.
const ROUNDS: usize = 5;
/// Messages whose way is timed, one after the other.
const TIMED: usize = 1_000;
const CONFIRMS_AFTER: Duration = Duration::from_millis(2);

/// A broker that confirms, and says when.
#[derive(Debug)]
struct Confirms(Duration, mpsc::Sender<Instant>);

impl Publisher for Confirms {
    fn max_bytes(&self) -> u64 {
        1 << 20
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async {
            if !self.0.is_zero() {
                tokio::time::sleep(self.0).await;
            }
            let now = Instant::now();
            let full = |_| PublishError::Unavailable { why: "nobody counts".into() };
            batch.iter().map(|_| self.1.try_send(now).map_err(full)).collect()
        })
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = std::env::var("FACTUM_POSTGRES_URL")
        .map_err(|_| "set FACTUM_POSTGRES_URL to a database that may be written to")?;
    let pool = PgPoolOptions::new().max_connections(16).connect(&url).await?;
    let schema = format!("outbox_{}", std::process::id());
    let options = Options { schema: schema.clone(), ..Options::default() };
    let outbox = PostgresOutbox::open(pool.clone(), options.clone()).await?;
    for relays in [1, 2] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            rates.push(relayed(&pool, &outbox, relays).await?);
        }
        println!("{relays} relays: {:.0} messages/s", median(rates));
    }
    latency(&pool, &outbox, PostgresOutbox::open(pool.clone(), options.clone()).await?).await?;
    let inbox = PostgresInbox::open(pool.clone(), options).await?;
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        rates.push(taken_in(&pool, &inbox, round).await?);
    }
    println!("inbox: {:.0} messages/s", median(rates));
    raw_sql(AssertSqlSafe(format!("DROP SCHEMA \"{schema}\" CASCADE"))).execute(&pool).await?;
    Ok(())
}

fn message(number: usize) -> Message {
    let message = Message::new(format!("id-{number}"), "/orders", "order.placed");
    message.key(format!("order-{}", number % KEYS)).data("application/json", vec![b'7'; 256])
}

async fn enqueue(pool: &PgPool, outbox: &PostgresOutbox, batch: &[Outgoing]) -> Outcome<()> {
    let mut transaction = pool.begin().await?;
    outbox.enqueue(&mut transaction, batch).await?;
    transaction.commit().await?;
    Ok(())
}

fn start(outbox: &PostgresOutbox, publisher: Confirms) -> RelayHandle {
    let (world, outbox) = (Arc::new(TokioWorld::default()), Arc::new(outbox.clone()));
    Relay::new(world, outbox, Arc::new(publisher), RelayOptions::default()).start()
}

/// Messages a second, of a table that is full when the relays begin.
async fn relayed(pool: &PgPool, outbox: &PostgresOutbox, relays: usize) -> Outcome<f64> {
    for first in (0..MESSAGES).step_by(BATCH) {
        let batch = (first..first + BATCH).map(|number| Outgoing::new("orders", message(number)));
        enqueue(pool, outbox, &batch.collect::<Vec<_>>()).await?;
    }
    let (confirmed, mut confirmations) = mpsc::channel(MESSAGES);
    let began = Instant::now();
    let relays = (0..relays).map(|_| start(outbox, Confirms(CONFIRMS_AFTER, confirmed.clone())));
    let relays = relays.collect::<Vec<_>>();
    for _ in 0..MESSAGES {
        confirmations.recv().await;
    }
    let rate = rate(began);
    for relay in relays {
        relay.stop().await;
    }
    let waiting = outbox.lag(factum_core::Timestamp(0)).await?.waiting;
    match waiting {
        0 => Ok(rate),
        _ => Err(format!("{waiting} messages are not marked").into()),
    }
}

/// From the commit to the broker, of a relay that hears of it as one of another process does.
async fn latency(pool: &PgPool, here: &PostgresOutbox, there: PostgresOutbox) -> Outcome<()> {
    let (confirmed, mut confirmations) = mpsc::channel(MESSAGES);
    let relay = start(&there, Confirms(Duration::ZERO, confirmed));
    let mut times = Vec::new();
    for number in 0..TIMED {
        enqueue(pool, here, &[Outgoing::new("orders", message(number))]).await?;
        let committed = Instant::now();
        here.wake();
        let confirmed = confirmations.recv().await.ok_or("the relay has ended")?;
        times.push(confirmed.saturating_duration_since(committed).as_secs_f64() * 1000.0);
    }
    relay.stop().await;
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(TIMED * part / 100).copied().unwrap_or_default();
    println!("commit to broker: p50 {:.1} ms, p99 {:.1} ms", at(50), at(99));
    Ok(())
}

async fn taken_in(pool: &PgPool, inbox: &PostgresInbox, round: usize) -> Outcome<f64> {
    let began = Instant::now();
    for first in (0..MESSAGES).step_by(BATCH) {
        let first = round * MESSAGES + first;
        let batch = (first..first + BATCH).map(message).collect::<Vec<_>>();
        let mut transaction = pool.begin().await?;
        let new = inbox.are_first(&mut transaction, "orders", &batch).await?;
        if !new.iter().all(|new| *new) {
            return Err("a message was taken in before".into());
        }
        transaction.commit().await?;
    }
    Ok(rate(began))
}

#[allow(clippy::cast_precision_loss, reason = "it is far below 2^52")]
fn rate(since: Instant) -> f64 {
    MESSAGES as f64 / since.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
