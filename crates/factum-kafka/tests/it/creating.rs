//! Topics that are made because `Options::create` asks for it, over a broker: the mock cluster
//! makes none.

use crate::support::{LIMIT, batch, name, quick};
use factum_app::message::{Consumer, Publisher, Subscription};
use factum_kafka::{
    KafkaConsumer, KafkaPublisher, NewTopics, Options,
    rdkafka::{
        ClientConfig,
        consumer::{BaseConsumer, Consumer as _},
    },
};

/// How many partitions a topic has, as a client sees that is not ours.
fn partitions(servers: &str, topic: &str) -> usize {
    let config = ClientConfig::new().set("bootstrap.servers", servers).clone();
    let client: BaseConsumer = config.create().unwrap();
    let found = client.fetch_metadata(Some(topic), LIMIT).unwrap();
    found.topics()[0].partitions().len()
}

fn creating(servers: String, partitions: u16) -> Options {
    let create = Some(NewTopics { partitions, replication: 1 });
    quick(Options { create, ..Options::new(servers) })
}

/// Two ask for it at once, and both publish.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_is_made_as_it_is_asked_for() {
    let servers = factum_services::kafka::shared_url().unwrap();
    let (options, topic) = (creating(servers.clone(), 3), name("made"));
    let one = KafkaPublisher::connect(options.clone()).await.unwrap();
    let other = KafkaPublisher::connect(options).await.unwrap();
    let batches = [batch(&topic, 0..6, 6), batch(&topic, 6..12, 6)];
    let outcomes = tokio::join!(one.publish(&batches[0]), other.publish(&batches[1]));
    assert_eq!(outcomes, (vec![Ok(()); 6], vec![Ok(()); 6]));
    assert_eq!(partitions(&servers, &topic), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_consumes_has_its_topic_made_and_that_of_its_dead_letters() {
    let servers = factum_services::kafka::shared_url().unwrap();
    let (options, topic) = (creating(servers.clone(), 2), name("made"));
    let consumer = KafkaConsumer::new(options).unwrap();
    let subscription = Subscription::shared(&name("group"), [topic.as_str()]).deliveries_max(3);
    drop(consumer.consume(subscription).await.unwrap());
    let dead = format!("{topic}.dead-letters");
    assert_eq!((partitions(&servers, &topic), partitions(&servers, &dead)), (2, 2));
}
