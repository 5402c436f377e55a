//! What of the broker the suite cannot see: its limits, and its patterns.

use super::*;
use crate::message::{Consumer, Subscription};

fn broker(limits: MemoryLimits) -> MemoryBroker {
    MemoryBroker::with(Arc::new(crate::world::TokioWorld::default()), limits)
}

fn one(id: u32, topic: &str) -> Outgoing {
    Outgoing::new(topic, Message::new(id.to_string(), "/a", "b").key("k"))
}

async fn publish(broker: &MemoryBroker, id: u32, topic: &str) -> Result<(), PublishError> {
    broker.publish(&[one(id, topic)]).await.remove(0)
}

#[tokio::test]
async fn patterns_match_words() {
    let broker = broker(MemoryLimits::default());
    let mut all = broker.consume(Subscription::shared("g", ["a.*.c", "x.#"])).await.unwrap();
    for (id, topic) in (1..).zip(["a.b.c", "a.c", "a.b.c.d", "x", "x.y.z", "y", "a.z.c"]) {
        publish(&broker, id, topic).await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let delivered = all.next().await.unwrap();
        seen.push(delivered.topic.clone());
        delivered.ack().await.unwrap();
    }
    assert_eq!(seen, ["a.b.c", "x", "x.y.z", "a.z.c"]);
    for wrong in ["", "a..b", "a.*", "#"] {
        assert!(matches!(publish(&broker, 9, wrong).await, Err(PublishError::Refused { .. })));
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_fits_later() {
    let broker = broker(MemoryLimits { waiting_max: 2, ..MemoryLimits::default() });
    let mut group = broker.consume(Subscription::shared("g", ["t"])).await.unwrap();
    publish(&broker, 1, "t").await.unwrap();
    publish(&broker, 2, "t").await.unwrap();
    let full = publish(&broker, 3, "t").await.unwrap_err();
    assert!(full.is_retryable() && matches!(full, PublishError::Unavailable { .. }), "{full}");
    let first = group.next().await.unwrap();
    publish(&broker, 3, "t").await.unwrap();
    first.ack().await.unwrap();
}

#[tokio::test]
async fn dead_letters_that_do_not_fit_come_again() {
    let broker = broker(MemoryLimits { dead_max: 1, ..MemoryLimits::default() });
    let mut group = broker.consume(Subscription::shared("g", ["t"])).await.unwrap();
    publish(&broker, 1, "t").await.unwrap();
    publish(&broker, 2, "t").await.unwrap();
    group.next().await.unwrap().dead_letter("a").await.unwrap();
    group.next().await.unwrap().dead_letter("b").await.unwrap_err();
    assert_eq!(group.next().await.unwrap().message.unwrap().id, "2");
    assert_eq!(broker.dead_letters("g").len(), 1);
}

#[tokio::test]
async fn only_so_many_are_kept_for_who_begins_with_the_oldest() {
    let broker = broker(MemoryLimits { kept_max: 2, ..MemoryLimits::default() });
    for id in 1..=3 {
        publish(&broker, id, "t").await.unwrap();
    }
    let oldest = Subscription::shared("g", ["t"]).from_oldest();
    let mut group = broker.consume(oldest).await.unwrap();
    assert_eq!(group.next().await.unwrap().message.unwrap().id, "2");
}
