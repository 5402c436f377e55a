//! Consuming: which streams have the topics, which consumers they are read by, and the deliveries
//! that come of it.

pub(crate) mod acks;
pub(crate) mod desk;
mod keeper;
mod lease;
mod order;
mod pull;
mod settle;

use crate::{
    Nats, binding,
    connect::{Link, described},
    stream,
    subject::{subject, topic, word, wrong_pattern},
};
use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, pull::Config},
    stream::{Info, RetentionPolicy},
};
use desk::Desk;
use factum_app::{
    message::{Close, ConsumeError, Consumer, Delivered, Deliveries, Group, Start, Subscription},
    world::BoxFuture,
};
use futures_util::future::join_all;
use keeper::{Keeper, Stand};
use lease::Leases;
use pull::Plan;
use settle::Receipt;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// How many messages of a lane may be sent back and wait, besides those that are here.
const AWAY_MAX: i64 = 10_000;
/// How long the server keeps the consumer of an instance that is gone without a word.
const BROADCAST_KEPT: Duration = Duration::from_secs(300);

impl Consumer for Nats {
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>> {
        Box::pin(async move {
            let link = &self.link;
            if !link.connected(link.settings.within).await {
                return Err(ConsumeError::Unavailable { why: "there is no connection".into() });
            }
            let mut stands = Vec::new();
            for (stream, topics) in streams(link, &subscription.topics).await? {
                stands.push(stand(link, &subscription, (&stream, &topics)).await?);
            }
            dead_letters(link, &subscription).await?;
            Ok(Feed::open(link, &subscription, stands).await)
        })
    }
}

/// The streams that have the topics, and which of them each has.
async fn streams(
    link: &Link,
    topics: &[String],
) -> Result<BTreeMap<String, Vec<String>>, ConsumeError> {
    let refused = |why: String| ConsumeError::Refused { why };
    let mut streams = BTreeMap::<_, Vec<_>>::new();
    for topic in topics {
        if let Some(why) = wrong_pattern(topic) {
            return Err(refused(format!("{topic:?} is no subject: {why}")));
        }
        let subject = subject(topic, link.settings.partitions, None);
        let names = link.streams_of(&subject).await.map_err(|why| unavailable(&why))?;
        if names.is_empty() {
            let why = format!(
                "no stream takes {subject:?}: make one, or name it in the settings and let it be \
                 made (Settings::create)"
            );
            return Err(refused(why));
        }
        for name in names {
            streams.entry(name).or_default().push(topic.clone());
        }
    }
    if streams.is_empty() {
        return Err(refused("there is no topic to subscribe to".into()));
    }
    Ok(streams)
}

fn unavailable(why: &str) -> ConsumeError {
    ConsumeError::Unavailable { why: format!("JetStream: {why}") }
}

/// The lanes of a stream, made where they are not there.
async fn stand(
    link: &Arc<Link>,
    subscription: &Subscription,
    (stream, topics): (&str, &[String]),
) -> Result<Stand, ConsumeError> {
    let found = link.context.get_stream(stream).await;
    let found = found.map_err(|error| unavailable(&described(&error)))?;
    let info = found.cached_info();
    match &subscription.group {
        Group::Shared(group) => {
            let replicas = info.config.num_replicas.max(1);
            let leases = Leases::new(link, (stream, group), replicas).await;
            let leases =
                leases.map_err(|error| ConsumeError::Refused { why: error.to_string() })?;
            let partitions = link.settings.partitions;
            let lanes = (0..partitions).map(|partition| {
                let config = Wanted { link, subscription, info, topics }.shared(group, partition);
                link.shared_consumer(stream, config)
            });
            let plans = join_all(lanes.collect::<Vec<_>>()).await;
            let plans = plans.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(Stand { plans, leases: Some(leases), remake: None })
        }
        Group::Broadcast => {
            let (config, patterns) = Wanted { link, subscription, info, topics }.broadcast();
            let from = match subscription.start {
                Start::New => info.state.last_sequence + 1,
                Start::Oldest => 1,
            };
            let mut remake = Remake { stream: stream.to_owned(), config, from };
            let consumer = remake.again(link, None).await?;
            let plan = Plan { stream: stream.to_owned(), consumer, patterns };
            Ok(Stand { plans: vec![plan], leases: None, remake: Some(remake) })
        }
    }
}

