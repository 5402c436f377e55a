//! Settings, and what librdkafka is told because of them. What the guarantees rest on is not the
//! user's to set: it is refused, not overwritten in silence.

use crate::{dead::HEADERS_BYTES_MAX, error::ConnectError};
use rdkafka::ClientConfig;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Settings of a publisher, a consumer, or both.
///
/// ```
/// use factum_kafka::{NewTopics, Options};
/// let options = Options {
///     create: Some(NewTopics { partitions: 12, replication: 3 }),
///     ..Options::new("kafka-1:9092,kafka-2:9092")
/// }
/// .set("security.protocol", "sasl_plaintext");
/// assert_eq!(options.max_bytes, 1_000_000);
/// ```
#[derive(Clone)]
pub struct Options {
    /// Where some brokers of the cluster are: `host:port`, with commas between.
    pub servers: String,
    /// What the brokers' logs and quotas call this program.
    pub client: String,
    /// How a message stands in a record.
    pub mode: Mode,
    /// The largest message that is published, in bytes: key, headers and payload. No topic may have
    /// a smaller `max.message.bytes`.
    pub max_bytes: u64,
    /// How many bytes may wait for their confirmation; beyond that, publishing waits.
    pub unconfirmed_bytes_max: u64,
    /// How long the cluster may take to confirm a message.
    pub publish_timeout: Duration,
    /// How missing topics are made; none: they are refused, by name.
    pub create: Option<NewTopics>,
    /// What the name of a topic's dead letters ends with, after its own.
    pub dead_letters: String,
    /// How long the cluster may take to confirm an acknowledgement; later, the message comes again.
    pub settle_timeout: Duration,
    /// How long a partition that goes to another instance is kept, for what is in flight.
    pub revoke_wait: Duration,
    /// How many bytes are fetched ahead of those who take them, in each subscription.
    pub fetched_bytes_max: u64,
    /// Settings of librdkafka, by their names there; see [`Options::set`].
    pub settings: BTreeMap<String, String>,
}

/// How a message stands in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Its payload is the record's value, its attributes are headers (`ce_…`).
    #[default]
    Binary,
    /// All of it is one JSON document, for those who forward values alone.
    Structured,
}

/// The form of topics that are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewTopics {
    /// How many partitions: how many instances may share the work.
    pub partitions: u16,
    /// On how many brokers each is; 3, for what must outlive one of them.
    pub replication: u16,
}

/// What the guarantees rest on, and why it is not to be set.
const OURS: &[(&str, &str)] = &[
    ("acks", "what is confirmed is on all replicas in sync"),
    ("request.required.acks", "what is confirmed is on all replicas in sync"),
    ("allow.auto.create.topics", "topics are made by `Options::create`"),
    ("auto.offset.reset", "where a group begins is `Subscription::start`"),
    ("bootstrap.servers", "it is `Options::servers`"),
    ("client.id", "it is `Options::client`"),
    ("enable.auto.commit", "an offset is committed when all before it is settled"),
    ("enable.auto.offset.store", "an offset is committed when all before it is settled"),
    ("enable.gapless.guarantee", "what is behind a message that failed is not sent"),
    ("enable.idempotence", "messages with one key stay in order"),
    ("group.id", "it is the name of `Subscription::shared`"),
    ("isolation.level", "what was aborted was never published"),
    ("message.max.bytes", "it is `Options::max_bytes`"),
    ("partition.assignment.strategy", "what an instance keeps goes on while another joins"),
    ("transactional.id", "it is the name that a `KafkaProcessor` is given"),
];

