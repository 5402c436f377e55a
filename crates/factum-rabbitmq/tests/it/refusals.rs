//! What is wrong with a broker's set-up is found at the start, and the cure is named.

use std::time::Duration;

use factum_app::message::{ConsumeError, Consumer, Subscription};
use factum_rabbitmq::{ConnectError, RabbitMq, Settings, Sharing};
use factum_services::rabbitmq::RabbitMq as Broker;

use crate::support::{LIMIT, connect, fresh, settings, subscribe};

async fn refusal(settings: Settings) -> ConnectError {
    let settings = settings.connect_within(LIMIT);
    RabbitMq::connect(settings).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_refused() {
    let error = refusal(Settings::new("http://localhost")).await;
    assert!(matches!(error, ConnectError::Url { .. }), "{error}");
    let error = refusal(settings().exchange("")).await;
    assert!(matches!(error, ConnectError::Setting { name: "exchange", .. }), "{error}");
    let error = refusal(settings().sharing(Sharing::Ordered { queues: 17 })).await;
    assert!(matches!(error, ConnectError::Setting { name: "sharing", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_at_once() {
    let broker = Broker::shared().unwrap();
    let error = refusal(Settings::new(broker.url_of("guest", "wrong"))).await;
    assert!(matches!(error, ConnectError::Credentials { .. }), "{error:?}");
    let url = broker.url().replace("%2f", "nowhere");
    let error = refusal(Settings::new(url)).await;
    assert!(matches!(error, ConnectError::Credentials { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_unavailable_within_the_limit() {
    let settings = Settings::new("amqp://127.0.0.1:1/%2f");
    let error = RabbitMq::connect(settings.connect_within(Duration::from_millis(300))).await;
    assert!(matches!(error, Err(ConnectError::Unavailable { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_another_type_is_refused() {
    let broker = Broker::shared().unwrap();
    let error = refusal(Settings::new(broker.url()).exchange("amq.direct")).await;
    let ConnectError::Exchange { exchange, said } = &error else { panic!("{error:?}") };
    assert_eq!(exchange, "amq.direct");
    assert!(said.contains("topic"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_found_before_anything_is_published() {
    let broker = Broker::shared().unwrap();
    let (user, exchange) = (fresh("user"), fresh("exchange"));
    broker.ctl(&["add_user", &user, "secret"]).unwrap();
    let settings = || Settings::new(broker.url_of(&user, "secret")).exchange(&exchange);
    let error = refusal(settings()).await;
    assert!(matches!(error, ConnectError::Credentials { .. }), "no virtual host: {error:?}");
    let permit = |configure: &str, write: &str, read: &str| {
        broker.ctl(&["set_permissions", &user, configure, write, read]).unwrap();
    };
    permit("^$", "^$", "^$");
    let error = refusal(settings()).await;
    assert!(matches!(error, ConnectError::Permission { .. }), "may not declare: {error:?}");
    permit(".*", "^$", ".*");
    let error = refusal(settings()).await;
    assert!(matches!(error, ConnectError::Permission { .. }), "may not write: {error:?}");
    // Who only publishes needs no more than to write, where the exchange is there.
    permit("^$", ".*", "^$");
    let rabbit = RabbitMq::connect(settings()).await.unwrap();
    let error = rabbit.consume(Subscription::shared(&fresh("g"), ["#"])).await.err().unwrap();
    assert!(matches!(&error, ConsumeError::Refused { why } if why.contains("set_permissions")));
}

/// The bindings of both numbers stayed side by side: a key came twice, or into a queue without a
/// reader.
#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_queues_for_a_group_that_is_there_is_refused_with_the_cure() {
    let (exchange, group) = (fresh("exchange"), fresh("g"));
    let with = async |queues| {
        let settings = settings().exchange(&exchange).sharing(Sharing::Ordered { queues });
        RabbitMq::connect(settings).await.unwrap()
    };
    let _orders = subscribe(&with(4).await, Subscription::shared(&group, ["#"])).await;
    for queues in [2, 8] {
        let refused = with(queues).await.consume(Subscription::shared(&group, ["#"])).await;
        let error = refused.err().unwrap();
        let ConsumeError::Refused { why } = &error else { panic!("{error:?}") };
        assert!(why.contains("alternate-exchange") && why.contains("delete it"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_form_is_refused_with_the_cure() {
    let rabbit = connect().await;
    let group = fresh("g");
    let _orders = subscribe(&rabbit, Subscription::shared(&group, ["#"])).await;
    let other = Subscription::shared(&group, ["#"]).deliveries_max(5);
    let error = rabbit.consume(other).await.err().unwrap();
    let ConsumeError::Refused { why } = &error else { panic!("{error:?}") };
    assert!(why.contains("x-delivery-limit") && why.contains("delete it"), "{why}");
    let counted = Subscription::broadcast(["#"]).deliveries_max(5);
    let error = rabbit.consume(counted).await.err().unwrap();
    assert!(matches!(error, ConsumeError::Unsupported { .. }));
    let long = Subscription::shared(&"x".repeat(300), ["#"]);
    let error = rabbit.consume(long).await.err().unwrap();
    assert!(matches!(error, ConsumeError::Refused { .. }));
}
