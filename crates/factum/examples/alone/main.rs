//! Each part alone: you take one of them without the others.
//!
//! `cargo run --example alone`; `FACTUM_URL` names another store than the one in memory.
#![allow(clippy::print_stdout, reason = "an example prints")]

mod bus;
mod domain_events;
mod read_model;
mod sourcing;

use factum::app::prelude::*;

#[tokio::main]
async fn main() -> Result {
    let url = std::env::var("FACTUM_URL").unwrap_or_else(|_| "memory:".to_owned());
    let store = factum::open(&url).await?;
    // Names of its own for each run, so that the example may be run twice over one store.
    let run = factum::EventStore::head(&store).await?.to_string();
    sourcing::run(&store, &run).await?;
    read_model::run(&store, &run).await?;
    domain_events::run(&store, &run).await?;
    bus::run(&store, &run).await
}
