//! The broker is held still, stopped by an alarm, and has limits of its own; each case has its own.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use factum_app::message::{PublishError, Publisher, Subscription};
use factum_rabbitmq::{RabbitMq, Settings};
use factum_services::rabbitmq::RabbitMq as Broker;
use tokio::task::spawn_blocking;

use crate::support::{LIMIT, numbered, publish, subscribe, take};

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_makes_publishing_wait_up_to_its_limit_and_goes_on_when_it_is_over() {
    let broker = Arc::new(spawn_blocking(Broker::start).await.unwrap().unwrap());
    let watermark = async |bytes: &'static str| {
        let broker = Arc::clone(&broker);
        let set = move || broker.ctl(&["set_vm_memory_high_watermark", "absolute", bytes]);
        spawn_blocking(set).await.unwrap().unwrap();
    };
    let limit = Duration::from_secs(1);
    let settings = Settings::new(broker.url()).publish_within(limit);
    let rabbit = RabbitMq::connect(settings).await.unwrap();
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    publish(&rabbit, &numbered(0, 1, 1)).await;
    watermark("1MB").await;
    for number in 1..3 {
        let begun = Instant::now();
        let outcome = rabbit.publish(&numbered(number, 1, 1)).await.remove(0);
        assert!(begun.elapsed() >= limit && begun.elapsed() < limit * 5, "{:?}", begun.elapsed());
        let error = outcome.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("alarm"), "{error}");
    }
    // What was there before is still consumed and acknowledged.
    assert_eq!(take(&mut all, 1).await, ["0"]);
    let patient = Settings::new(broker.url()).publish_within(LIMIT);
    let patient = RabbitMq::connect(patient).await.unwrap();
    let waiting = tokio::spawn(async move { patient.publish(&numbered(3, 1, 1)).await.remove(0) });
    watermark("1GB").await;
    assert_eq!(waiting.await.unwrap(), Ok(()));
    publish(&rabbit, &numbered(4, 1, 1)).await;
    let mut seen = BTreeSet::new();
    while !seen.contains("3") || !seen.contains("4") {
        seen.extend(take(&mut all, 1).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_says_nothing_holds_nobody_for_longer_than_the_limit() {
    let broker = spawn_blocking(Broker::start).await.unwrap().unwrap();
    let limit = Duration::from_secs(1);
    let settings = Settings::new(broker.url()).publish_within(limit);
    let rabbit = RabbitMq::connect(settings).await.unwrap();
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    publish(&rabbit, &numbered(0, 1, 1)).await;
    broker.pause().unwrap();
    let begun = Instant::now();
    let outcome = rabbit.publish(&numbered(1, 1, 1)).await.remove(0);
    assert!(matches!(outcome, Err(PublishError::Unknown { .. })), "{outcome:?}");
    assert!(begun.elapsed() < limit * 5, "{:?}", begun.elapsed());
    broker.resume().unwrap();
    let rabbit = RabbitMq::connect(Settings::new(broker.url())).await.unwrap();
    publish(&rabbit, &numbered(1, 1, 1)).await;
    assert_eq!(take(&mut all, 2).await, ["0", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_of_the_broker_is_too_large_and_the_rest_go_on() {
    let settings = "max_message_size = 20000\n";
    let broker = spawn_blocking(|| Broker::start_with(&[], settings)).await.unwrap().unwrap();
    let rabbit = RabbitMq::connect(Settings::new(broker.url())).await.unwrap();
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    let mut batch = numbered(0, 1, 1);
    batch[0].message.data = vec![b'x'; 30_000].into();
    let outcome = rabbit.publish(&batch).await.remove(0);
    assert_eq!(outcome, Err(PublishError::TooLarge { bytes: 30_000, max: 20_000 }));
    publish(&rabbit, &numbered(1, 1, 1)).await;
    assert_eq!(take(&mut all, 1).await, ["1"]);
}
