//! Giving messages to a broker.

use super::Message;
use crate::world::BoxFuture;
use std::{fmt, sync::Arc};

/// A message, and where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// What the broker calls a topic, a subject, or a routing key: words with dots between them.
    pub topic: String,
    /// What goes there.
    pub message: Message,
}

impl Outgoing {
    /// This message, to there.
    pub fn new(topic: impl Into<String>, message: Message) -> Self {
        Self { topic: topic.into(), message }
    }
}

/// A way to a broker.
///
/// What must hold:
/// - an `Ok` means that the broker has confirmed that it keeps the message: as durably as it can;
/// - messages with one key, in one call or in calls one after the other, are at the broker in that
///   order: a message is sent when those before it with its key are confirmed, or where the broker
///   itself keeps them in order. Those behind one that failed are not sent
///   ([`PublishError::Behind`]);
/// - a call ends, whatever the broker does: within a limit that the adapter names.
pub trait Publisher: Send + Sync + fmt::Debug + 'static {
    /// The largest message that is sent, in bytes, attributes included; larger ones are refused.
    fn max_bytes(&self) -> u64;

    /// Publishes a batch; one outcome a message, in the order of the batch. Dropped before it ends,
    /// any of them may have been sent.
    fn publish<'a>(&'a self, batch: &'a [Outgoing])
    -> BoxFuture<'a, Vec<Result<(), PublishError>>>;
}

/// So that which broker it is may be chosen when the program runs.
impl<P: Publisher + ?Sized> Publisher for Arc<P> {
    fn max_bytes(&self) -> u64 {
        (**self).max_bytes()
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        (**self).publish(batch)
    }
}

/// Why a message was not published, or may not have been.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// It is larger than the broker takes. Send less, or a reference to where it lies.
    #[error("the message has {bytes} bytes; at most {max} are taken: send a reference instead")]
    TooLarge {
        /// How large it is.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Nobody would get it: no queue, no stream, no topic is there for it. Create one first.
    #[error("nothing at the broker takes messages for {topic:?}: {why}")]
    Unroutable {
        /// Where it was to go.
        topic: String,
        /// What the broker said.
        why: String,
    },
    /// The broker will not take it, however often it is sent: rights, a wrong topic, a setting.
    #[error("the broker refuses it: {why}")]
    Refused {
        /// What it said, and the cure.
        why: String,
    },
    /// It is certainly not there: the broker is away, or full. Send it again later.
    #[error("the broker is away: {why}")]
    Unavailable {
        /// What is known.
        why: String,
    },
    /// It may be there, or not: the confirmation did not come. Send it again, with the same id.
    #[error("not confirmed, so it may be there or not: {why}")]
    Unknown {
        /// What is known.
        why: String,
    },
    /// It was not sent, as one before it with the same key failed.
    #[error("not sent: one before it with the key {key:?} failed")]
    Behind {
        /// The key.
        key: String,
    },
}

impl PublishError {
    /// Whether sending the same message again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Unknown { .. } | Self::Behind { .. } => true,
            Self::TooLarge { .. } | Self::Unroutable { .. } | Self::Refused { .. } => false,
        }
    }
}
