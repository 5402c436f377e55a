//! What deciding costs on top of appending: the same load as bare conditional appends and as
//! commands, by turns, on the embedded store. `docs/performance.md` says what came of it.
//!
//! `cargo run --release --example commands -- DIR [SECONDS]`, where DIR may be written to.
#![allow(clippy::unwrap_used, reason = "a measurement that fails stops")]
#![allow(clippy::print_stdout, reason = "a measurement prints")]
#![allow(clippy::disallowed_methods, reason = "it measures the real time")]

use factum::app::{App, Ctx, Decision, Outcome, State, command, emit, ensure, event};
use factum::prelude::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// As many as work at the same time, each on a stream of its own.
const CLIENTS: u64 = 64;
/// As much of it as a command's event has.
const METADATA: &str = r#"{"$correlationId":"019ab2c5-6f6e-7cc2-a2a4-5a3b6ee6b3e1",
"$causationId":"019ab2c5-6f6e-7cc2-a2a4-5a3b6ee6b3e1"}"#;
/// Runs of each kind; the median counts.
const ROUNDS: usize = 5;

#[event("account.deposited")]
struct Deposited {
    #[tag]
    account: u64,
    cents: u64,
    note: String,
}

#[derive(Clone, Default)]
struct Account {
    cents: u64,
    closed: bool,
}

impl State for Account {
    type Event = Deposited;

    fn evolve(self, event: &Deposited) -> Self {
        Self { cents: self.cents + event.cents, ..self }
    }
}

#[derive(Debug)]
struct Closed;

#[command("account.deposit")]
struct Deposit {
    #[tag]
    account: u64,
    cents: u64,
    note: String,
}

impl Decision for Deposit {
    type State = Account;
    type Refusal = Closed;

    fn decide(&self, account: &Account, _: &Ctx) -> Outcome<Self> {
        ensure(!account.closed, Closed)?;
        emit(Deposited { account: self.account, cents: self.cents, note: self.note.clone() })
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("DIR: a folder that may be written to");
    let seconds = arguments.next().map_or(2, |text| text.parse().expect("SECONDS: a number"));
    let store = factum::open(&format!("file:{dir}")).await.unwrap();
    let (mut bare, mut decided) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let base = round * CLIENTS * 2;
        bare.push(rate(seconds, base, |account| Bare::new(store.clone(), account)).await);
        let app = App::new(store.clone());
        decided.push(rate(seconds, base + CLIENTS, |account| Decided(app.clone(), account)).await);
    }
    let (bare, decided) = (median(bare), median(decided));
    println!("{CLIENTS} clients, medians of {ROUNDS} rounds of {seconds} s");
    println!("bare conditional appends  {bare:>9.0} a second");
    println!("commands                  {decided:>9.0} a second, {:.2} of that", decided / bare);
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// One step of a client.
trait Step: Send + 'static {
    fn step(&mut self) -> impl Future<Output = ()> + Send;
}

/// How many steps all clients do in a second.
async fn rate<S: Step>(seconds: u64, base: u64, client: impl Fn(u64) -> S) -> f64 {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (stop, count, mut client) = (stop.clone(), count.clone(), client(base + n));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.step().await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    // What is cold at first does not count.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (begin, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let done = count.load(Ordering::Relaxed) - before;
    let rate = done as f64 / begin.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    rate
}

fn note() -> String {
    "x".repeat(200)
}

/// What somebody writes who knows the revision: the least that the same facts cost.
struct Bare {
    store: AnyStore,
    stream: StreamName,
    account: u64,
    next: u64,
}

impl Bare {
    fn new(store: AnyStore, account: u64) -> Self {
        let stream = StreamName::new(&format!("account-{account}")).unwrap();
        Self { store, stream, account, next: 0 }
    }
}

impl Step for Bare {
    async fn step(&mut self) {
        let id = Uuid::from_u128(u128::from(self.account) << 64 | u128::from(self.next));
        let data = format!(r#"{{"account":{},"cents":1,"note":"{}"}}"#, self.account, note());
        let tag = Tag::new(&format!("account:{}", self.account)).unwrap();
        let id = if id.is_nil() { Uuid::from_u128(u128::MAX) } else { id };
        let event = EventData::new(id, EventType::new("account.deposited").unwrap(), data)
            .with_tags([tag])
            .with_metadata(METADATA);
        let expected = match self.next {
            0 => Expected::NoStream,
            next => Expected::At(Revision(next - 1)),
        };
        let append = Append::to(self.stream.clone(), [event]);
        self.store.append(append.expecting(self.stream.clone(), expected)).await.unwrap();
        self.next += 1;
    }
}

/// The same as a command.
struct Decided(App, u64);

impl Step for Decided {
    async fn step(&mut self) {
        let command = Deposit { account: self.1, cents: 1, note: note() };
        self.0.execute(command).await.unwrap();
    }
}