/// What a consumer is to be like.
struct Wanted<'a> {
    link: &'a Link,
    subscription: &'a Subscription,
    info: &'a Info,
    topics: &'a [String],
}

impl Wanted<'_> {
    /// Its configuration, and what is chosen here because the server cannot.
    fn config(&self, partition: Option<u16>) -> (Config, Vec<String>) {
        let partitions = self.link.settings.partitions;
        let subjects = self.topics.iter().map(|topic| subject(topic, partitions, partition));
        let mut subjects = subjects.collect::<Vec<_>>();
        subjects.sort();
        subjects.dedup();
        let mut config = Config {
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.link.settings.ack_wait,
            max_deliver: -1,
            max_ack_pending: i64::from(self.subscription.prefetch) + AWAY_MAX,
            ..Config::default()
        };
        let mut patterns = Vec::new();
        match subjects.as_slice() {
            [one] => config.filter_subject.clone_from(one),
            _ if self.link.is_at_least(2, 10) && !overlap(&subjects) => {
                config.filter_subjects = subjects;
            }
            // All of the stream then, in every lane.
            _ => patterns = subjects,
        }
        (config, patterns)
    }

    fn shared(&self, group: &str, partition: u16) -> (Config, Vec<String>) {
        let (mut config, patterns) = self.config(Some(partition));
        config.durable_name = Some(match self.link.settings.partitions {
            1 => word(group),
            partitions => format!("{}-p{partitions}-{partition}", word(group)),
        });
        // A work queue gives all that it has, or nothing.
        let all = self.info.config.retention == RetentionPolicy::WorkQueue;
        config.deliver_policy = match self.subscription.start {
            Start::New if !all => DeliverPolicy::New,
            _ => DeliverPolicy::All,
        };
        (config, patterns)
    }

    fn broadcast(&self) -> (Config, Vec<String>) {
        let (mut config, patterns) = self.config(None);
        config.inactive_threshold = BROADCAST_KEPT;
        config.num_replicas = self.info.config.num_replicas;
        (config, patterns)
    }
}

/// Whether a subject takes what another does too: the server refuses both in one consumer.
fn overlap(subjects: &[String]) -> bool {
    use crate::subject::covers;
    let pairs = subjects.iter().flat_map(|a| subjects.iter().map(move |b| (a, b)));
    let wild = |s: &str| s.split('.').any(|word| matches!(word, "*" | ">"));
    pairs.into_iter().any(|(a, b)| a != b && (covers(a, b) || (wild(a) && wild(b))))
}

/// How the consumer of one instance is made, and made anew when the server has lost it.
pub(crate) struct Remake {
    stream: String,
    config: Config,
    from: u64,
}

impl Remake {
    async fn again(&mut self, link: &Link, from: Option<u64>) -> Result<String, ConsumeError> {
        self.from = from.unwrap_or(self.from).max(1);
        let id = link.client.new_inbox();
        let name = format!("factum-{}", id.rsplit('.').next().unwrap_or(&id));
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: self.from };
        let config = Config { name: Some(name.clone()), deliver_policy, ..self.config.clone() };
        let made = link.context.create_consumer_on_stream(config, &self.stream).await;
        made.map(|_| name).map_err(|error| refused(&self.stream, &described(&error)))
    }
}

fn refused(stream: &str, why: &str) -> ConsumeError {
    let why = format!("the stream {stream:?} takes no such consumer: {why}");
    ConsumeError::Refused { why }
}

impl Link {
    /// The names of the streams that take a subject, or some of its pattern.
    async fn streams_of(&self, subject: &str) -> Result<Vec<String>, String> {
        #[derive(serde::Deserialize)]
        struct Names {
            streams: Option<Vec<String>>,
        }
        let request = serde_json::json!({ "subject": subject }).to_string();
        let answer = self.client.request("$JS.API.STREAM.NAMES", request.into()).await;
        let answer = answer.map_err(|error| described(&error))?;
        let names = serde_json::from_slice::<Names>(&answer.payload);
        Ok(names.map_err(|error| error.to_string())?.streams.unwrap_or_default())
    }

