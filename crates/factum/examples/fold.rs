//! How fast a state is folded of a million events in memory: reading, decoding and `evolve`.
//!
//! `cargo run --release --example fold`. `docs/performance.md` says what came of it.
#![allow(clippy::unwrap_used, reason = "a measurement that fails stops")]
#![allow(clippy::print_stdout, reason = "a measurement prints")]
#![allow(clippy::disallowed_methods, reason = "it measures the real time")]

use factum::app::prelude::*;
use factum::app::{EventStore, MemoryStore};
use factum::{Append, EventData, EventType};
use std::time::Instant;

const EVENTS: u64 = 1_000_000;
/// Rounds; the median counts.
const ROUNDS: usize = 5;

#[events]
enum AccountEvent {
    #[event("account.deposited")]
    Deposited { account: u32, cents: u64 },
    #[event("account.withdrawn")]
    Withdrawn { account: u32, cents: u64 },
}

#[derive(Clone, Default)]
struct Account {
    cents: i64,
}

impl State for Account {
    type Event = AccountEvent;

    fn evolve(self, event: &AccountEvent) -> Self {
        let by = match event {
            AccountEvent::Deposited(one) => one.cents as i64,
            AccountEvent::Withdrawn(one) => -(one.cents as i64),
        };
        Self { cents: self.cents + by }
    }
}

#[tokio::main]
async fn main() {
    let app = App::builder(MemoryStore::new()).states_max(0).build();
    let stream = StreamName::new("account-1").unwrap();
    for first in (0..EVENTS).step_by(1_000) {
        let events = (first..first + 1_000).map(|n| {
            let name = if n % 2 == 0 { "account.deposited" } else { "account.withdrawn" };
            let data = format!(r#"{{"account":1,"cents":{}}}"#, n % 1_000);
            EventData::new(Uuid::from_u128(u128::from(n) + 1), EventType::new(name).unwrap(), data)
        });
        app.store().append(Append::to(stream.clone(), events)).await.unwrap();
    }
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let account = app.state::<Account>(1).await.unwrap();
        assert_eq!(account.cents, -500_000);
        rates.push(EVENTS as f64 / begin.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(ROUNDS / 2).copied().unwrap_or_default();
    println!("{:.2} million events a second (median of {ROUNDS})", median / 1e6);
}
