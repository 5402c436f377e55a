//! One broker for most cases, with fresh names for each; messages, and waiting with a limit.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use factum_app::message::{
    Consumer, Delivered, Deliveries, Message, Outgoing, Publisher, Subscription,
};
use factum_rabbitmq::{RabbitMq, Settings};
use factum_services::rabbitmq;

/// Nothing here takes longer, on a machine that is busy with other things too.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// So long is waited for what must not come.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// A name that no other case has, nor one of another run at the same broker.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{number}", std::process::id())
}

/// Settings for the shared broker, with an exchange of the case's own.
pub(crate) fn settings() -> Settings {
    Settings::new(rabbitmq::shared_url().unwrap()).exchange(fresh("exchange"))
}

pub(crate) async fn connect() -> RabbitMq {
    RabbitMq::connect(settings()).await.unwrap()
}

/// Messages from `first` on, one after the other over so many keys.
pub(crate) fn numbered(first: usize, count: usize, keys: usize) -> Vec<Outgoing> {
    let one = |number: usize| {
        let message = Message::new(number.to_string(), "/shop", "order.placed");
        let message = message.key(format!("order-{}", number % keys));
        Outgoing::new("order.placed", message.json(&serde_json::json!({ "number": number })))
    };
    (first..first + count).map(one).collect()
}

pub(crate) async fn publish(to: &RabbitMq, batch: &[Outgoing]) {
    for outcome in to.publish(batch).await {
        outcome.unwrap();
    }
}

pub(crate) async fn subscribe(to: &RabbitMq, subscription: Subscription) -> Box<dyn Deliveries> {
    to.consume(subscription).await.unwrap()
}

/// The next message, within the limit.
pub(crate) async fn next(from: &mut Box<dyn Deliveries>) -> Delivered {
    tokio::time::timeout(LIMIT, from.next()).await.expect("a message within the limit").unwrap()
}

/// Whether nothing comes for a while.
pub(crate) async fn is_quiet(from: &mut Box<dyn Deliveries>) -> bool {
    tokio::time::timeout(QUIET, from.next()).await.is_err()
}

/// The ids of so many messages, each acknowledged.
pub(crate) async fn take(from: &mut Box<dyn Deliveries>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let delivered = next(from).await;
        ids.push(delivered.message.as_ref().unwrap().id.clone());
        delivered.ack().await.unwrap();
    }
    ids
}

/// Each key's numbers ascend.
pub(crate) fn assert_ordered(messages: &[Message]) {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for message in messages {
        let number: usize = message.id.parse().unwrap();
        let before = last.insert(message.key.as_deref().unwrap(), number);
        assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
    }
}
