//! Taking messages from a broker.

use super::Message;
use crate::world::BoxFuture;
use bytes::Bytes;
use std::{fmt, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

/// Who gets a message: one of those who share a name, or each.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Group {
    /// Each message goes to one of the instances that share this name. It is durable: what comes
    /// while none is there waits.
    Shared(String),
    /// Each message goes to each instance, from when it began; nothing waits for one that is gone.
    Broadcast,
}

/// Where a group begins that has not been there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// With what is published from then on.
    #[default]
    New,
    /// With the oldest that the broker still has, where it keeps what was consumed.
    Oldest,
}

/// What is to be taken, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a subscription is for a consumer"]
pub struct Subscription {
    /// Which topics. Patterns are the broker's own.
    pub topics: Vec<String>,
    /// Who gets each.
    pub group: Group,
    /// How many messages may be handed out and not settled, at most: the consumer's memory, and
    /// the back-pressure on the broker.
    pub prefetch: u16,
    /// After how many deliveries without an acknowledgement the broker puts a message aside, where
    /// it can; none: never.
    pub deliveries_max: Option<u32>,
    /// Where a new group begins.
    pub start: Start,
}

impl Subscription {
    /// These topics, shared among all who use this name; 256 at a time.
    pub fn shared<T: Into<String>>(name: &str, topics: impl IntoIterator<Item = T>) -> Self {
        Self::of(Group::Shared(name.to_owned()), topics)
    }

    /// These topics, to each instance; 256 at a time.
    pub fn broadcast<T: Into<String>>(topics: impl IntoIterator<Item = T>) -> Self {
        Self::of(Group::Broadcast, topics)
    }

    fn of<T: Into<String>>(group: Group, topics: impl IntoIterator<Item = T>) -> Self {
        let topics = topics.into_iter().map(Into::into).collect();
        Self { topics, group, prefetch: 256, deliveries_max: None, start: Start::New }
    }

    /// So many at a time, at least 1.
    pub fn prefetch(self, prefetch: u16) -> Self {
        Self { prefetch: prefetch.max(1), ..self }
    }

    /// Put aside by the broker after so many deliveries.
    pub fn deliveries_max(self, max: u32) -> Self {
        Self { deliveries_max: Some(max), ..self }
    }

    /// With the oldest that there is.
    pub fn from_oldest(self) -> Self {
        Self { start: Start::Oldest, ..self }
    }
}

/// A way from a broker.
pub trait Consumer: Send + Sync + fmt::Debug + 'static {
    /// Subscribes: once this is `Ok`, what is published afterwards comes.
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>>;
}

/// So that which broker it is may be chosen when the program runs.
impl<C: Consumer + ?Sized> Consumer for Arc<C> {
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>> {
        (**self).consume(subscription)
    }
}

/// Messages as they come.
///
/// What must hold:
/// - messages with one key are handed out in order, to one instance of a group at a time, for as
///   long as none of them is sent back;
/// - what is not acknowledged comes again: after it was sent back, when the connection is lost, and
///   when this is dropped;
/// - a lost connection is made again within, with growing pauses; nothing else ends it.
pub trait Deliveries: Send {
    /// The next message, when there is one. Dropping the future loses none.
    fn next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>>;

    /// Takes no more, waits up to a limit until what was handed out is settled, and leaves. What is
    /// not settled by then comes again.
    fn close(self: Box<Self>, within: Duration) -> BoxFuture<'static, Result<Close, ConsumeError>>;
}

/// The next message, and those that are there with it: so many at most. Dropping the future loses
/// none; after an error what was taken comes again.
pub(crate) async fn next_batch(
    deliveries: &mut dyn Deliveries,
    most: usize,
) -> Result<Vec<Delivered>, ConsumeError> {
    let mut batch = vec![deliveries.next().await?];
    while batch.len() < most {
        let mut next = pin!(deliveries.next());
        match poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
            Poll::Ready(more) => batch.push(more?),
            Poll::Pending => break,
        }
    }
    Ok(batch)
}

/// How a subscription was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close {
    /// How many messages were handed out and not settled: they come again.
    pub unsettled: u64,
}

/// What was in a message that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// What is wrong with it.
    pub why: String,
    /// Its payload.
    pub bytes: Bytes,
}

/// A message that was handed out. It is to be settled; dropped unsettled, it is sent back.
#[derive(Debug)]
pub struct Delivered {
    /// Where it was published to.
    pub topic: String,
    /// The message; or what is there instead, of somebody who sends no CloudEvents.
    pub message: Result<Message, Malformed>,
    /// How often it was handed out, this time included, where the broker counts; 1 at first.
    pub attempt: u32,
    /// How it is settled.
    pub settle: Box<dyn Settle>,
}

impl Delivered {
    /// It was handled: it does not come again.
    ///
    /// # Errors
    ///
    /// The broker does not know: it may come again.
    pub async fn ack(self) -> Result<(), SettleError> {
        self.settle.ack().await
    }

    /// It was not handled, and is to come again, to this instance or another; no sooner than this,
    /// where the broker can wait.
    ///
    /// # Errors
    ///
    /// The broker does not know: it comes again all the same.
    pub async fn send_back(self, after: Duration) -> Result<(), SettleError> {
        self.settle.send_back(after).await
    }

    /// It will never be handled: the broker puts it aside, where its dead letters are.
    ///
    /// # Errors
    ///
    /// The broker does not know, or has no place for dead letters: it may come again.
    pub async fn dead_letter(self, why: &str) -> Result<(), SettleError> {
        self.settle.dead_letter(why.to_owned()).await
    }
}

/// What a broker does with a message that was handed out; for adapters.
pub trait Settle: Send + fmt::Debug {
    /// [`Delivered::ack`].
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>>;
    /// [`Delivered::send_back`].
    fn send_back(self: Box<Self>, after: Duration) -> BoxFuture<'static, Result<(), SettleError>>;
    /// [`Delivered::dead_letter`].
    fn dead_letter(self: Box<Self>, why: String) -> BoxFuture<'static, Result<(), SettleError>>;
}

/// Why nobody can subscribe, or a subscription cannot go on.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeError {
    /// The broker refuses it, however often it is tried: rights, a queue of another form, a
    /// missing topic. What is wrong and the cure are named.
    #[error("the broker refuses the subscription: {why}")]
    Refused {
        /// What it said, and the cure.
        why: String,
    },
    /// The broker is away, for longer than the adapter waits. Try again.
    #[error("the broker is away: {why}")]
    Unavailable {
        /// What is known.
        why: String,
    },
    /// This broker cannot do it. Choose another subscription, or another broker.
    #[error("this broker cannot {what}")]
    Unsupported {
        /// What.
        what: String,
    },
}

/// Why the broker does not know that a message was settled.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettleError {
    /// The connection over which it came is gone, and what was not settled comes again.
    #[error("the delivery is no longer this one's, and comes again: {why}")]
    Lost {
        /// What is known.
        why: String,
    },
    /// This broker cannot do it.
    #[error("this broker cannot {what}")]
    Unsupported {
        /// What.
        what: String,
    },
}
