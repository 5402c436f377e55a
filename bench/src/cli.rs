//! The command line: which peer, where, and which load.

use crate::{
    limits, peer,
    sample::Label,
    work::{self, Load},
};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// After this, a server that does not answer is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two attempts.
const POLL: Duration = Duration::from_millis(10);

/// One load on one event store; prints one line of JSON for each figure.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Appends in a closed loop: each client waits for the durable acknowledgement
    Append {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Appends with many in flight on one call
    Pipeline {
        #[command(flatten)]
        target: Target,
        /// Appends in flight
        #[arg(long, value_delimiter = ',', default_value = "64,256")]
        window: Vec<usize>,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Reads one stream again and again
    Stream {
        #[command(flatten)]
        target: Target,
        /// Events in the stream
        #[arg(long, value_delimiter = ',', default_value = "10,1000,100000")]
        len: Vec<u64>,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Reads a stream of 20 events and appends one to it, under its condition
    Aggregate {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Time from an acknowledgement to a live subscriber
    Subscribe {
        #[command(flatten)]
        target: Target,
        /// Appends a second
        #[arg(long, default_value_t = 200.0)]
        rate: f64,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Fills a store, for `all` and `open`
    Fill {
        #[command(flatten)]
        target: Target,
        /// Events to append
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// Events in a stream (and an append)
        #[arg(long, default_value_t = 100)]
        each: u64,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Reads the whole log from its start
    All {
        #[command(flatten)]
        target: Target,
        /// Events to read at most
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// Time from starting a server (or opening a folder) to the first read and the first append
    Open {
        #[command(flatten)]
        target: Target,
        /// Events in it, for the record
        #[arg(long)]
        events: u64,
        /// Folder whose pages are dropped from the page cache first
        #[arg(long)]
        evict: Option<PathBuf>,
        /// The server and its arguments; without it, the peer is opened in this process
        #[arg(last = true)]
        server: Vec<String>,
    },
    /// Bytes of a folder on the disk, for each event
    Disk {
        #[command(flatten)]
        target: Target,
        #[arg(long)]
        events: u64,
        #[arg(long)]
        dir: PathBuf,
    },
    /// What the machine allows: `sync`, `group`, `scan`
    Limit {
        #[command(flatten)]
        limit: limits::Limit,
    },
    /// Serves the echo that shows what gRPC alone allows
    Echo {
        #[arg(long)]
        listen: String,
        /// File of the least log that is durable; without it, nothing is behind the echo
        #[arg(long)]
        log: Option<PathBuf>,
    },
}

/// Which event store, and how its lines are labelled.
#[derive(Args)]
struct Target {
    /// The event store; `help` names those that were compiled in
    #[arg(long)]
    peer: String,
    /// Its address, or its folder
    #[arg(long)]
    at: String,
    /// Its name in the lines; that of the peer by default
    #[arg(long)]
    label: Option<String>,
    /// Number of the run, for the record
    #[arg(long, default_value_t = 1)]
    run: u64,
}

/// How much.
#[derive(Args)]
struct LoadArgs {
    /// Clients at once, each with a connection or thread of its own
    #[arg(long, value_delimiter = ',', default_value = "1")]
    clients: Vec<usize>,
    /// Events in an append
    #[arg(long, value_delimiter = ',', default_value = "1")]
    batch: Vec<usize>,
    /// Seconds that are measured, after a warm-up
    #[arg(long, default_value_t = 2.0)]
    secs: f64,
    /// Bytes of an event's data
    #[arg(long, default_value_t = 256)]
    size: usize,
}

impl LoadArgs {
    fn load(&self) -> Load {
        Load { time: Duration::from_secs_f64(self.secs), size: self.size }
    }
}

impl Target {
    fn label(&self, work: &'static str) -> Label {
        let peer = self.label.clone().unwrap_or_else(|| self.peer.clone());
        Label { peer, work, run: self.run }
    }

    /// The event store, once it answers: its server may just have been started.
    async fn peer(&self) -> Result<peer::Shared> {
        let (peer, asked) = (peer::open(&self.peer, &self.at).await?, Instant::now());
        while let Err(error) = answers(&*peer).await {
            if asked.elapsed() > PATIENCE {
                return Err(error.context(format!("no answer from {} at {}", self.peer, self.at)));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(peer)
    }
}

async fn answers(peer: &dyn peer::Peer) -> Result<()> {
    peer.setup().await?;
    peer.client().await.map(drop)
}

pub(crate) async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Append { target, load } => append(&target, &load).await,
        Command::Pipeline { target, window, load } => pipeline(&target, &window, &load).await,
        Command::Stream { target, len, load } => {
            let (label, peer) = (target.label("stream"), target.peer().await?);
            for len in len {
                work::stream(&peer, &label, len, load.load()).await?;
            }
            Ok(())
        }
        Command::Aggregate { target, load } => {
            let (label, peer) = (target.label("aggregate"), target.peer().await?);
            for clients in &load.clients {
                work::aggregate(&peer, &label, *clients, load.load()).await?;
            }
            Ok(())
        }
        Command::Subscribe { target, rate, load } => {
            let (label, peer) = (target.label("subscribe"), target.peer().await?);
            work::subscribe(&peer, &label, rate, load.load()).await
        }
        Command::Fill { target, events, each, load } => {
            let (label, peer) = (target.label("fill"), target.peer().await?);
            let clients = load.clients.first().copied().unwrap_or(1);
            work::fill(&peer, &label, work::Fill { events, each, clients, size: load.size }).await
        }
        Command::All { target, events } => {
            let (label, peer) = (target.label("all"), target.peer().await?);
            work::all(&peer, &label, events).await
        }
        Command::Open { target, events, evict, server } => {
            let place = work::Place { peer: target.peer.clone(), at: target.at.clone(), server };
            work::open(&place, &target.label("open"), events, evict.as_deref()).await
        }
        Command::Disk { target, events, dir } => work::disk(&target.label("disk"), &dir, events),
        Command::Limit { limit } => tokio::task::spawn_blocking(move || limit.run()).await?,
        Command::Echo { listen, log } => echo(&listen, log).await,
    }
}

async fn append(target: &Target, load: &LoadArgs) -> Result<()> {
    let (label, peer) = (target.label("append"), target.peer().await?);
    for clients in &load.clients {
        for batch in &load.batch {
            work::append(&peer, &label, (*clients, *batch), load.load()).await?;
        }
    }
    Ok(())
}

async fn pipeline(target: &Target, windows: &[usize], load: &LoadArgs) -> Result<()> {
    let (label, peer) = (target.label("pipeline"), target.peer().await?);
    for window in windows {
        work::pipeline(&peer, &label, *window, load.load()).await?;
    }
    Ok(())
}

#[cfg(feature = "echo")]
async fn echo(listen: &str, log: Option<PathBuf>) -> Result<()> {
    peer::echo::serve(listen, log.as_deref()).await
}

#[cfg(not(feature = "echo"))]
async fn echo(_: &str, _: Option<PathBuf>) -> Result<()> {
    anyhow::bail!("compiled without the feature `echo`")
}
