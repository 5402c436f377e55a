//! Streams at start: made where that is asked for, checked where they are there.

use crate::kit::{self, debian, name, settings, shared};
use async_nats::jetstream::stream::{Config, StorageType};
use factum_app::message::{ConsumeError, Consumer, Subscription};
use factum_nats::{ConnectError, Nats, Settings, Stream, StreamError};
use std::time::Duration;

#[tokio::test]
async fn a_missing_stream_is_named_and_made_only_if_asked_for() {
    for server in [shared(), debian()] {
        let name = name();
        let stream = || Stream::new(&name, [format!("{name}.>")]);
        let plain = |stream| Settings::new(&server.url()).stream(stream);
        let error = Nats::connect(plain(stream())).await.unwrap_err();
        let missing = StreamError::Missing { name: name.clone(), subjects: format!("{name}.>") };
        assert_eq!(error, ConnectError::Stream(missing));
        let window = Duration::from_secs(30);
        let all = stream()
            .max_age(Duration::from_secs(3600))
            .max_bytes(1 << 20)
            .max_messages(1000)
            .max_message_bytes(10_000)
            .duplicate_window(window);
        Nats::connect(settings(&server.url()).stream(all)).await.unwrap();
        Nats::connect(plain(stream().duplicate_window(window))).await.unwrap();
        let error = Nats::connect(plain(stream())).await.unwrap_err();
        assert!(matches!(error, ConnectError::Stream(StreamError::Window { .. })), "{error}");
    }
}

#[tokio::test]
async fn a_stream_that_would_lose_messages_is_refused_with_its_cure() {
    let context = kit::context(&shared().url()).await;
    let name = name();
    let config = Config {
        name: name.clone(),
        subjects: vec![format!("{name}.a")],
        storage: StorageType::Memory,
        max_message_size: 500,
        ..Config::default()
    };
    context.create_stream(config).await.unwrap();
    let check = async |stream: Stream, cure: &str| {
        let error = Nats::connect(settings(&shared().url()).stream(stream)).await.unwrap_err();
        assert!(error.to_string().contains(cure), "{error}");
    };
    let stream = |topic: &str| Stream::new(&name, [format!("{name}.{topic}")]);
    check(stream("b"), "add that to its subjects").await;
    check(stream("a"), "storage `file`").await;
    check(stream("a").in_memory().max_message_bytes(501), "raise max_msg_size").await;
    check(stream("a").in_memory().replicas(3), "raise its replicas").await;
    Nats::connect(settings(&shared().url()).stream(stream("a").in_memory())).await.unwrap();
}

/// One node cannot keep three copies, and says so.
#[tokio::test]
async fn a_stream_that_cannot_be_made_says_why() {
    let name = name();
    let stream = Stream::new(&name, [format!("{name}.>")]).replicas(3);
    let error = Nats::connect(settings(&shared().url()).stream(stream)).await.unwrap_err();
    let ConnectError::Stream(StreamError::Create { why, .. }) = &error else { panic!("{error}") };
    assert!(why.contains("replicas"), "{error}");
}

/// Without the right to make streams, a group needs that of the leases, and says so.
#[tokio::test]
async fn a_group_without_the_stream_of_leases_is_refused_with_its_cure() {
    let server = factum_services::nats::Nats::start().unwrap();
    let context = kit::context(&server.url()).await;
    let config = Config { name: "s".into(), subjects: vec!["s.>".into()], ..Config::default() };
    context.create_stream(config).await.unwrap();
    let nats = Nats::connect(Settings::new(&server.url())).await.unwrap();
    let error = nats.consume(Subscription::shared("g", ["s.a"])).await.err().unwrap();
    let says = |why: &String| why.contains("factum.groups.>");
    assert!(matches!(&error, ConsumeError::Refused { why } if says(why)), "{error}");
    // A broadcast needs none.
    nats.consume(Subscription::broadcast(["s.a"])).await.unwrap();
}
