//! What is confirmed is there; what is not says why.

use factum_app::message::{Message, Outgoing, PublishError, Publisher, Subscription};
use factum_rabbitmq::{Mode, RabbitMq};

use crate::support::{connect, fresh, next, numbered, publish, settings, subscribe, take};

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_is_an_error_where_that_is_asked_for() {
    let rabbit = RabbitMq::connect(settings().must_route()).await.unwrap();
    let _orders = subscribe(&rabbit, Subscription::shared(&fresh("g"), ["order.*"])).await;
    let mut batch = numbered(0, 6, 3);
    batch[1].topic = "invoice.sent".to_owned();
    let outcomes = rabbit.publish(&batch).await;
    let Err(PublishError::Unroutable { topic, .. }) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(topic, "invoice.sent");
    // Behind it, with its key, nothing was sent; the others were.
    assert_eq!(outcomes[4], Err(PublishError::Behind { key: "order-1".to_owned() }));
    for at in [0, 2, 3, 5] {
        assert_eq!(outcomes[at], Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_has_subscribed_to_is_published_all_the_same() {
    let rabbit = connect().await;
    let mut orders = subscribe(&rabbit, Subscription::shared(&fresh("g"), ["order.*"])).await;
    let mut batch = numbered(0, 6, 3);
    batch[1].topic = "invoice.sent".to_owned();
    publish(&rabbit, &batch).await;
    let mut ids = take(&mut orders, 5).await;
    ids.sort();
    assert_eq!(ids, ["0", "2", "3", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_are_confirmed_at_once_the_right_ones_are_unroutable() {
    let rabbit = RabbitMq::connect(settings().must_route()).await.unwrap();
    let mut orders = subscribe(&rabbit, Subscription::shared(&fresh("g"), ["order.*"])).await;
    let mut batch = numbered(0, 600, 600);
    for outgoing in batch.iter_mut().step_by(7) {
        outgoing.topic = "invoice.sent".to_owned();
    }
    for (at, outcome) in rabbit.publish(&batch).await.into_iter().enumerate() {
        assert_eq!(outcome.is_err(), at % 7 == 0, "{at}: {outcome:?}");
    }
    let mut ids: Vec<usize> =
        take(&mut orders, 514).await.into_iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq((0..600).filter(|at| at % 7 != 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_modes_bring_all_that_a_message_has() {
    let message = Message::new("1", "/shop", "order.placed").key("order-7");
    let message = message.with("correlationid", "c1").with("causationid", "c2");
    let message =
        message.with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let bytes = message.data("application/octet-stream", vec![0, 159, 146, 150]);
    let exchange = fresh("exchange");
    for mode in [Mode::Binary, Mode::Structured] {
        let settings = settings().exchange(&exchange).mode(mode);
        let rabbit = RabbitMq::connect(settings).await.unwrap();
        let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
        publish(&rabbit, &[Outgoing::new("order.placed", bytes.clone())]).await;
        let delivered = next(&mut all).await;
        assert_eq!(delivered.topic, "order.placed");
        assert_eq!(delivered.message.as_ref().unwrap(), &bytes);
        delivered.ack().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused_before_it_is_sent() {
    let rabbit = RabbitMq::connect(settings().max_bytes(10_000)).await.unwrap();
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    let mut batch = numbered(0, 3, 1);
    batch[1].message.data = vec![b'x'; 10_001].into();
    let outcomes = rabbit.publish(&batch).await;
    assert!(matches!(outcomes[1], Err(PublishError::TooLarge { max: 10_000, .. })));
    assert!(matches!(outcomes[2], Err(PublishError::Behind { .. })));
    assert_eq!(take(&mut all, 1).await, ["0"]);
    batch[1].message.data = vec![b'x'; 9_000].into();
    publish(&rabbit, &batch).await;
    assert_eq!(take(&mut all, 3).await, ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_was_deleted_is_there_again_for_the_next_try() {
    let exchange = fresh("exchange");
    let rabbit = RabbitMq::connect(settings().exchange(&exchange)).await.unwrap();
    let url = factum_services::rabbitmq::shared_url().unwrap();
    let other = lapin::Connection::connect(&url, lapin::ConnectionProperties::default());
    let channel = other.await.unwrap().create_channel().await.unwrap();
    channel
        .exchange_delete(exchange.as_str().into(), lapin::options::ExchangeDeleteOptions::default())
        .await
        .unwrap();
    let outcomes = rabbit.publish(&numbered(0, 1, 1)).await;
    assert!(matches!(&outcomes[0], Err(error) if error.is_retryable()), "{outcomes:?}");
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    publish(&rabbit, &numbered(0, 1, 1)).await;
    assert_eq!(take(&mut all, 1).await, ["0"]);
}
