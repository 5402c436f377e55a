//! How far a view is behind: a thousand commands a second on the embedded store, each waited for in
//! a view from its receipt on.
//!
//! `cargo run --release --example lag -- DIR [SECONDS]`, where DIR may be written to.
//! `docs/framework.md` says what came of it.
#![allow(clippy::unwrap_used, reason = "a measurement that fails stops")]
#![allow(clippy::print_stdout, reason = "a measurement prints")]
#![allow(clippy::disallowed_methods, reason = "it measures the real time")]

use factum::app::prelude::*;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// Between two commands.
const PACE: Duration = Duration::from_millis(1);

#[event("meter.read")]
struct MeterRead {
    meter: u64,
    value: u64,
}

#[data]
struct Meter {
    value: u64,
    readings: u64,
}

impl State for Meter {
    type Event = MeterRead;

    fn evolve(self, event: &MeterRead) -> Self {
        Self { value: event.value, readings: self.readings + 1 }
    }
}

impl Projection for Meter {
    const NAME: &str = "meters";
    type Event = MeterRead;

    fn apply(row: &mut Row<Self>, event: &Envelope<MeterRead>) {
        row.evolve(event);
    }
}

#[command("meter.note")]
struct Note {
    meter: u64,
    value: u64,
}

impl Decision for Note {
    type State = Meter;
    type Refusal = std::convert::Infallible;

    fn decide(&self, _: &Meter, _: &Ctx) -> Outcome<Self> {
        emit(MeterRead { meter: self.meter, value: self.value })
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("DIR: a folder that may be written to");
    let seconds: u64 = arguments.next().map_or(5, |text| text.parse().expect("SECONDS: a number"));
    let store = factum::open(&format!("file:{dir}")).await.unwrap();
    let app = App::builder(store).projection::<Meter>(OnError::Stop).start().await.unwrap();
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut waiting = Vec::new();
    for number in 0..seconds * 1_000 {
        ticks.tick().await;
        let app = app.clone();
        waiting.push(tokio::spawn(async move {
            let note = Note { meter: number % 500, value: number };
            let receipt = app.execute(note).await.unwrap();
            let acknowledged = Instant::now();
            app.view::<Meter>().at_least(&receipt).get(number % 500).await.unwrap().unwrap();
            acknowledged.elapsed()
        }));
    }
    let mut lags = Vec::new();
    for one in waiting {
        lags.push(one.await.unwrap());
    }
    lags.sort();
    let part = |percent: usize| lags.get(lags.len() * percent / 100).copied().unwrap_or_default();
    println!("from the acknowledgement until the view has it, {} commands:", lags.len());
    let most = lags.last().copied().unwrap_or_default();
    println!("p50 {:?}, p99 {:?}, most {most:?}", part(50), part(99));
}
