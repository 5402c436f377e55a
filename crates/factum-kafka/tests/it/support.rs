//! Clusters for tests, and what all of them need: names that nobody else has, and records as they
//! are at the broker.

use factum_app::message::{Message, Outgoing};
use factum_kafka::{
    Options,
    rdkafka::{
        ClientConfig, Message as _, Offset, TopicPartitionList,
        admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
        consumer::{BaseConsumer, Consumer as _},
        error::KafkaError,
        message::{BorrowedMessage, Headers as _},
        mocking::MockCluster,
        producer::DefaultProducerContext,
    },
};
use std::{
    collections::HashSet,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
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

/// The mock cluster waits for a session's time-out, less a second, whenever somebody leaves a
/// group, and Tansu for half of it whenever somebody joins.
pub(crate) fn quick(options: Options) -> Options {
    options.set("session.timeout.ms", "4000").set("heartbeat.interval.ms", "200")
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
    let mut all = everything(servers, topic, |one| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = one.headers().map(|headers| {
            headers.iter().map(|one| (one.key.to_owned(), text(one.value.unwrap()))).collect()
        });
        let headers: Vec<(String, String)> = headers.unwrap_or_default();
        let id = headers.iter().find(|(name, _)| name == "ce_id");
        let id = id.map(|(_, id)| id.clone()).unwrap_or_default();
        AtBroker { partition: one.partition(), key: one.key().map(text), id, headers }
    });
    all.sort_by_key(|one| one.partition);
    all
}

/// Each record of a topic, as the caller reads it.
pub(crate) fn everything<T>(
    servers: &str,
    topic: &str,
    read: impl Fn(&BorrowedMessage<'_>) -> T,
) -> Vec<T> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let found = consumer.fetch_metadata(Some(topic), LIMIT).unwrap();
    let mut list = TopicPartitionList::new();
    let (mut count, mut open) = (0, HashSet::new());
    for partition in found.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), LIMIT).unwrap();
        count += usize::try_from(high - low).unwrap();
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        open.insert(partition.id());
    }
    consumer.assign(&list).unwrap();
    let (begun, mut all) = (Instant::now(), Vec::new());
    // The ends of transactions have offsets too, and are never handed out.
    while all.len() < count && !open.is_empty() {
        assert!(begun.elapsed() < LIMIT, "{} of {count} were read", all.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(one)) => all.push(read(&one)),
            Some(Err(KafkaError::PartitionEOF(partition))) => _ = open.remove(&partition),
            _ => {}
        }
    }
    all
}

/// Makes a topic, with a client that is not ours.
pub(crate) async fn create(servers: &str, topic: &str, partitions: u16) {
    let admin: AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let new = NewTopic::new(topic, i32::from(partitions), TopicReplication::Fixed(1));
    let made = admin.create_topics(&[new], &AdminOptions::new()).await.unwrap();
    made.into_iter().for_each(|one| _ = one.unwrap());
}

/// A mock cluster for those who share it: it may not leave its thread.
pub(crate) struct MockThread {
    jobs: SyncSender<Job>,
    servers: String,
}

type Job = Box<dyn FnOnce(&Mock) + Send>;

impl MockThread {
    pub(crate) fn start(brokers: i32) -> Self {
        let (jobs, asked) = sync_channel::<Job>(1);
        let (say, said) = sync_channel(1);
        std::thread::spawn(move || {
            let mock = MockCluster::new(brokers).unwrap();
            say.send(mock.bootstrap_servers()).unwrap();
            asked.into_iter().for_each(|job| job(&mock));
        });
        Self { jobs, servers: said.recv().unwrap() }
    }

    pub(crate) fn servers(&self) -> String {
        self.servers.clone()
    }

    pub(crate) fn create(&self, topic: &str, partitions: u16) {
        let topic = topic.to_owned();
        self.run(move |mock| mock.create_topic(&topic, i32::from(partitions), 1).unwrap());
    }

    pub(crate) fn down(&self) {
        self.run(|mock| mock.broker_down(-1).unwrap());
    }

    pub(crate) fn up(&self) {
        self.run(|mock| mock.broker_up(-1).unwrap());
    }

    /// Returns when it is done.
    pub(crate) fn run(&self, job: impl FnOnce(&Mock) + Send + 'static) {
        let (done, ended) = sync_channel(1);
        let job = move |mock: &Mock| {
            job(mock);
            done.send(()).unwrap();
        };
        self.jobs.send(Box::new(job)).unwrap();
        ended.recv().unwrap();
    }
}

/// The ids of one key, in the order in which they are at the broker.
pub(crate) fn ids_of(all: &[AtBroker], key: &str) -> Vec<usize> {
    let of_key = all.iter().filter(|one| one.key.as_deref() == Some(key));
    of_key.map(|one| one.id.parse().unwrap()).collect()
}