    /// The consumer of a lane: as it is, made, or changed to what is wanted now.
    async fn shared_consumer(
        &self,
        stream: &str,
        (mut config, patterns): (Config, Vec<String>),
    ) -> Result<Plan, ConsumeError> {
        let consumer = config.durable_name.clone().unwrap_or_default();
        let found = self.context.get_consumer_from_stream::<Config, _, _>(&consumer, stream).await;
        let same = found.is_ok_and(|found| {
            let there = &found.cached_info().config;
            let (filter, filters) = (&there.filter_subject, &there.filter_subjects);
            let same = *filter == config.filter_subject
                && *filters == config.filter_subjects
                && there.ack_wait == config.ack_wait
                && there.max_ack_pending >= config.max_ack_pending;
            // Where a group began is not to be changed, and is not.
            config.deliver_policy = there.deliver_policy;
            same
        });
        if !same {
            let made = self.context.create_consumer_on_stream(config, stream).await;
            made.map_err(|error| refused(stream, &described(&error)))?;
        }
        Ok(Plan { stream: stream.to_owned(), consumer, patterns })
    }
}

/// A place for dead letters; it must be there where the broker is to put messages aside by itself.
async fn dead_letters(link: &Link, subscription: &Subscription) -> Result<(), ConsumeError> {
    let settings = &link.settings;
    if !settings.create && subscription.deliveries_max.is_none() {
        return Ok(());
    }
    let made = stream::ensure(&link.context, &settings.dead_letters, (settings.create, 1)).await;
    made.map(|_| ()).map_err(|error| ConsumeError::Refused { why: error.to_string() })
}

/// The deliveries of a subscription.
struct Feed {
    link: Arc<Link>,
    desk: Arc<Desk>,
    group: Arc<str>,
    deliveries_max: Option<u32>,
    end: watch::Sender<Option<Duration>>,
    keeper: Option<JoinHandle<u64>>,
}

impl Feed {
    async fn open(
        link: &Arc<Link>,
        subscription: &Subscription,
        stands: Vec<Stand>,
    ) -> Box<dyn Deliveries> {
        let desk = Arc::new(Desk::new(subscription.prefetch));
        let group: Arc<str> = match &subscription.group {
            Group::Shared(group) => group.as_str().into(),
            Group::Broadcast => "broadcast".into(),
        };
        let keeper = Keeper::new((link, &desk, &group), stands);
        let ready = keeper.ready.subscribe();
        let (end, ended) = watch::channel(None);
        let keeper = Some(tokio::spawn(keeper.run(ended)));
        let deliveries_max = subscription.deliveries_max;
        let feed = Self { link: Arc::clone(link), desk, group, deliveries_max, end, keeper };
        Keeper::joined(ready).await;
        Box::new(feed)
    }

    fn take(&self) -> Result<Option<Delivered>, ConsumeError> {
        while let Some((slip, parcel, reply)) = self.desk.hand_out()? {
            let attempt = parcel.place.attempt;
            let topic = topic(&parcel.subject, self.link.settings.partitions).to_owned();
            let message = binding::read(parcel.headers.as_ref(), &parcel.payload);
            let of = (&self.link, &self.desk, &self.group);
            let settle = Box::new(Receipt::new(of, (slip, parcel, reply)));
            let delivered = Delivered { topic, message, attempt, settle };
            match self.deliveries_max {
                Some(max) if attempt > max => {
                    let why = format!("delivered {max} times without an acknowledgement");
                    // Where that fails, it comes again, and it is tried again.
                    tokio::spawn(async move { delivered.dead_letter(&why).await });
                }
                _ => return Ok(Some(delivered)),
            }
        }
        Ok(None)
    }
}

impl Deliveries for Feed {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>> {
        Box::pin(async move {
            loop {
                if let Some(delivered) = self.take()? {
                    return Ok(delivered);
                }
                self.desk.ready.notified().await;
            }
        })
    }

    fn close(
        mut self: Box<Self>,
        within: Duration,
    ) -> BoxFuture<'static, Result<Close, ConsumeError>> {
        Box::pin(async move {
            self.end.send_replace(Some(within));
            let Some(keeper) = self.keeper.take() else { return Ok(Close { unsettled: 0 }) };
            let unsettled = keeper.await.map_err(|error| unavailable(&error.to_string()))?;
            Ok(Close { unsettled })
        })
    }
}

impl Drop for Feed {
    /// The keeper sends back what is here, and leaves.
    fn drop(&mut self) {
        self.desk.end();
        self.end.send_replace(Some(Duration::ZERO));
    }
}
