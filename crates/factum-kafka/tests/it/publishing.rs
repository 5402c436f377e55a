//! Publishing, and every way in which it fails, over the mock cluster.

use crate::support::{LIMIT, all_of, batch, ids_of, message, mock, name};
use factum_app::message::{Outgoing, PublishError, Publisher};
use factum_kafka::{
    ConnectError, KafkaPublisher, Mode, Options,
    rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Error},
};
use std::time::{Duration, Instant};

/// How long is waited for a cluster that stays away: what it answers before may be slow to come.
const PATIENCE: Duration = Duration::from_secs(10);

async fn publisher(options: &Options) -> KafkaPublisher {
    KafkaPublisher::connect(options.clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_is_there_in_order_of_its_key() {
    let (_mock, options, topic) = mock(4);
    let publisher = publisher(&options).await;
    for from in [0, 100] {
        let outcomes = publisher.publish(&batch(&topic, from..from + 100, 7)).await;
        assert_eq!(outcomes, vec![Ok(()); 100]);
    }
    let all = all_of(&options.servers, &topic);
    assert_eq!(all.len(), 200);
    for key in 0..7 {
        let ids = ids_of(&all, &format!("key-{key}"));
        assert_eq!(ids, (key..200).step_by(7).collect::<Vec<_>>());
    }
    let headers = all[0].headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    let expect = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_partitionkey"];
    assert_eq!(headers, [&expect[..], &["content-type"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structured_message_is_one_document() {
    let (_mock, options, topic) = mock(1);
    let publisher = publisher(&Options { mode: Mode::Structured, ..options.clone() }).await;
    publisher.publish(&batch(&topic, 0..1, 1)).await.remove(0).unwrap();
    let all = all_of(&options.servers, &topic);
    let expect = [("content-type".to_owned(), "application/cloudevents+json".to_owned())];
    assert_eq!((&all[0].headers[..], all[0].key.as_deref()), (&expect[..], Some("key-0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_named_with_the_cure() {
    let (_mock, options, topic) = mock(1);
    let publisher = publisher(&options).await;
    let missing = name("missing");
    let batch = [&missing, &topic].map(|topic| Outgoing::new(topic, message(1, None)));
    let outcomes = publisher.publish(&batch).await;
    let Err(PublishError::Unroutable { topic: named, why }) = &outcomes[0] else {
        panic!("{outcomes:?}");
    };
    assert!(*named == missing && why.contains("Options::create"), "{why}");
    assert_eq!(outcomes[1], Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_what_is_behind_it_waits() {
    let (_mock, options, topic) = mock(1);
    let publisher = publisher(&Options { max_bytes: 2_000, ..options.clone() }).await;
    let large = message(1, Some("a")).data("text/plain", vec![b'x'; 2_000]);
    let batch = [large, message(2, Some("a")), message(3, Some("b")), message(4, None)]
        .map(|message| Outgoing::new(&topic, message));
    let outcomes = publisher.publish(&batch).await;
    let Err(PublishError::TooLarge { bytes, max: 2_000 }) = outcomes[0] else {
        panic!("{outcomes:?}");
    };
    assert!(bytes > 2_000);
    assert_eq!(outcomes[1], Err(PublishError::Behind { key: "a".into() }));
    assert_eq!(outcomes[2..], [Ok(()), Ok(())]);
    assert_eq!(all_of(&options.servers, &topic).len(), 2);
    // The limit is ours, not librdkafka's, also for the largest.
    let room = 4_000 - bytes;
    let fits = message(1, Some("a")).data("text/plain", vec![b'x'; usize::try_from(room).unwrap()]);
    assert_eq!(publisher.publish(&[Outgoing::new(&topic, fits)]).await, [Ok(())]);
}

/// What is behind it is not looked at: that a broker refuses a sequence with a gap is what keeps it
/// away, and the mock cluster takes one.
#[tokio::test(flavor = "multi_thread")]
async fn after_what_the_broker_refuses_a_new_producer_takes_over() {
    let (mock, options, topic) = mock(1);
    let publisher = publisher(&options).await;
    publisher.publish(&batch(&topic, 0..1, 1)).await.remove(0).unwrap();
    mock.request_errors(Api::Produce, &[Error::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    let outcomes = publisher.publish(&batch(&topic, 1..2, 1)).await;
    assert!(matches!(outcomes[0], Err(PublishError::Refused { .. })), "{outcomes:?}");
    assert_eq!(publisher.publish(&batch(&topic, 5..8, 1)).await, vec![Ok(()); 3]);
    assert_eq!(ids_of(&all_of(&options.servers, &topic), "key-0"), [0, 5, 6, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cure_for_a_broker_that_takes_less_is_named() {
    let (mock, options, topic) = mock(1);
    let publisher = publisher(&options).await;
    mock.request_errors(Api::Produce, &[Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let outcomes = publisher.publish(&batch(&topic, 0..1, 1)).await;
    let Err(PublishError::Refused { why }) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(why.contains("max.message.bytes"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_without_the_right_to_it_is_refused() {
    let (mock, options, topic) = mock(1);
    let denied = Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.topic_error(&topic, denied).unwrap();
    let outcomes = publisher(&options).await.publish(&batch(&topic, 0..1, 1)).await;
    let Err(PublishError::Refused { why }) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(why.contains(&topic) && why.contains("right"), "{why}");
}

async fn an_outage_of_seconds_is_waited_for() {
    let (mock, options, topic) = mock(2);
    let publisher = publisher(&options).await;
    publisher.publish(&batch(&topic, 0..4, 2)).await.remove(0).unwrap();
    mock.broker_down(-1).unwrap();
    let next = batch(&topic, 4..10, 2);
    let (outcomes, ()) = tokio::join!(publisher.publish(&next), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        mock.broker_up(-1).unwrap();
    });
    assert_eq!(outcomes, vec![Ok(()); 6]);
    let all = all_of(&options.servers, &topic);
    assert_eq!(ids_of(&all, "key-0"), [0, 2, 4, 6, 8]);
    assert_eq!(ids_of(&all, "key-1"), [1, 3, 5, 7, 9]);
}

async fn a_broker_that_stays_away_leaves_it_unknown_and_the_next_call_begins_anew() {
    let (mock, options, topic) = mock(1);
    let limit = PATIENCE;
    let publisher = publisher(&Options { publish_timeout: limit, ..options.clone() }).await;
    publisher.publish(&batch(&topic, 0..1, 1)).await.remove(0).unwrap();
    mock.broker_down(-1).unwrap();
    let begun = Instant::now();
    let outcomes = publisher.publish(&batch(&topic, 1..3, 1)).await;
    let unknown = |one: &Result<(), _>| matches!(one, Err(PublishError::Unknown { .. }));
    assert!(outcomes.iter().all(unknown), "{outcomes:?}");
    assert!(begun.elapsed() < limit + LIMIT, "{:?}", begun.elapsed());
    mock.broker_up(-1).unwrap();
    let mut tries = 0;
    while publisher.publish(&batch(&topic, 3..4, 1)).await != [Ok(())] {
        tries += 1;
        assert!(tries < 20);
    }
    // What was taken back is not sent by anybody afterwards.
    assert_eq!(ids_of(&all_of(&options.servers, &topic), "key-0")[..2], [0, 3]);
}

/// The broker closes the connection instead of answering, twice.
async fn a_connection_that_is_lost_in_the_middle_loses_and_repeats_nothing() {
    let (mock, options, topic) = mock(1);
    let publisher = publisher(&options).await;
    publisher.publish(&batch(&topic, 0..1, 1)).await.remove(0).unwrap();
    mock.request_errors(Api::Produce, &[Error::RD_KAFKA_RESP_ERR__TRANSPORT; 2]);
    assert_eq!(publisher.publish(&batch(&topic, 1..20, 1)).await, vec![Ok(()); 19]);
    let ids = ids_of(&all_of(&options.servers, &topic), "key-0");
    assert_eq!(ids, (0..20).collect::<Vec<_>>());
}

async fn a_full_queue_is_waited_for() {
    let (mock, options, topic) = mock(1);
    let options = options.set("queue.buffering.max.messages", "3");
    mock.broker_round_trip_time(-1, Duration::from_millis(20)).unwrap();
    let publisher = publisher(&options).await;
    assert_eq!(publisher.publish(&batch(&topic, 0..30, 3)).await, vec![Ok(()); 30]);
    // And where nobody ever confirms anything, for so long only.
    mock.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let limit = PATIENCE;
    let publisher = KafkaPublisher::connect(Options { publish_timeout: limit, ..options.clone() });
    let publisher = publisher.await.unwrap();
    publisher.publish(&batch(&topic, 30..31, 1)).await.remove(0).unwrap();
    mock.broker_down(-1).unwrap();
    let outcomes = publisher.publish(&batch(&topic, 31..37, 6)).await;
    let waits = |one: &Result<(), _>| matches!(one, Err(PublishError::Unavailable { .. }));
    assert!(outcomes[3..].iter().all(waits), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_are_told_at_the_start() {
    let (_mock, options, _) = mock(1);
    let options = options
        .set("security.protocol", "sasl_plaintext")
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", "somebody")
        .set("sasl.password", "wrong");
    // As refused, not as one that did not answer in time.
    let error = KafkaPublisher::connect(options).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Refused { why } if why.contains("sasl")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_and_a_cluster_that_is_not_there_are_told_apart() {
    let of = |options: Options| async { KafkaPublisher::connect(options).await.unwrap_err() };
    let error = of(Options::new("127.0.0.1:1").set("linger", "1")).await;
    assert!(matches!(&error, ConnectError::Setting { name, .. } if name == "linger"), "{error}");
    for (name, value) in [
        ("security.protocol", "ssl"),
        ("ssl.ca.location", "/ca.pem"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
    ] {
        let options = match name {
            "sasl.mechanism" => Options::new("127.0.0.1:1")
                .set("security.protocol", "sasl_plaintext")
                .set("sasl.username", "somebody")
                .set("sasl.password", "hush"),
            _ => Options::new("127.0.0.1:1"),
        };
        let limit = Duration::from_millis(300);
        let error = of(Options { publish_timeout: limit, ..options.set(name, value) }).await;
        #[cfg(not(feature = "tls"))]
        assert!(
            matches!(&error, ConnectError::Setting { why, .. } if why.contains("feature `tls`")),
            "{error:?}"
        );
        #[cfg(feature = "tls")]
        assert!(!error.to_string().contains("feature"), "{error}");
    }
    let limit = Duration::from_millis(300);
    let away = Options { publish_timeout: limit, ..Options::new("127.0.0.1:1") };
    let error = of(away).await;
    assert!(matches!(&error, ConnectError::Unavailable { why } if why.contains(":1")), "{error}");
}

/// Beside each other, as each waits for a cluster that is away.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_cluster() {
    tokio::join!(
        a_full_queue_is_waited_for(),
        a_broker_that_stays_away_leaves_it_unknown_and_the_next_call_begins_anew(),
        an_outage_of_seconds_is_waited_for(),
        a_connection_that_is_lost_in_the_middle_loses_and_repeats_nothing(),
    );
}
