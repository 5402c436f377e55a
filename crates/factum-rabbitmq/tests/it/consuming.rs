//! Groups, order, what comes again, and where what never will be handled goes.

use std::time::{Duration, Instant};

use factum_app::message::{Close, Message, SettleError, Subscription};
use factum_rabbitmq::{RabbitMq, Sharing};
use tokio::time::sleep;

use crate::support::{
    LIMIT, assert_ordered, connect, fresh, is_quiet, next, numbered, publish, settings, subscribe,
    take,
};

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_group_share_the_keys_in_order_and_another_group_gets_all() {
    let rabbit = connect().await;
    let (shared, other) = (fresh("g"), fresh("g"));
    let mut first = subscribe(&rabbit, Subscription::shared(&shared, ["order.*"])).await;
    let mut second = subscribe(&rabbit, Subscription::shared(&shared, ["order.*"])).await;
    let mut all = subscribe(&rabbit, Subscription::shared(&other, ["order.*"])).await;
    publish(&rabbit, &numbered(0, 200, 20)).await;
    assert_eq!(take(&mut all, 200).await.len(), 200);
    // On a busy machine the second one gets its share later: a key goes from one to the other, and
    // its order holds over both.
    let (mut got, mut counts): (Vec<Message>, [usize; 2]) = (Vec::new(), [0, 0]);
    let begun = Instant::now();
    for round in 1.. {
        while got.len() < round * 200 {
            let (at, delivered) = tokio::select! {
                delivered = next(&mut first) => (0, delivered),
                delivered = next(&mut second) => (1, delivered),
            };
            counts[at] += 1;
            got.push(delivered.message.clone().unwrap());
            delivered.ack().await.unwrap();
        }
        if !counts.contains(&0) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "one has all: {counts:?}");
        publish(&rabbit, &numbered(round * 200, 200, 20)).await;
    }
    assert_ordered(&got);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_leaves_is_replaced_and_what_it_did_not_settle_comes_again() {
    let rabbit = connect().await;
    let group = fresh("g");
    let mut first = subscribe(&rabbit, Subscription::shared(&group, ["#"])).await;
    publish(&rabbit, &numbered(0, 40, 10)).await;
    let held = next(&mut first).await;
    let held_id = held.message.as_ref().unwrap().id.clone();
    let close = first.close(Duration::from_millis(200)).await.unwrap();
    assert_eq!(close, Close { unsettled: 1 });
    assert!(matches!(held.ack().await, Err(SettleError::Lost { .. })));
    let mut second = subscribe(&rabbit, Subscription::shared(&group, ["#"])).await;
    let ids = take(&mut second, 40).await;
    assert!(ids.contains(&held_id));
    assert_eq!(second.close(LIMIT).await.unwrap(), Close { unsettled: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_dropped_is_replaced() {
    let rabbit = connect().await;
    let group = fresh("g");
    let first = subscribe(&rabbit, Subscription::shared(&group, ["#"])).await;
    let mut second = subscribe(&rabbit, Subscription::shared(&group, ["#"])).await;
    publish(&rabbit, &numbered(0, 40, 20)).await;
    drop(first);
    assert_eq!(take(&mut second, 40).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_limit_is_handed_out() {
    let rabbit = connect().await;
    let subscription = Subscription::shared(&fresh("g"), ["#"]).prefetch(3);
    let mut orders = subscribe(&rabbit, subscription).await;
    publish(&rabbit, &numbered(0, 20, 20)).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut orders).await);
    }
    assert!(is_quiet(&mut orders).await);
    held.pop().unwrap().ack().await.unwrap();
    held.push(next(&mut orders).await);
    assert!(is_quiet(&mut orders).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_back_comes_again_later_and_is_counted() {
    let rabbit = connect().await;
    let mut orders = subscribe(&rabbit, Subscription::shared(&fresh("g"), ["#"])).await;
    publish(&rabbit, &numbered(0, 1, 1)).await;
    let first = next(&mut orders).await;
    assert_eq!(first.attempt, 1);
    first.send_back(Duration::ZERO).await.unwrap();
    let second = next(&mut orders).await;
    assert_eq!(second.attempt, 2);
    let (begun, pause) = (Instant::now(), Duration::from_millis(500));
    second.send_back(pause).await.unwrap();
    let third = next(&mut orders).await;
    assert_eq!(third.attempt, 3);
    assert!(begun.elapsed() >= pause);
    drop(third);
    let fourth = next(&mut orders).await;
    assert_eq!(fourth.attempt, 4);
    fourth.ack().await.unwrap();
    assert!(is_quiet(&mut orders).await);
}

/// Who waited to send a message back held its queue: its instance could not leave, nor give the
/// queue to another one, before the delay was over.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_to_be_sent_back_keeps_nobody_from_leaving() {
    let rabbit = connect().await;
    let group = fresh("g");
    let mut first = subscribe(&rabbit, Subscription::shared(&group, ["#"])).await;
    publish(&rabbit, &numbered(0, 1, 1)).await;
    next(&mut first).await.send_back(LIMIT * 10).await.unwrap();
    assert_eq!(first.close(LIMIT).await.unwrap(), Close { unsettled: 0 });
    let mut second = subscribe(&rabbit, Subscription::shared(&group, ["#"])).await;
    let again = next(&mut second).await;
    assert_eq!(again.attempt, 2);
    again.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_keep_what_they_had_and_say_why() {
    let rabbit = connect().await;
    let group = fresh("g");
    let subscription = Subscription::shared(&group, ["#"]).deliveries_max(3);
    let mut orders = subscribe(&rabbit, subscription).await;
    publish(&rabbit, &numbered(0, 2, 2)).await;
    let (one, two) = (next(&mut orders).await, next(&mut orders).await);
    one.dead_letter("it has no customer").await.unwrap();
    two.send_back(Duration::ZERO).await.unwrap();
    for attempt in 2..=3 {
        let again = next(&mut orders).await;
        assert_eq!(again.attempt, attempt);
        again.send_back(Duration::ZERO).await.unwrap();
    }
    assert!(is_quiet(&mut orders).await);
    let url = factum_services::rabbitmq::shared_url().unwrap();
    let other = lapin::Connection::connect(&url, lapin::ConnectionProperties::default());
    let channel = other.await.unwrap().create_channel().await.unwrap();
    let mut headers = Vec::new();
    let dead = format!("{group}.dead");
    let begun = Instant::now();
    while headers.len() < 2 {
        // The broker moves the other one itself, in its own time.
        assert!(begun.elapsed() < LIMIT, "{headers:?}");
        let options = lapin::options::BasicGetOptions { no_ack: true };
        let letter = channel.basic_get(dead.as_str().into(), options).await.unwrap();
        let Some(letter) = letter else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        assert!(letter.data.starts_with(b"{\"number\":"));
        headers.push(letter.properties.headers().clone().unwrap());
    }
    let why = headers.iter().find_map(|all| all.inner().get("factum-dead-why")).unwrap();
    assert_eq!(why, &lapin::types::AMQPValue::LongString("it has no customer".into()));
    assert!(headers.iter().any(|all| all.contains_key("x-death")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broadcast_goes_to_each_from_when_it_began() {
    let rabbit = connect().await;
    let mut first = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    publish(&rabbit, &numbered(0, 5, 5)).await;
    let mut second = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    publish(&rabbit, &numbered(5, 5, 5)).await;
    assert_eq!(take(&mut first, 10).await.len(), 10);
    let mut late = take(&mut second, 5).await;
    late.sort();
    assert_eq!(late, ["5", "6", "7", "8", "9"]);
    assert!(is_quiet(&mut second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_order_shares_one_queue() {
    let rabbit = RabbitMq::connect(settings().sharing(Sharing::Unordered)).await.unwrap();
    let subscription = Subscription::shared(&fresh("g"), ["#"]).prefetch(1);
    let mut first = subscribe(&rabbit, subscription.clone()).await;
    let mut second = subscribe(&rabbit, subscription).await;
    publish(&rabbit, &numbered(0, 2, 1)).await;
    let (one, two) = (next(&mut first).await, next(&mut second).await);
    assert_ne!(one.message.as_ref().unwrap().id, two.message.as_ref().unwrap().id);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_others_come_too_also_those_that_are_no_cloud_events() {
    let exchange = fresh("exchange");
    let rabbit = RabbitMq::connect(settings().exchange(&exchange)).await.unwrap();
    let mut orders = subscribe(&rabbit, Subscription::shared(&fresh("g"), ["#"])).await;
    let url = factum_services::rabbitmq::shared_url().unwrap();
    let other = lapin::Connection::connect(&url, lapin::ConnectionProperties::default());
    let channel = other.await.unwrap().create_channel().await.unwrap();
    channel
        .basic_publish(
            exchange.as_str().into(),
            "order.placed".into(),
            lapin::options::BasicPublishOptions::default(),
            b"hello",
            lapin::BasicProperties::default(),
        )
        .await
        .unwrap();
    let delivered = next(&mut orders).await;
    let malformed = delivered.message.as_ref().unwrap_err();
    assert_eq!(&malformed.bytes[..], b"hello");
    delivered.dead_letter("no CloudEvent").await.unwrap();
}
