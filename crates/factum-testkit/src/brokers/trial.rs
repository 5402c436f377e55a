//! What a case works with: a broker, names that nobody else uses, patience.

use super::{BrokerSettings, BrokerUnderTest, Made, Raw, feed::Feed};
use crate::{Failure, build::entropy, run::patiently};
use factum_app::message::{
    Consumer, DeadMessage, Message, Outgoing, PublishError, Publisher, Subscription,
};
use futures_util::future::select_all;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// One run of a case.
pub(crate) struct Trial<'a> {
    broker: &'a dyn BrokerUnderTest,
    pub(crate) settings: BrokerSettings,
    prefix: String,
    ids: AtomicU64,
}

/// Turns what a harness says into a failure of the case.
fn made<T>(what: &str, made: Made<T>) -> Result<T, Failure> {
    made.map_err(|error| Failure::new(format!("the harness, {what}: {error}")))
}

impl<'a> Trial<'a> {
    pub(crate) fn new(broker: &'a dyn BrokerUnderTest, settings: BrokerSettings) -> Self {
        let prefix = format!("t{:08x}", entropy() >> 32);
        Self { broker, settings, prefix, ids: AtomicU64::new(1) }
    }

    /// A name of this run's own.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// The name of a group of this run's own.
    pub(crate) fn group(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// A topic of this run's own, made.
    pub(crate) async fn topic(&self, name: &str) -> Result<String, Failure> {
        let topic = self.name(name);
        made("preparing", self.broker.prepare(std::slice::from_ref(&topic)).await)?;
        Ok(topic)
    }

    pub(crate) async fn publisher(&self) -> Result<Arc<dyn Publisher>, Failure> {
        made("making a publisher", self.broker.publisher().await)
    }

    pub(crate) async fn consumer(&self) -> Result<Arc<dyn Consumer>, Failure> {
        made("making a consumer", self.broker.consumer().await)
    }

    /// Subscribes, with a new consumer.
    pub(crate) async fn subscribe(&self, subscription: Subscription) -> Result<Feed, Failure> {
        let consumer = self.consumer().await?;
        let what = format!("{subscription:?}");
        let limit = self.settings.patience;
        let deliveries = patiently(limit, &what, consumer.consume(subscription)).await??;
        Ok(Feed::new(deliveries, consumer, self.settings))
    }

    /// Subscribes the group `g` to a topic.
    pub(crate) async fn shared(&self, topic: &str) -> Result<Feed, Failure> {
        self.subscribe(Subscription::shared(&self.group("g"), [topic])).await
    }

    /// A message with an id of its own and a label as its payload, `KEY-NUMBER`.
    pub(crate) fn message(&self, key: &str, number: u64) -> Message {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let message = Message::new(format!("{}-{id}", self.prefix), "/suite", "suite.tried");
        let message = if key.is_empty() { message } else { message.key(key) };
        message.data("text/plain", format!("{key}-{number}"))
    }

    /// Messages of a key, of these numbers, to a topic.
    pub(crate) fn batch(
        &self,
        topic: &str,
        key: &str,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Vec<Outgoing> {
        let one = |number| Outgoing::new(topic, self.message(key, number));
        numbers.into_iter().map(one).collect()
    }

    /// Publishes a batch, each message of which must be confirmed.
    pub(crate) async fn put(
        &self,
        publisher: &dyn Publisher,
        batch: &[Outgoing],
    ) -> Result<(), Failure> {
        let outcomes = self.publish(publisher, batch).await?;
        for (outgoing, outcome) in batch.iter().zip(outcomes) {
            outcome
                .map_err(|error| Failure::new(format!("{}: {error}", label(&outgoing.message))))?;
        }
        Ok(())
    }

    /// Publishes a batch, whatever comes of it.
    pub(crate) async fn publish(
        &self,
        publisher: &dyn Publisher,
        batch: &[Outgoing],
    ) -> Result<Vec<Result<(), PublishError>>, Failure> {
        let limit = self.settings.patience;
        let outcomes = patiently(limit, "the end of a publish", publisher.publish(batch)).await?;
        if outcomes.len() != batch.len() {
            let (outcomes, batch) = (outcomes.len(), batch.len());
            return Err(Failure::new(format!("{outcomes} outcomes of {batch} messages")));
        }
        Ok(outcomes)
    }

    /// Publishes a batch until all of it is confirmed, as an outbox does.
    pub(crate) async fn insist(
        &self,
        publisher: &dyn Publisher,
        batch: &[Outgoing],
    ) -> Result<(), Failure> {
        let insisting = async {
            let mut left = batch.to_vec();
            while !left.is_empty() {
                let outcomes = self.publish(publisher, &left).await?;
                let failed = left.into_iter().zip(outcomes);
                left = failed.filter_map(|(one, outcome)| outcome.err().map(|_| one)).collect();
                if !left.is_empty() {
                    self.pause(Duration::from_millis(20)).await;
                }
            }
            Ok(())
        };
        patiently(self.settings.patience, "all of a batch to be confirmed", insisting).await?
    }

    pub(crate) async fn raw(&self, raw: Raw) -> Result<(), Failure> {
        made("publishing raw", self.broker.publish_raw(raw).await)
    }

    /// The dead letters of the group `g`, when there are so many.
    pub(crate) async fn dead_letters(
        &self,
        topic: &str,
        count: usize,
    ) -> Result<Vec<DeadMessage>, Failure> {
        let group = self.group("g");
        let waiting = async {
            loop {
                let letters =
                    made("reading dead letters", self.broker.dead_letters(&group, topic).await)?;
                if letters.len() >= count {
                    return Ok(letters);
                }
                self.pause(Duration::from_millis(20)).await;
            }
        };
        patiently(self.settings.patience, "dead letters", waiting).await?
    }

    pub(crate) async fn go_away(&self) -> Result<(), Failure> {
        made("taking the broker away", self.broker.go_away().await)
    }

    pub(crate) async fn come_back(&self) -> Result<(), Failure> {
        made("bringing the broker back", self.broker.come_back().await)
    }

    /// Time passes: between two looks at what must come, or while nothing may come.
    pub(crate) async fn pause(&self, how_long: Duration) {
        crate::within(how_long, std::future::pending::<()>()).await;
    }

    /// The next message of any of these, and whose it is.
    pub(crate) async fn any(
        &self,
        feeds: &mut [Feed],
    ) -> Result<(usize, factum_app::message::Delivered), Failure> {
        let nexts = select_all(feeds.iter_mut().map(Feed::raw_next));
        let limit = self.settings.patience;
        let (delivered, whose, _) = patiently(limit, "a message of any instance", nexts).await?;
        Ok((whose, delivered?))
    }
}

/// What a message is called in a case: its payload.
pub(crate) fn label(message: &Message) -> String {
    String::from_utf8_lossy(&message.data).into_owned()
}

/// `KEY-NUMBER` of these numbers.
pub(crate) fn labels(key: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("{key}-{number}")).collect()
}
