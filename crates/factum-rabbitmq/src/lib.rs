//! RabbitMQ as a broker of Factum, over AMQP 0-9-1.
//!
//! [`RabbitMq`] is a [`Publisher`](factum_app::message::Publisher) and a
//! [`Consumer`](factum_app::message::Consumer): messages go to one durable topic exchange, each
//! group of consumers has durable quorum queues of its own. What was confirmed is on disk at the
//! broker, what is not acknowledged comes again, and a connection that is lost is made again.
//! `docs/brokers.md` in the repository says which queues and bindings there are, and why.
//!
//! ```no_run
//! use factum_app::message::{Consumer, Message, Outgoing, Publisher, Subscription};
//! use factum_rabbitmq::{RabbitMq, Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let rabbit = RabbitMq::connect(Settings::new("amqp://guest:guest@localhost/%2f")).await?;
//! let mut orders = rabbit.consume(Subscription::shared("billing", ["order.*"])).await?;
//!
//! let message = Message::new("1", "/shop", "order.placed").key("order-7");
//! for outcome in rabbit.publish(&[Outgoing::new("order.placed", message)]).await {
//!     outcome?;
//! }
//! let delivered = orders.next().await?;
//! delivered.ack().await?;
//! # Ok(())
//! # }
//! ```

mod balance;
mod binding;
mod client;
mod consume;
mod dead;
mod error;
mod link;
mod publish;
mod queue;
mod settings;
mod settle;
mod topology;

pub use client::RabbitMq;
pub use dead::DeadLetter;
pub use error::ConnectError;
pub use link::State;
pub use settings::{Mode, Settings, Sharing};
