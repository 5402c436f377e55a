//! Clusters for tests, and what all of them need: names that nobody else has, and records as they
//! are at the broker.

use factum_app::message::{Message, Outgoing};
use factum_kafka::{
    Options,
    rdkafka::{
        ClientConfig, Message as _, Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer as _},
        message::Headers as _,
        mocking::MockCluster,
        producer::DefaultProducerContext,
    },
};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

pub(crate) type Mock = MockCluster<'static, DefaultProducerContext>;

/// How long anything here may take, at most.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A cluster in this process, with three brokers, and a topic on it.
pub(crate) fn mock(partitions: i32) -> (Mock, Options, String) {
    let mock = MockCluster::new(3).unwrap();
    let topic = name("topic");
    mock.create_topic(&topic, partitions, 3).unwrap();
    let options = Options::new(mock.bootstrap_servers());
    (mock, options, topic)
}

/// A name that no other test, and no other run, has.
pub(crate) fn name(of: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{of}.{}.{count}", std::process::id())
}

pub(crate) fn message(id: usize, key: Option<&str>) -> Message {
    let message = Message::new(id.to_string(), "/tests", "test.happened");
    let message = message.json(&serde_json::json!({ "n": id }));
    match key {
        Some(key) => message.key(key),
        None => message,
    }
}

/// So many messages, over so many keys.
pub(crate) fn batch(topic: &str, ids: std::ops::Range<usize>, keys: usize) -> Vec<Outgoing> {
    ids.map(|id| Outgoing::new(topic, message(id, Some(&format!("key-{}", id % keys))))).collect()
}

/// A record as it is at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AtBroker {
    pub(crate) partition: i32,
    pub(crate) key: Option<String>,
    pub(crate) id: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// Everything in a topic, in the order of each partition, read by a client that is not ours.
pub(crate) fn all_of(servers: &str, topic: &str) -> Vec<AtBroker> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let found = consumer.fetch_metadata(Some(topic), LIMIT).unwrap();
    let mut list = TopicPartitionList::new();
    let mut count = 0;
    for partition in found.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), LIMIT).unwrap();
        count += usize::try_from(high - low).unwrap();
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (begun, mut all) = (Instant::now(), Vec::new());
    while all.len() < count {
        assert!(begun.elapsed() < LIMIT, "{} of {count} were read", all.len());
        let Some(Ok(one)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = one.headers().map(|headers| {
            headers.iter().map(|one| (one.key.to_owned(), text(one.value.unwrap()))).collect()
        });
        let headers: Vec<(String, String)> = headers.unwrap_or_default();
        let id = headers.iter().find(|(name, _)| name == "ce_id");
        let id = id.map(|(_, id)| id.clone()).unwrap_or_default();
        all.push(AtBroker { partition: one.partition(), key: one.key().map(text), id, headers });
    }
    all.sort_by_key(|one| one.partition);
    all
}

/// The ids of one key, in the order in which they are at the broker.
pub(crate) fn ids_of(all: &[AtBroker], key: &str) -> Vec<usize> {
    let of_key = all.iter().filter(|one| one.key.as_deref() == Some(key));
    of_key.map(|one| one.id.parse().unwrap()).collect()
}
