//! The event stores: one module a store, and the two traits that each implements.
//!
//! To add one: a module with [`Peer`] and [`Client`], a feature, and its line in [`open`]. Each is
//! used as its own documentation advises, through the best ordinary client that it has.

#[cfg(feature = "echo")]
pub(crate) mod echo;
#[cfg(feature = "factum-embedded")]
mod factum_embedded;
#[cfg(feature = "factum-kurrent")]
mod factum_kurrent;
#[cfg(feature = "factum-v1")]
mod factum_v1;
#[cfg(feature = "factum-v1")]
mod factum_v1_unary;
#[cfg(any(feature = "factum-embedded", feature = "factum-v1"))]
mod factum_words;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "fjall", feature = "redb"))]
mod tables;
#[cfg(feature = "tephra")]
mod tephra;
#[cfg(feature = "tephra-embedded")]
mod tephra_embedded;
#[cfg(feature = "umadb")]
mod umadb;

use crate::{payload, sample::Window, work::Loop};
use anyhow::{Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::Receiver;

/// The type of every event.
pub(crate) const EVENT_TYPE: &str = "order.placed";

/// Events that may wait between a subscription and the load that counts them.
const ARRIVALS_MAX: usize = 65_536;

/// A store, shared by the clients of a load.
pub(crate) type Shared = Arc<dyn Peer>;

/// Events as a subscriber gets them: the number in each, and when.
pub(crate) type Arrivals = Receiver<(u64, Instant)>;

/// What a client remembers of a stream: enough for the store's own check.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Events in the stream.
    pub(crate) count: u64,
    /// What the store itself wants to know: a global position, or the like.
    #[allow(dead_code, reason = "not every store needs it")]
    pub(crate) token: Option<u64>,
}

impl Subject {
    /// A stream that no run has had.
    pub(crate) fn new() -> Self {
        Self::named(format!("order-{:016x}", payload::unique()))
    }

    pub(crate) fn named(name: String) -> Self {
        Self { name, count: 0, token: None }
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Tally {
    pub(crate) fn see(&mut self, data: &[u8]) {
        self.events += 1;
        self.bytes += data.len() as u64;
    }
}

/// Where clients run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// As tasks: the client is asynchronous.
    Tasks,
    /// Each in a thread of its own: the store is a library that blocks.
    Threads,
}

/// An event store.
#[async_trait]
pub(crate) trait Peer: Send + Sync {
    fn home(&self) -> Home {
        Home::Tasks
    }

    /// Makes tables and the like, if they are not there.
    async fn setup(&self) -> Result<()> {
        Ok(())
    }

    /// A client with a connection of its own.
    async fn client(&self) -> Result<Box<dyn Client>>;

    /// All events from now on.
    async fn subscribe(&self) -> Result<Arrivals> {
        bail!("this peer has no subscription")
    }

    /// The stream that stands for the log of everything, in a store that has no such log.
    fn whole_log(&self) -> Option<&'static str> {
        None
    }

    /// Appends with `window` of them in flight on one call.
    async fn pipeline(&self, _window: usize, _job: Loop) -> Result<crate::sample::Sample> {
        bail!("this peer cannot have many appends in flight on one call")
    }
}

/// One client.
#[async_trait]
pub(crate) trait Client: Send {
    /// Appends durably, under the check that the stream is as the subject says.
    async fn append(&mut self, subject: &mut Subject, events: &[Bytes]) -> Result<()>;

    /// Reads a stream from its start, and brings the subject up to date.
    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally>;

    /// Reads the whole log from its start.
    async fn read_all(&mut self, limit: u64) -> Result<Tally>;
}

/// Sends on what a subscription got; false when nobody listens any more.
#[cfg_attr(not(feature = "factum-v1"), allow(dead_code, reason = "servers only"))]
fn arrived(sender: &tokio::sync::mpsc::Sender<(u64, Instant)>, data: &[u8]) -> bool {
    let Some(number) = payload::number_of(data) else { return true };
    sender.try_send((number, Instant::now())).is_ok()
}

/// The names of those that were compiled in.
const NAMES: &[&str] = &[
    #[cfg(feature = "factum-embedded")]
    "factum-embedded",
    #[cfg(feature = "factum-v1")]
    "factum-v1",
    #[cfg(feature = "factum-v1")]
    "factum-v1-unary",
    #[cfg(feature = "factum-kurrent")]
    "factum-kurrent",
    #[cfg(feature = "umadb")]
    "umadb",
    #[cfg(feature = "tephra")]
    "tephra",
    #[cfg(feature = "tephra-embedded")]
    "tephra-embedded",
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "nats")]
    "nats",
    #[cfg(feature = "redis")]
    "redis",
    #[cfg(feature = "redb")]
    "redb",
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "echo")]
    "echo",
];

/// The store of this name, at an address or in a folder.
pub(crate) async fn open(name: &str, at: &str) -> Result<Shared> {
    Ok(match name {
        #[cfg(feature = "factum-embedded")]
        "factum-embedded" => Arc::new(factum_embedded::Embedded::open(at)?),
        #[cfg(feature = "factum-v1")]
        "factum-v1" => Arc::new(factum_v1::Server::at(at)),
        #[cfg(feature = "factum-v1")]
        "factum-v1-unary" => Arc::new(factum_v1_unary::Server::at(at)),
        #[cfg(feature = "factum-kurrent")]
        "factum-kurrent" => Arc::new(factum_kurrent::Server::at(at)),
        #[cfg(feature = "umadb")]
        "umadb" => Arc::new(umadb::Server::at(at)),
        #[cfg(feature = "tephra")]
        "tephra" => Arc::new(tephra::Server::at(at)),
        #[cfg(feature = "tephra-embedded")]
        "tephra-embedded" => Arc::new(tephra_embedded::Embedded::open(at)?),
        #[cfg(feature = "postgres")]
        "postgres" => Arc::new(postgres::Server::at(at)?),
        #[cfg(feature = "nats")]
        "nats" => Arc::new(nats::Server::at(at)),
        #[cfg(feature = "redis")]
        "redis" => Arc::new(redis::Server::at(at)),
        #[cfg(feature = "redb")]
        "redb" => Arc::new(redb::Embedded::open(at)?),
        #[cfg(feature = "fjall")]
        "fjall" => Arc::new(fjall::Embedded::open(at)?),
        #[cfg(feature = "echo")]
        "echo" => Arc::new(echo::Server::at(at)),
        _ => bail!("no such peer: {name}; compiled in are {}", NAMES.join(", ")),
    })
}

/// A window and what fills it, for peers whose clients can share a call.
#[allow(dead_code, reason = "not every peer has it")]
async fn lanes(clients: Vec<Box<dyn Client>>, job: Loop) -> Result<crate::sample::Sample> {
    let runs = clients.into_iter().map(|client| job.clone().run(client));
    crate::sample::Sample::sum(&futures::future::try_join_all(runs).await?)
}

#[allow(dead_code, reason = "used by those peers that time themselves")]
fn measured(window: &Window, began: Instant) -> bool {
    began >= window.start
}
