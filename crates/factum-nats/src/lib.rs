//! Messages over NATS JetStream: a [`Publisher`](factum_app::message::Publisher) and a
//! [`Consumer`](factum_app::message::Consumer) in one, [`Nats`].
//!
//! ```no_run
//! use factum_nats::{Nats, Settings, Stream};
//! # async fn example() -> Result<(), factum_nats::ConnectError> {
//! let settings = Settings::new("nats://localhost:4222")
//!     .stream(Stream::new("orders", ["orders.>"]).replicas(3))
//!     .create();
//! let nats = Nats::connect(settings).await?;
//! # Ok(()) }
//! ```
//!
//! | word | at NATS |
//! |---|---|
//! | topic | subject; behind one for the partition, if several ([`Settings::partitions`]) |
//! | group | a durable pull consumer a partition; who may pull from it says a lease |
//! | broadcast | a consumer of this instance, which the server forgets when it is gone |
//! | dead letters | a stream of their own ([`Settings::dead_letters`]) |
//!
//! NATS keeps no key with one consumer, and gives what was lost on the way again only after newer
//! messages. Both are made good here: partitions are leased, and what is newer than something that
//! is on its way again waits for it (`consume/order.rs`). What NATS promises about a disk, and what
//! it does not, is in `docs/brokers.md`.

mod binding;
mod connect;
mod consume;
mod dead;
mod publish;
mod settings;
mod stream;
mod subject;

pub use connect::{ConnectError, Nats};
pub use dead::DeadLetter;
pub use settings::{Login, Mode, Settings};
pub use stream::{Discard, Retention, Stream, StreamError};
