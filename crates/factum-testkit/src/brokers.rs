//! The conformance suite of brokers: what every [`Publisher`] and [`Consumer`] does, as cases that
//! run over any of them.
//!
//! An adapter's tests implement [`BrokerUnderTest`], start the real broker once, and name the
//! suite:
//!
//! ```no_run
//! # async fn adapter(harness: impl factum_testkit::brokers::BrokerUnderTest) {
//! factum_testkit::brokers::suite(&harness).await;
//! # }
//! ```
//!
//! Cases run several at a time, each with topics and groups of its own; those that take the broker
//! away run alone, at the end. All that fail are named; `CASE=close` runs those whose name holds
//! `close`. What a broker cannot do ([`Ability`]) is skipped, and said aloud. What is not an
//! ability is a promise, and every broker keeps it.

mod cases;
mod feed;
mod suite;
mod trial;

pub use suite::{BrokerSettings, CASES, Case, report, suite, try_case};

use crate::Boxed;
use factum_app::message::{Consumer, DeadMessage, Publisher};
use factum_core::Bytes;
use std::{error::Error, fmt, sync::Arc};

/// What a harness comes to, or why it did not.
pub type Made<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What an adapter's tests bring: a real broker, and what else can be done with it.
pub trait BrokerUnderTest: Send + Sync {
    /// What the broker is called where a case is reported: "rabbitmq".
    fn name(&self) -> &'static str;

    /// Whether the broker, or this harness, can do this.
    fn can(&self, ability: Ability) -> bool;

    /// How long cases wait, and how many run at a time.
    fn settings(&self) -> BrokerSettings {
        BrokerSettings::default()
    }

    /// Makes what must be there before anybody publishes to these topics or subscribes to them.
    /// They are `PREFIX.NAME`, the prefix of a case's own, of letters and digits.
    fn prepare<'a>(&'a self, topics: &'a [String]) -> Boxed<'a, Made<()>>;

    /// A new publisher, with a connection of its own where that is usual.
    fn publisher(&self) -> Boxed<'_, Made<Arc<dyn Publisher>>>;

    /// A new consumer, with a connection of its own where that is usual.
    fn consumer(&self) -> Boxed<'_, Made<Arc<dyn Consumer>>>;

    /// Publishes, with the broker's plain client, what somebody sends who does not use the traits.
    /// Called where [`Ability::Raw`] can be had.
    fn publish_raw(&self, raw: Raw) -> Boxed<'_, Made<()>> {
        let _ = raw;
        Box::pin(async { Err("this harness publishes nothing raw".into()) })
    }

    /// All dead letters that a group has of a topic, the oldest first; reading takes none away.
    /// `attempts` may be 0 where it is not known. Called where [`Ability::DeadLetters`] can be had.
    fn dead_letters<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> Boxed<'a, Made<Vec<DeadMessage>>> {
        let _ = (group, topic);
        Box::pin(async { Err("this harness reads no dead letters".into()) })
    }

    /// Takes the broker away: kills it, or cuts every connection and lets none be made. Called
    /// where [`Ability::Outage`] can be had, with no other case running.
    fn go_away(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async { Err("this harness cannot take the broker away".into()) })
    }

    /// Brings it back, with all that it had confirmed.
    fn come_back(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async { Err("this harness cannot bring the broker back".into()) })
    }
}

/// What a case needs beyond what every broker promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ability {
    /// A topic that was not prepared, and that nobody subscribed to, is refused as unroutable.
    Unroutable,
    /// A new group may begin with the oldest: the broker keeps what was published before.
    Oldest,
    /// Each message to each instance.
    Broadcast,
    /// Two instances of a group are both at work, on different keys.
    Spread,
    /// Counts how often a message was handed out, also over connections.
    Attempts,
    /// Waits before a message that was sent back comes again.
    Delay,
    /// Puts messages aside, and the harness can read them.
    DeadLetters,
    /// Puts a message aside after so many deliveries.
    DeliveriesMax,
    /// The harness can publish with the plain client.
    Raw,
    /// The harness can take the broker away, and bring it back.
    Outage,
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unroutable => "needs a broker that knows which topics nobody takes",
            Self::Oldest => "needs a broker that keeps what was published before",
            Self::Broadcast => "needs a broker that can broadcast",
            Self::Spread => "needs a broker that spreads keys over the instances of a group",
            Self::Attempts => "needs a broker that counts deliveries",
            Self::Delay => "needs a broker that can wait before it delivers again",
            Self::DeadLetters => "needs dead letters that can be read",
            Self::DeliveriesMax => "needs a broker that gives up after so many deliveries",
            Self::Raw => "needs a harness that publishes with the plain client",
            Self::Outage => "needs a broker that can be taken away",
        })
    }
}

/// What somebody sends who does not use the traits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raw {
    /// Where to.
    pub topic: String,
    /// Attributes of a CloudEvent in binary mode, by their names without the binding's prefix.
    pub attributes: Vec<(String, String)>,
    /// What the payload is; `application/cloudevents+json` for a message in structured mode.
    pub content_type: Option<String>,
    /// The payload.
    pub data: Bytes,
}
