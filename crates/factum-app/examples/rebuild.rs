//! How fast a view is made of a million events in memory, beside reading and decoding them alone:
//! a whole view as it was (folded in place), and one that is kept (with checkpoints, in JSON).
//!
//! `cargo run --release -p factum-app --example rebuild`
#![allow(clippy::unwrap_used, reason = "a measurement that fails stops")]
#![allow(clippy::print_stdout, reason = "a measurement prints")]
#![allow(clippy::disallowed_methods, reason = "it measures the real time")]

use factum_app::{EventStore, MemoryStore, event::Decoded, prelude::*};
use factum_core::{Append, AsOf, EventData, EventType, Query, Read, next_batch};
use std::time::{Duration, Instant};

const EVENTS: u64 = 1_000_000;
const ACCOUNTS: u64 = 10_000;
/// Rounds; the medians count.
const ROUNDS: usize = 5;

#[event("account.deposited")]
struct Deposited {
    #[tag]
    account: u64,
    cents: u64,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Balance {
    cents: u64,
}

impl Projection for Balance {
    const NAME: &'static str = "balance";
    type Event = Deposited;

    fn apply(row: &mut Row<Self>, e: &Envelope<Deposited>) {
        row.upsert(|row| row.cents += e.event.cents);
    }
}

async fn filled() -> MemoryStore {
    let store = MemoryStore::new();
    for first in (0..EVENTS).step_by(1_000) {
        let events = (first..first + 1_000).map(|n| {
            let account = n % ACCOUNTS;
            let data = format!(r#"{{"account":{account},"cents":{}}}"#, n % 1_000);
            let event_type = EventType::new("account.deposited").unwrap();
            let event = EventData::new(Uuid::from_u128(u128::from(n) + 1), event_type, data);
            (StreamName::new(&format!("account-{account}")).unwrap(), event)
        });
        store.append(Append { events: events.collect(), ..Append::default() }).await.unwrap();
    }
    store
}

async fn read(store: &MemoryStore, decodes: bool) -> u64 {
    let mut reading = store.read(Read::query(Query::All)).await.unwrap();
    let mut cents = 0;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        for event in batch.unwrap().events {
            if !decodes {
                cents += event.data().len() as u64;
            } else if let Decoded::One(one) = Envelope::<Deposited>::decode(&event).unwrap() {
                cents += one.event.cents;
            }
        }
    }
    cents
}

async fn kept(store: &MemoryStore) {
    let app = App::builder(store.clone()).projection::<Balance>(OnError::Stop);
    let app = app.start().await.unwrap();
    let head = store.head().await.unwrap();
    let view = app.view::<Balance>().at_least(head).within(Duration::from_secs(600));
    assert!(view.get(1).await.unwrap().is_some());
    app.stop().await;
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let store = filled().await;
    let app = App::builder(store.clone()).build();
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (which, times) in times.iter_mut().enumerate() {
            let begin = Instant::now();
            match which {
                0 => drop(read(&store, false).await),
                1 => drop(read(&store, true).await),
                2 => {
                    let past = app.view_as_of::<Balance>(AsOf::Now).await.unwrap();
                    assert_eq!(past.rows().count() as u64, ACCOUNTS);
                }
                _ => kept(&store).await,
            }
            times.push(begin.elapsed());
        }
    }
    let [read, decoded, folded, kept] = times.map(median);
    let rate = |time: f64| EVENTS as f64 / time / 1e6;
    println!("million events a second (medians of {ROUNDS}):");
    println!("  read {:.2}, read and decoded {:.2}", rate(read), rate(decoded));
    println!("  a view as it was {:.2}, a view that is kept {:.2}", rate(folded), rate(kept));
    println!("a view as it was is {:.2} of reading and decoding", decoded / folded);
    println!("a view that is kept is {:.2} of a view as it was", folded / kept);
}
