//! Subscribing: what is asked for is looked at, a new group's place is fixed, a thread reads.

use crate::{
    client::Told,
    dead::DeadLetters,
    deliveries::KafkaDeliveries,
    error::{ConnectError, TopicError},
    options::Options,
    reader::{Client, Context, Reader},
    shelf::Shelf,
    topics::{Warden, check_name, look, settle},
    window::Handing,
};
use factum_app::{
    message::{ConsumeError, Consumer, Deliveries, Group, Start, Subscription},
    world::BoxFuture,
};
use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::Instant;

/// A consumer from Kafka.
///
/// A shared subscription is a consumer group with cooperative rebalancing: what an instance keeps
/// goes on while another joins. A broadcast is a group that nobody else is in. Partitions are
/// shared out among instances, so at most as many instances work as there are partitions.
///
/// Acknowledged is what the cluster has committed, or will with what is before it in its partition:
/// an offset says that everything below it is settled. How often a message was handed out is known
/// to the instance that has its partition, and is not kept when that changes.
#[derive(Debug)]
pub struct KafkaConsumer {
    pub(crate) options: Options,
    /// Whether the brokers have taken its credentials, for any subscription.
    pub(crate) told: Told,
}

/// How long one question to the cluster may take, before it is asked again.
const ASK: Duration = Duration::from_secs(3);

impl KafkaConsumer {
    /// With these settings; the cluster is asked when something is subscribed to.
    ///
    /// # Errors
    ///
    /// A setting is wrong.
    pub fn new(options: Options) -> Result<Self, ConnectError> {
        options.consumer("check")?;
        Ok(Self { options, told: Told::default() })
    }

    /// Subscribes; beside it, the client, for as long as there is one.
    pub(crate) async fn subscribe(
        &self,
        subscription: &Subscription,
        handing: Handing,
    ) -> Result<(KafkaDeliveries, Weak<Client>), ConsumeError> {
        let until = Instant::now() + self.options.publish_timeout;
        let group = match &subscription.group {
            Group::Shared(name) => name.clone(),
            Group::Broadcast => own_group(&self.options.client),
        };
        check(subscription)?;
        let shelf = Arc::new(Shelf::new(subscription.prefetch, handing));
        let told = self.told.next();
        let context = Context {
            told: told.clone(),
            shelf: Arc::clone(&shelf),
            revoke_wait: self.options.revoke_wait,
        };
        let config = self.options.consumer(&group)?;
        let client = Client::from_config_and_context(&config, context);
        let client = Arc::new(client.map_err(ConnectError::from)?);
        let dead = Arc::new(DeadLetters::new(&self.options, &group));
        let mut asked = Asked { options: &self.options, client, told, until };
        for topic in &subscription.topics {
            let partitions = asked.topic(topic).await?;
            if subscription.start == Start::New {
                asked.fix_place(topic, partitions).await?;
            }
            if subscription.deliveries_max.is_some() || handing == Handing::InLine {
                asked.topic(&dead.topic(topic)).await?;
            }
        }
        let topics: Vec<&str> = subscription.topics.iter().map(String::as_str).collect();
        let refused = |error: KafkaError| ConsumeError::Refused { why: error.to_string() };
        asked.client.subscribe(&topics).map_err(refused)?;
        let client = Arc::downgrade(&asked.client);
        let reader = Reader::new(asked.client, Arc::clone(&shelf));
        let deliveries = (reader, shelf);
        Ok((KafkaDeliveries::begin(deliveries, dead, subscription, &self.options), client))
    }
}

fn check(subscription: &Subscription) -> Result<(), ConsumeError> {
    let refused = |why: String| Err(ConsumeError::Refused { why });
    if subscription.topics.is_empty() {
        return refused("no topic is named".to_owned());
    }
    if matches!(&subscription.group, Group::Shared(name) if name.is_empty()) {
        return refused("the group has no name".to_owned());
    }
    match subscription.topics.iter().find_map(|topic| check_name(topic)) {
        Some(why) => refused(why),
        None => Ok(()),
    }
}

