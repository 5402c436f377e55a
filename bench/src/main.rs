//! `loadgen`: one load on one event store, one line of JSON a figure.
//!
//! A run is one figure: `cargo xtask bench` repeats runs, peer after peer, so that whatever the
//! machine does meanwhile hits all of them. What lives where:
//!
//! | module | what |
//! |---|---|
//! | `cli` | what is asked for |
//! | `peer` | the event stores, each a module with the same two traits |
//! | `work` | the loads, the same for every store |
//! | `limits` | what the machine allows, with no event store in the way |
//! | `sample` | what was measured, and the line that says it |

mod cli;
mod limits;
mod payload;
mod peer;
mod sample;
mod work;

use anyhow::Result;
use clap::Parser;

#[tokio::main]
async fn main() -> Result<()> {
    cli::run(cli::Cli::parse()).await
}
