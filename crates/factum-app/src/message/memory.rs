//! A broker within this process: for tests, for a monolith that will be services one day, and as
//! the plainest statement of what the traits ask for.
//!
//! What must hold: it is a broker like any other, and passes the suite of the test kit. Nothing in
//! it outlives the process. Everything in it has a limit ([`MemoryLimits`]); what does not fit is
//! refused, never dropped.

mod consumer;
mod lanes;
mod state;
#[cfg(test)]
mod tests;

pub use state::{DeadMessage, MemoryLimits};

use super::{Malformed, Message, Outgoing, PublishError, Publisher, STRUCTURED};
use crate::world::{BoxFuture, World};
use bytes::Bytes;
use state::{Body, State, refuse_topic};
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A broker within this process. Clones are the same broker.
///
/// Topics are words with dots between them; in a subscription `*` stands for any one word, and `#`,
/// at the end, for any that follow.
///
/// ```
/// use factum_app::message::{Consumer, MemoryBroker, Message, Outgoing, Publisher, Subscription};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = MemoryBroker::new();
/// let mut billing = broker.consume(Subscription::shared("billing", ["orders.*"])).await?;
/// let placed = Message::new("1", "/orders", "order.placed").key("order-7");
/// broker.publish(&[Outgoing::new("orders.placed", placed)]).await.remove(0)?;
/// let delivered = billing.next().await?;
/// assert_eq!(delivered.topic, "orders.placed");
/// delivered.ack().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemoryBroker(Arc<Shared>);

struct Shared {
    world: Arc<dyn World>,
    limits: MemoryLimits,
    state: Mutex<State>,
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

#[cfg(feature = "tokio")]
impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBroker {
    /// One with the clock of the system, and the usual limits.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn new() -> Self {
        let world = Arc::new(crate::world::TokioWorld::default());
        Self::with(world, MemoryLimits::default())
    }

    /// One with another clock, or other limits.
    #[must_use]
    pub fn with(world: Arc<dyn World>, limits: MemoryLimits) -> Self {
        Self(Arc::new(Shared { world, limits, state: Mutex::default() }))
    }

    /// Takes messages for this topic, and from then on for none that was not declared: as brokers
    /// do whose topics are made first.
    pub fn declare(&self, topic: impl Into<String>) {
        self.lock().declared.get_or_insert_default().insert(topic.into());
    }

    /// From now on the broker cannot be reached, until [`MemoryBroker::come_back`]: what is
    /// published is refused, and what was handed out and not settled comes again afterwards.
    pub fn go_away(&self) {
        self.lock().go_away(&self.0.limits);
    }

    /// The broker can be reached again.
    pub fn come_back(&self) {
        self.lock().come_back();
    }

    /// What a group has put aside, the oldest first.
    #[must_use]
    pub fn dead_letters(&self, group: &str) -> Vec<DeadMessage> {
        self.lock().dead_letters(group)
    }

    /// Publishes what somebody sends who does not use these traits: attributes of a CloudEvent and
    /// a payload, a whole one in structured mode, or anything else.
    ///
    /// # Errors
    ///
    /// As [`Publisher::publish`].
    pub fn publish_raw(
        &self,
        topic: &str,
        attributes: Vec<(String, String)>,
        content_type: Option<String>,
        data: Bytes,
    ) -> Result<(), PublishError> {
        let structured = content_type.as_deref().is_some_and(|text| text.starts_with(STRUCTURED));
        let message = match structured {
            true => Message::from_structured(&data).map_err(|error| error.to_string()),
            false => Message::from_attributes(attributes, content_type, data.clone())
                .map_err(|error| error.to_string()),
        };
        let body = message.map_err(|why| Malformed { why, bytes: data });
        self.accept(topic, body)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, topic: &str, body: Body) -> Result<(), PublishError> {
        refuse_topic(topic)?;
        let (bytes, max) = (state::size(&body), self.0.limits.message_bytes_max);
        if bytes > max {
            return Err(PublishError::TooLarge { bytes, max });
        }
        self.lock().accept(topic, body, &self.0.limits)
    }
}

impl Publisher for MemoryBroker {
    fn max_bytes(&self) -> u64 {
        self.0.limits.message_bytes_max
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let mut stuck = HashSet::new();
            let mut outcomes = Vec::with_capacity(batch.len());
            for Outgoing { topic, message } in batch {
                let key = message.key.as_deref();
                let outcome = match key.filter(|key| stuck.contains(key)) {
                    Some(key) => Err(PublishError::Behind { key: key.to_owned() }),
                    None => self.accept(topic, Ok(message.clone())),
                };
                stuck.extend(key.filter(|_| outcome.is_err()));
                outcomes.push(outcome);
            }
            outcomes
        })
    }
}