/// The name of a group that nobody else is in.
fn own_group(client: &str) -> String {
    let random = || RandomState::new().hash_one(0);
    format!("{client}-broadcast-{:016x}{:016x}", random(), random())
}

/// What the cluster is asked before a subscription begins.
struct Asked<'a> {
    options: &'a Options,
    client: Arc<Client>,
    told: Told,
    until: Instant,
}

impl Asked<'_> {
    /// The partitions of a topic, made if it is missing and that is asked for.
    async fn topic(&mut self, topic: &str) -> Result<Vec<i32>, ConsumeError> {
        let (client, told, name) = (Arc::clone(&self.client), self.told.clone(), topic.to_owned());
        let ask = move || {
            hear(&client, &told);
            match told.refused() {
                Some(why) => Err(TopicError::Refused(why)),
                None => look(client.client(), &name),
            }
        };
        let found = settle(ask.clone(), false, self.until).await;
        let found = match (found, self.options.create) {
            (Err(TopicError::Missing(_)), Some(new)) => {
                let warden = Warden::new(self.options, &self.told)?;
                warden.make(topic, new).await.map_err(TopicError::of_consuming)?;
                settle(ask, true, self.until).await
            }
            (found, _) => found,
        };
        if found.is_ok() {
            self.told.answered();
        }
        found.map_err(TopicError::of_consuming)
    }

    /// A group that is new to a topic begins with what is published from now on: that is fixed in
    /// the cluster before anybody may rely on it, so that nothing is lost between now and the first
    /// message, nor should this instance end before it. Everywhere else a group without an offset
    /// begins with the oldest: a partition that was added must lose nothing.
    async fn fix_place(&self, topic: &str, partitions: Vec<i32>) -> Result<(), ConsumeError> {
        loop {
            let (client, topic, partitions) =
                (Arc::clone(&self.client), topic.to_owned(), partitions.clone());
            let fix = move || fix(&client, &topic, &partitions);
            let fixed = tokio::task::spawn_blocking(fix).await;
            let error = match fixed {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(error) => return Err(ConsumeError::Unavailable { why: error.to_string() }),
            };
            if let Some(cure) = error.rdkafka_error_code().and_then(crate::error::refusal) {
                return Err(ConsumeError::Refused { why: format!("{error}: {cure}") });
            }
            if Instant::now() >= self.until {
                return Err(ConsumeError::Unavailable { why: error.to_string() });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What librdkafka has to say beside; before there is a subscription, no message comes.
fn hear(client: &Client, told: &Told) {
    use rdkafka::ClientContext;
    if let Some(Err(error)) = client.poll(Duration::ZERO) {
        let why = error.to_string();
        told.error(error, &why);
    }
}

/// Whether the group has an offset of this topic.
fn has_place(client: &Client, topic: &str, partitions: &[i32]) -> Result<bool, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let found = client.committed_offsets(asked, ASK)?;
    let has = |offset: Offset| matches!(offset, Offset::Offset(0..));
    Ok(found.elements().iter().any(|one| has(one.offset())))
}

fn fix(client: &Client, topic: &str, partitions: &[i32]) -> Result<(), KafkaError> {
    if has_place(client, topic, partitions)? {
        return Ok(());
    }
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        let (_, high) = client.fetch_watermarks(topic, *partition, ASK)?;
        list.add_partition_offset(topic, *partition, Offset::Offset(high))?;
    }
    // Another instance may have fixed the place since, and be relied on: what was published to it
    // since must not be skipped. Where none has by now, these ends are older than any such promise.
    if has_place(client, topic, partitions)? {
        return Ok(());
    }
    match client.commit(&list, CommitMode::Sync) {
        // Others are in the group: it is not new, and they know where it is.
        Err(KafkaError::ConsumerCommit(
            Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress,
        )) => Ok(()),
        other => other,
    }
}

impl Consumer for KafkaConsumer {
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>> {
        Box::pin(async move {
            let (deliveries, _) = self.subscribe(&subscription, Handing::ByKey).await?;
            Ok(Box::new(deliveries) as Box<dyn Deliveries>)
        })
    }
}
