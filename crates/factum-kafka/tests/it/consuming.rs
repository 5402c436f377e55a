//! What the suite of brokers does not look at: a rebalance in the middle, the offset in the
//! cluster, attempts, a missing topic.

use crate::support::{LIMIT, batch, mock, name, quick};
use factum_app::message::{ConsumeError, Consumer, Delivered, Deliveries, Publisher, Subscription};
use factum_kafka::{
    KafkaConsumer, KafkaPublisher, Options,
    rdkafka::{
        ClientConfig, Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer as _},
        types::RDKafkaRespErr as Error,
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

async fn deliveries(options: &Options, subscription: Subscription) -> Box<dyn Deliveries> {
    KafkaConsumer::new(options.clone()).unwrap().consume(subscription).await.unwrap()
}

async fn next(feed: &mut Box<dyn Deliveries>) -> Delivered {
    tokio::time::timeout(LIMIT, feed.next()).await.expect("nothing came").unwrap()
}

async fn publish(options: &Options, topic: &str, ids: std::ops::Range<usize>, keys: usize) {
    let publisher = KafkaPublisher::connect(options.clone()).await.unwrap();
    for outcome in publisher.publish(&batch(topic, ids, keys)).await {
        outcome.unwrap();
    }
}

/// What the cluster has of a group, read by a client that is not ours.
fn committed(servers: &str, group: &str, topic: &str) -> i64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", group);
    let client: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let found = client.committed_offsets(list, LIMIT).unwrap();
    match found.elements()[0].offset() {
        Offset::Offset(offset) => offset,
        other => panic!("{other:?}"),
    }
}

/// The second instance joins while the first holds messages, and leaves while it holds some itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_in_the_middle_loses_nothing_and_keeps_order() {
    let (_mock, options, topic) = mock(4);
    let options = quick(options);
    let group = name("group");
    let shared = || Subscription::shared(&group, [topic.as_str()]).from_oldest().prefetch(16);
    publish(&options, &topic, 0..200, 20).await;
    let mut first = deliveries(&options, shared()).await;
    let (mut second, begun) = (None, Instant::now());
    let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let (mut count, mut of_second) = (0, 0);
    while seen.values().flatten().collect::<std::collections::BTreeSet<_>>().len() < 200 {
        assert!(begun.elapsed() < LIMIT, "{seen:?}");
        if count == 50 {
            second = Some(deliveries(&options, shared()).await);
        }
        let wait = Duration::from_millis(50);
        let mut came = Vec::new();
        if let Ok(one) = tokio::time::timeout(wait, first.next()).await {
            came.push(one.unwrap());
        }
        if let Some(other) = &mut second
            && let Ok(one) = tokio::time::timeout(wait, other.next()).await
        {
            of_second += 1;
            came.push(one.unwrap());
        }
        for one in came {
            count += 1;
            let message = one.message.clone().unwrap();
            // Where its partition has gone meanwhile, it comes again.
            let _ = one.ack().await;
            seen.entry(message.key.unwrap()).or_default().push(message.id.parse().unwrap());
        }
        if of_second == 20 {
            of_second += 1;
            drop(second.take());
        }
    }
    for (key, ids) in seen {
        let mut first_time = Vec::new();
        ids.into_iter().for_each(|id| {
            if !first_time.contains(&id) {
                first_time.push(id);
            }
        });
        assert!(first_time.is_sorted(), "{key}: {first_time:?}");
    }
}

async fn the_cluster_has_no_offset_past_what_is_not_settled() {
    let (_mock, options, topic) = mock(1);
    let group = name("group");
    publish(&options, &topic, 0..5, 5).await;
    let shared = || Subscription::shared(&group, [topic.as_str()]).from_oldest();
    let mut feed = deliveries(&options, shared()).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(next(&mut feed).await);
    }
    for nth in [4, 3, 1, 0] {
        held.remove(nth).ack().await.unwrap();
    }
    // The third is out: the first two are committed, and those behind it are not.
    assert_eq!(committed(&options.servers, &group, &topic), 2);
    let closed = feed.close(Duration::ZERO).await.unwrap();
    assert_eq!(closed.unsettled, 1);
    assert_eq!(committed(&options.servers, &group, &topic), 2);
    let late = held.remove(0).ack().await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(committed(&options.servers, &group, &topic), 2);
}

async fn attempts_are_counted_while_the_partition_stays() {
    let (_mock, options, topic) = mock(1);
    let group = name("group");
    publish(&options, &topic, 0..1, 1).await;
    let shared = Subscription::shared(&group, [topic.as_str()]).from_oldest();
    let mut feed = deliveries(&options, shared).await;
    for attempt in 1..=3 {
        let one = next(&mut feed).await;
        assert_eq!(one.attempt, attempt);
        one.send_back(Duration::ZERO).await.unwrap();
    }
}

/// One answer that a topic is not there, as a broker gives it that has just begun, ended the
/// subscription for ever.
async fn a_topic_that_one_broker_does_not_know_ends_nothing() {
    let (mock, options, topic) = mock(1);
    let options = quick(options).set("topic.metadata.refresh.interval.ms", "100");
    publish(&options, &topic, 0..1, 1).await;
    let shared = Subscription::shared(&name("group"), [topic.as_str()]).from_oldest();
    let mut feed = deliveries(&options, shared).await;
    next(&mut feed).await.ack().await.unwrap();
    mock.topic_error(&topic, Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let came = tokio::time::timeout(Duration::from_secs(3), feed.next()).await;
    assert!(came.is_err(), "{:?}", came.unwrap().err());
    mock.topic_error(&topic, Error::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    publish(&options, &topic, 1..2, 1).await;
    assert_eq!(next(&mut feed).await.message.unwrap().id, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_and_a_missing_place_for_dead_letters_are_named_at_the_start() {
    let (_mock, options, topic) = mock(1);
    let consumer = KafkaConsumer::new(options).unwrap();
    let missing = name("missing");
    let refused = async |subscription: Subscription| match consumer.consume(subscription).await {
        Err(ConsumeError::Refused { why }) => why,
        other => panic!("{:?}", other.err()),
    };
    let why = refused(Subscription::shared("g", [missing.as_str()])).await;
    assert!(why.contains(&missing) && why.contains("Options::create"), "{why}");
    let why = refused(Subscription::shared("g", [topic.as_str()]).deliveries_max(3)).await;
    assert!(why.contains(&format!("{topic}.dead-letters")), "{why}");
    let why = refused(Subscription::shared("g", ["^orders.*"])).await;
    assert!(why.contains("letters, digits"), "{why}");
}

/// Beside each other, as each waits for its group most of the time.
#[tokio::test(flavor = "multi_thread")]
async fn in_groups() {
    tokio::join!(
        the_cluster_has_no_offset_past_what_is_not_settled(),
        attempts_are_counted_while_the_partition_stays(),
        a_topic_that_one_broker_does_not_know_ends_nothing(),
    );
}
