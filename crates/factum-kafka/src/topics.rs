//! Whether a topic is there, is made if that is asked for, and takes what will be sent to it: found
//! out before the first message, and not by the broker's own ways of making topics.

use crate::{
    client::Told,
    error::{ConnectError, TopicError, refusal},
    options::{NewTopics, Options},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::{Client, ClientContext},
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long one question to the cluster may take, before it is asked again.
const LOOK: Duration = Duration::from_millis(500);
/// How long is waited before a cluster that knows nothing yet is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long making a topic may take.
const MAKE: Duration = Duration::from_secs(10);
/// How long asking for a topic's settings may take; it is left out where there is hardly time.
const SETTINGS_MAX: Duration = Duration::from_secs(1);
const SETTINGS_MIN: Duration = Duration::from_millis(100);
/// How many names are remembered as being there. Beyond, all are asked for again.
const KNOWN_MAX: usize = 10_000;

/// The topics that were found to be there.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    known: Mutex<HashSet<String>>,
    /// The cluster does not tell how its topics are set.
    mute: AtomicBool,
}

/// What the cluster says of a topic: its partitions.
pub(crate) type Look = Result<Vec<i32>, TopicError>;

impl Topics {
    pub(crate) fn is_known(&self, topic: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    pub(crate) fn forget(&self, topic: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    pub(crate) fn remember(&self, topic: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(topic.to_owned());
    }

    /// Whether the topic takes the largest message that may be sent. A cluster that does not tell,
    /// or not this user, is believed, and not asked again.
    pub(crate) async fn check_size(
        &self,
        topic: &str,
        warden: &Warden<'_>,
        until: Instant,
    ) -> Result<(), TopicError> {
        let left = until.saturating_duration_since(Instant::now()) / 2;
        if self.mute.load(Ordering::Relaxed) || left < SETTINGS_MIN {
            return Ok(());
        }
        let Some(limit) = warden.takes(topic, left.min(SETTINGS_MAX)).await else {
            self.mute.store(true, Ordering::Relaxed);
            return Ok(());
        };
        let max = warden.options.max_bytes;
        if limit >= max {
            return Ok(());
        }
        Err(TopicError::Refused(format!(
            "the topic {topic:?} takes {limit} bytes, less than `Options::max_bytes` ({max}): \
             raise its max.message.bytes, or lower that"
        )))
    }
}

/// Asks once. Blocks, [`LOOK`] at most.
pub(crate) fn look<C: ClientContext>(client: &Client<C>, topic: &str) -> Look {
    let away = |error: KafkaError| TopicError::Away(error.to_string());
    let found = client.fetch_metadata(Some(topic), LOOK).map_err(away)?;
    let Some(found) = found.topics().iter().find(|one| one.name() == topic) else {
        return Err(TopicError::Away(format!("nothing was said of the topic {topic:?}")));
    };
    match found.error().map(Code::from) {
        None if found.partitions().is_empty() => Err(missing(topic)),
        None => Ok(found.partitions().iter().map(|one| one.id()).collect()),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Err(missing(topic)),
        Some(code) => Err(match refusal(code) {
            Some(cure) => TopicError::Refused(format!("the topic {topic:?}: {code}: {cure}")),
            None => TopicError::Away(format!("the topic {topic:?}: {code}")),
        }),
    }
}

/// What is wrong with a name, if anything: librdkafka says no more than that it is invalid.
pub(crate) fn check_name(topic: &str) -> Option<String> {
    let fits = |one: char| one.is_ascii_alphanumeric() || "._-".contains(one);
    let good = (1..=249).contains(&topic.len()) && topic.chars().all(fits);
    let why = "a topic's name has letters, digits, '.', '_' and '-', 1 to 249 of them";
    (!good || [".", ".."].contains(&topic)).then(|| format!("the topic {topic:?}: {why}"))
}

fn missing(topic: &str) -> TopicError {
    TopicError::Missing(format!(
        "there is no topic {topic:?}: create it, or set `Options::create` to have it made"
    ))
}

/// Whoever may make and look at topics.
pub(crate) struct Warden<'a> {
    options: &'a Options,
    admin: AdminClient<Told>,
}

impl<'a> Warden<'a> {
    pub(crate) fn new(options: &'a Options, told: &Told) -> Result<Self, ConnectError> {
        let config = options.admin()?;
        Ok(Self { options, admin: AdminClient::from_config_and_context(&config, told.clone())? })
    }

    /// Makes the topic, unless it is there.
    pub(crate) async fn make(&self, topic: &str, new: NewTopics) -> Result<(), TopicError> {
        let replication = TopicReplication::Fixed(i32::from(new.replication));
        let new = NewTopic::new(topic, i32::from(new.partitions), replication);
        let made = self.admin.create_topics(&[new], &limits(MAKE)).await;
        let made = made.map_err(|error| TopicError::Away(error.to_string()))?;
        match made.into_iter().next() {
            Some(Err((_, Code::TopicAlreadyExists)) | Ok(_)) | None => Ok(()),
            Some(Err((_, code))) => Err(match refusal(code) {
                Some(cure) => TopicError::Refused(format!("to make {topic:?}: {code}: {cure}")),
                None => TopicError::Away(format!("to make {topic:?}: {code}")),
            }),
        }
    }

    /// The largest batch that the topic takes, where the cluster tells.
    async fn takes(&self, topic: &str, within: Duration) -> Option<u64> {
        let about = [ResourceSpecifier::Topic(topic)];
        let told = self.admin.describe_configs(&about, &limits(within)).await.ok()?;
        let found = told.into_iter().flatten().next()?;
        found.get("max.message.bytes")?.value.as_ref()?.parse().ok()
    }
}

fn limits(within: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(within))
}

/// Asks until the cluster says something that counts, a topic that is to be made is there, or it is
/// too late.
pub(crate) async fn settle<F>(ask: F, made: bool, until: Instant) -> Look
where
    F: Fn() -> Look + Clone + Send + 'static,
{
    loop {
        let ask = ask.clone();
        let found = tokio::task::spawn_blocking(ask).await;
        let found = found.unwrap_or_else(|error| Err(TopicError::Away(error.to_string())));
        let wait = match &found {
            Err(TopicError::Away(_)) => true,
            Err(TopicError::Missing(_)) => made,
            _ => false,
        };
        if !wait || Instant::now() >= until {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