impl Options {
    /// The defaults, over the brokers at `host:port` (several with commas between).
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            client: "factum".to_owned(),
            mode: Mode::default(),
            max_bytes: 1_000_000,
            unconfirmed_bytes_max: 64 << 20,
            publish_timeout: Duration::from_secs(30),
            create: None,
            dead_letters: ".dead-letters".to_owned(),
            settle_timeout: Duration::from_secs(10),
            revoke_wait: Duration::from_secs(5),
            fetched_bytes_max: 16 << 20,
            settings: BTreeMap::new(),
        }
    }

    /// With a setting of librdkafka: TLS, SASL, compression, and what else it knows. What Factum's
    /// guarantees rest on is refused when a client is made.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    fn check(&self) -> Result<(), ConnectError> {
        let wrong = |name: &str, why: String| ConnectError::Setting { name: name.to_owned(), why };
        if let Some((name, why)) = OURS.iter().find(|(name, _)| self.settings.contains_key(*name)) {
            return Err(wrong(name, format!("not to be set, as {why}")));
        }
        if self.servers.trim().is_empty() {
            return Err(wrong("servers", "empty: name a broker, as host:port".to_owned()));
        }
        if !(MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(&self.max_bytes) {
            let what = format!("{MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX} bytes are possible");
            return Err(wrong("max_bytes", what));
        }
        let none = |new: NewTopics| new.partitions == 0 || new.replication == 0;
        if self.create.is_some_and(none) {
            return Err(wrong("create", "partitions and replication are at least 1".to_owned()));
        }
        Ok(())
    }

    fn base(&self) -> Result<ClientConfig, ConnectError> {
        self.check()?;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("client.id", &self.client)
            .set("allow.auto.create.topics", "false")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.timeout.ms", "10000")
            .set("topic.metadata.refresh.interval.ms", "30000");
        Ok(config)
    }

    fn with_settings(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config
    }

    pub(crate) fn admin(&self) -> Result<ClientConfig, ConnectError> {
        Ok(self.with_settings(self.base()?))
    }

    pub(crate) fn producer(&self) -> Result<ClientConfig, ConnectError> {
        let mut config = self.base()?;
        let timeout = self.publish_timeout.saturating_mul(2).as_millis();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            // Where Java's clients put a key, so that one key is in one partition for all.
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", self.max_bytes.to_string())
            // Only for what nobody waits for any more: who waits ends it sooner, see `line`.
            .set("message.timeout.ms", timeout.max(2).to_string())
            .set("request.timeout.ms", "9000")
            .set("linger.ms", "1")
            .set("queue.buffering.max.kbytes", (self.unconfirmed_bytes_max / 1024).to_string());
        Ok(self.with_settings(config))
    }

    /// A producer whose messages are in transactions, and whose name the cluster knows.
    pub(crate) fn transactional(&self, name: &str) -> Result<ClientConfig, ConnectError> {
        let transaction = self.publish_timeout.saturating_mul(2).max(TRANSACTION_MIN);
        let mut config = self.producer()?;
        // What failed is aborted, and what was behind it with it: no gap is left.
        config.remove("enable.gapless.guarantee");
        config
            .set("transactional.id", name)
            .set("message.max.bytes", (self.max_bytes + HEADERS_BYTES_MAX).to_string())
            .set("message.timeout.ms", self.publish_timeout.as_millis().max(2).to_string())
            .set("transaction.timeout.ms", transaction.as_millis().to_string());
        Ok(self.with_settings(config))
    }

    pub(crate) fn consumer(&self, group: &str) -> Result<ClientConfig, ConnectError> {
        let mut config = self.base()?;
        let kilobytes = (self.fetched_bytes_max / 1024).max(1);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // For a partition that was added, and for what is no longer kept; where a group begins
            // is fixed before.
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", kilobytes.to_string());
        Ok(self.with_settings(config))
    }
}

/// How long a transaction of an instance that is gone may hide what is behind it, at least.
const TRANSACTION_MIN: Duration = Duration::from_secs(60);
const MESSAGE_BYTES_MIN: u64 = 1_000;
const MESSAGE_BYTES_MAX: u64 = 1_000_000_000;

impl fmt::Debug for Options {
    /// Without the values of settings: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("servers", &self.servers)
            .field("client", &self.client)
            .field("mode", &self.mode)
            .field("max_bytes", &self.max_bytes)
            .field("create", &self.create)
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(options: &Options) -> String {
        options.producer().unwrap_err().to_string()
    }

    #[test]
    fn what_the_guarantees_rest_on_is_refused() {
        let options = Options::new("a:1").set("acks", "1");
        assert!(wrong(&options).contains("acks"), "{}", wrong(&options));
        assert!(wrong(&Options::new(" ")).contains("host:port"));
        assert!(wrong(&Options { max_bytes: 1, ..Options::new("a:1") }).contains("max_bytes"));
        let create = Some(NewTopics { partitions: 0, replication: 1 });
        assert!(wrong(&Options { create, ..Options::new("a:1") }).contains("at least 1"));
    }

    #[test]
    fn settings_reach_librdkafka_and_no_log() {
        let options = Options::new("a:1").set("sasl.password", "hush").set("linger.ms", "7");
        assert_eq!(options.producer().unwrap().get("linger.ms"), Some("7"));
        assert!(!format!("{options:?}").contains("hush"));
    }
}
