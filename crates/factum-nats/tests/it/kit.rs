//! Servers that cases share, names that nobody else uses, and waits with a limit.

use factum_app::message::{
    Consumer, Delivered, Deliveries, Message, Outgoing, Publisher, Subscription,
};
use factum_nats::{Nats, Settings, Stream};
use factum_services::nats::{Nats as Server, Version};
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const QUIET: Duration = Duration::from_millis(400);

/// The server that cases share.
pub(crate) fn shared() -> &'static Server {
    Server::shared().unwrap()
}

/// The old one that cases share.
pub(crate) fn debian() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start_version(Version::Debian).unwrap())
}

/// What the plain client has to say.
pub(crate) async fn context(url: &str) -> async_nats::jetstream::Context {
    let servers = url.split(',').collect::<Vec<_>>();
    async_nats::jetstream::new(async_nats::connect(servers).await.unwrap())
}

/// A name of this case's own.
pub(crate) fn name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Settings with which tests do not wait long.
pub(crate) fn settings(url: &str) -> Settings {
    let second = Duration::from_secs(1);
    Settings::new(url).create().ack_wait(second * 2).lease(second * 4).within(second * 10)
}

/// A connection with a stream of this name, which takes `<name>.>`.
pub(crate) async fn nats(url: &str, name: &str) -> Nats {
    let stream = Stream::new(name, [format!("{name}.>")]);
    Nats::connect(settings(url).stream(stream)).await.unwrap()
}

pub(crate) fn message(topic: &str, key: &str, number: u64) -> Outgoing {
    let message = Message::new(format!("{topic} {key} {number}"), "/test", "tried");
    Outgoing::new(topic, message.key(key).data("text/plain", number.to_string()))
}

/// Messages of so many keys, each with these numbers in order.
pub(crate) fn batch(topic: &str, keys: u64, numbers: RangeInclusive<u64>) -> Vec<Outgoing> {
    let pairs = numbers.flat_map(|number| (0..keys).map(move |key| (key, number)));
    pairs.map(|(key, number)| message(topic, &format!("k{key}"), number)).collect()
}

pub(crate) async fn put(nats: &Nats, batch: &[Outgoing]) {
    for outcome in nats.publish(batch).await {
        outcome.unwrap();
    }
}

/// Publishes until all is confirmed, as an outbox does.
pub(crate) async fn insist(nats: &Nats, batch: &[Outgoing]) {
    let insisting = async {
        let mut left = batch.to_vec();
        while !left.is_empty() {
            let outcomes = nats.publish(&left).await;
            let again = |(one, outcome): (Outgoing, Result<(), _>)| {
                let error: factum_app::message::PublishError = outcome.err()?;
                assert!(error.is_retryable(), "{error}");
                Some(one)
            };
            left = left.into_iter().zip(outcomes).filter_map(again).collect();
        }
    };
    tokio::time::timeout(PATIENCE * 2, insisting).await.expect("all to be confirmed");
}

pub(crate) async fn open(nats: &Nats, subscription: Subscription) -> Box<dyn Deliveries> {
    nats.consume(subscription).await.unwrap()
}

pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivered {
    tokio::time::timeout(PATIENCE, deliveries.next()).await.expect("a message to come").unwrap()
}

pub(crate) async fn quiet(deliveries: &mut Box<dyn Deliveries>) {
    if let Ok(delivered) = tokio::time::timeout(QUIET, deliveries.next()).await {
        panic!("nothing was to come, and {delivered:?} came");
    }
}

/// The key and the number of a message.
pub(crate) fn label(delivered: &Delivered) -> (String, u64) {
    let message = delivered.message.as_ref().unwrap();
    let number = String::from_utf8_lossy(&message.data).parse().unwrap();
    (message.key.clone().unwrap(), number)
}

/// What has come, by keys, in the order in which it came first.
#[derive(Default)]
pub(crate) struct Seen {
    keys: BTreeMap<String, Vec<u64>>,
}

impl Seen {
    pub(crate) fn note(&mut self, delivered: &Delivered) {
        let (key, number) = label(delivered);
        let numbers = self.keys.entry(key).or_default();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }

    fn count(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// Every key has all of these, in order.
    pub(crate) fn check(&self, numbers: RangeInclusive<u64>) {
        for (key, came) in &self.keys {
            assert_eq!(*came, numbers.clone().collect::<Vec<_>>(), "{key}");
        }
    }

    /// Acknowledges what comes until so many have come.
    pub(crate) async fn until(&mut self, deliveries: &mut Box<dyn Deliveries>, count: usize) {
        while self.count() < count {
            let delivered = next(deliveries).await;
            self.note(&delivered);
            // Where the connection is lost, it comes again.
            let _ = delivered.ack().await;
        }
    }
}
