//! Limits at the limit and one past it, a subscriber that is stuck, and the end of a server.

use crate::harness::*;
use factum_core::{AnyStore, EventStore};
use factum_proto::{
    event_store::client::streams::{ReadReq, streams_client::StreamsClient},
    factum::v1::{
        AppendRequest, AppendStreamRequest, ContentType, HeadRequest, NewEvent, Query, Select,
        SubscribeRequest, append_stream_request::Tagged, select, store_client::StoreClient,
    },
};
use futures_util::{StreamExt, stream};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tonic::{Code, Streaming, transport::Channel};

fn append_of(id: u8, bytes: usize) -> AppendRequest {
    let event = NewEvent {
        id: vec![id; 16].into(),
        content_type: ContentType::Binary.into(),
        data: vec![id; bytes].into(),
        ..Default::default()
    };
    AppendRequest { names: vec!["t".into()], events: vec![event], ..Default::default() }
}

fn everything() -> SubscribeRequest {
    let query = Query { all: true, items: vec![] };
    let select = Some(Select { select: Some(select::Select::Query(query)) });
    SubscribeRequest { select, after: None }
}

async fn subscribe(
    client: &mut StoreClient<Channel>,
) -> Result<Streaming<factum_proto::factum::v1::Batch>, tonic::Status> {
    soon(client.subscribe(everything())).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn one_subscription_too_many_is_refused_to_each_in_its_words() {
    let server = Running::limited(|config| config.limits.subscriptions_max = 2).await;
    let (mut v1, mut streams, mut dcb) =
        (server.v1().await, server.streams().await, server.dcb().await);
    let first = subscribe(&mut v1).await.unwrap();
    let _second = subscribe(&mut v1).await.unwrap();
    assert_eq!(subscribe(&mut v1).await.unwrap_err().code(), Code::ResourceExhausted);
    let request = ReadReq { options: Some(subscribing(of_all(ALL_START))) };
    let status = soon(streams.read(request)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "Server Is Too Busy"));
    let request = factum_proto::umadb::v1::SubscribeRequest::default();
    let status = soon(dcb.subscribe(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(first);
    until(async || subscribe(&mut v1.clone()).await.is_ok()).await;
}

#[tokio::test]
async fn one_call_too_many_is_refused() {
    let server = Running::limited(|config| config.limits.calls_max = 1).await;
    let mut v1 = server.v1().await;
    let open = subscribe(&mut v1).await.unwrap();
    let status = soon(v1.head(HeadRequest {})).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let status = read(&mut server.streams().await, of_all(ALL_START)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "Server Is Too Busy"));
    drop(open);
    until(async || v1.clone().head(HeadRequest {}).await.is_ok()).await;
}

#[tokio::test]
async fn bytes_of_appends_in_flight_are_bounded() {
    let held = Held::new();
    let (leave, arrived) = (held.leave.clone(), held.arrived.clone());
    let limit = |config: &mut factum_server::Config| config.limits.append_bytes_max = 1_000;
    let server = Running::with(AnyStore::new(held), limit).await;
    let mut client = server.v1().await;
    // One more than the limit is never taken; the names count too.
    let status = soon(client.append(append_of(9, 1_000))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.append(append_of(1, 999)).await });
    soon(arrived.acquire()).await.unwrap().forget();
    let status = soon(client.append(append_of(2, 0))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let requests = vec![options("a-1", ANY), proposed(1, "t", "1")];
    let status = send(&mut server.streams().await, requests).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "Server Is Too Busy"));
    leave.add_permits(2);
    soon(waiting).await.unwrap().unwrap();
    soon(client.append(append_of(2, 0))).await.unwrap();
}

#[tokio::test]
async fn a_message_is_bounded() {
    let server = Running::limited(|config| config.limits.message_bytes_max = 10_000).await;
    let mut client = server.v1().await;
    soon(client.append(append_of(1, 9_900))).await.unwrap();
    let status = soon(client.append(append_of(2, 10_000))).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status}");
    assert_eq!(server.store.head().await.unwrap().0, 1);
}

#[tokio::test]
async fn bytes_that_are_received_and_not_decoded_are_bounded() {
    let server = Running::limited(|config| config.limits.received_bytes_max = 100_000).await;
    let mut client = server.v1().await;
    soon(client.append(append_of(1, 90_000))).await.unwrap();
    let status = soon(client.append(append_of(2, 110_000))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    // What was received is given back.
    for id in 3..10 {
        soon(client.append(append_of(id, 90_000))).await.unwrap();
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let server = Running::limited(|config| config.limits.connections_max = 2).await;
    let mut first = server.v1().await;
    soon(first.head(HeadRequest {})).await.unwrap();
    let second = server.v1().await;
    let mut third = server.v1().await;
    let status = soon(third.head(HeadRequest {})).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /info HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    soon(first.head(HeadRequest {})).await.unwrap();
    drop((second, third));
    until(async || server.v1().await.head(HeadRequest {}).await.is_ok()).await;
}

#[tokio::test]
async fn headers_are_bounded() {
    let server = Running::start().await;
    let mut client = server.v1().await;
    let mut request = tonic::Request::new(HeadRequest {});
    request.metadata_mut().insert("x-long", "x".repeat(1 << 20).parse().unwrap());
    assert!(soon(client.head(request)).await.is_err());
    soon(server.v1().await.head(HeadRequest {})).await.unwrap();
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let short = Duration::from_millis(100);
    let server = Running::limited(|config| {
        config.limits.first_request_time_max = short;
        config.limits.idle_time_max = short;
        config.limits.drain_time_max = short;
    })
    .await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /info HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    for socket in [&mut silent, &mut slow, &mut idle] {
        soon(socket.read_to_end(&mut Vec::new())).await.ok();
    }
    // Who is subscribed is not idle.
    let mut client = server.v1().await;
    let mut batches = subscribe(&mut client).await.unwrap();
    soon(batches.message()).await.unwrap();
    tokio::time::sleep(short * 5).await;
    soon(client.append(append_of(1, 1))).await.unwrap();
    assert_eq!(soon(batches.message()).await.unwrap().unwrap().streams.len(), 1);
}

/// 100 follow, one never reads: the others get everything, writers are not held up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_subscriber_holds_up_nobody() {
    const EVENTS: u8 = 200;
    const BYTES: usize = 32 << 10;
    let server = Running::start().await;
    let stuck_channel = server.channel().await;
    let mut stuck = StoreClient::new(stuck_channel.clone());
    let stuck = subscribe(&mut stuck).await.unwrap();
    let mut stuck_too = StreamsClient::new(stuck_channel);
    let stuck_too = follow(&mut stuck_too, of_all(ALL_START)).await;
    let client = server.v1().await;
    let mut following = Vec::new();
    for _ in 0..99 {
        let mut batches = subscribe(&mut client.clone()).await.unwrap();
        following.push(tokio::spawn(async move {
            let mut seen = 0;
            while seen < usize::from(EVENTS) {
                seen += batches.message().await.unwrap().unwrap().streams.len();
            }
        }));
    }
    let began = Instant::now();
    let mut writer = server.v1().await;
    for id in 1..=EVENTS {
        soon(writer.append(append_of(id, BYTES))).await.unwrap();
    }
    let each = tokio::time::timeout(Duration::from_secs(60), async {
        for one in following {
            one.await.unwrap();
        }
    });
    each.await.expect("the others are served");
    drop((stuck, stuck_too));
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// What a stuck subscriber costs does not grow with what is appended.
#[tokio::test]
async fn a_stuck_subscriber_holds_little() {
    const EVENTS: usize = 1_000;
    const BYTES: usize = 32 << 10;
    let held = Held::new();
    held.leave.add_permits(EVENTS);
    let pulled = held.pulled.clone();
    let server = Running::with(AnyStore::new(held), |_| ()).await;
    let mut stuck = server.v1().await;
    let stuck = subscribe(&mut stuck).await.unwrap();
    let mut stuck_too = server.streams().await;
    let stuck_too = follow(&mut stuck_too, of_all(ALL_START)).await;
    let mut following = server.v1().await;
    let mut batches = subscribe(&mut following).await.unwrap();
    let mut writer = server.v1().await;
    for id in 1..=EVENTS {
        let mut append = append_of(0, BYTES);
        append.events[0].id = (id as u128).to_be_bytes().to_vec().into();
        soon(writer.append(append)).await.unwrap();
    }
    let mut seen = 0;
    while seen < EVENTS {
        seen += soon(batches.message()).await.unwrap().unwrap().streams.len();
    }
    let pulled = pulled.lock().unwrap().clone();
    assert_eq!(pulled[2], EVENTS);
    // What fits in the buffers of two sockets and HTTP/2, and one batch.
    assert!(pulled[0] < 300 && pulled[1] < 300, "{pulled:?}");
    drop((stuck, stuck_too));
}

#[tokio::test]
async fn a_server_that_stops_ends_subscriptions_and_finishes_appends() {
    let held = Held::new();
    let (leave, arrived) = (held.leave.clone(), held.arrived.clone());
    let mut server = Running::with(AnyStore::new(held), |_| ()).await;
    let mut client = server.v1().await;
    let mut batches = subscribe(&mut client).await.unwrap();
    soon(batches.message()).await.unwrap();
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.append(append_of(1, 1)).await });
    soon(arrived.acquire()).await.unwrap().forget();
    server.stop();
    let status = soon(batches.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "Server Is Not Ready"));
    leave.add_permits(1);
    let receipt = soon(waiting).await.unwrap().unwrap().into_inner();
    assert_eq!(receipt.position, 1);
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody is let in any more");
    server.stopped().await;
}

#[tokio::test]
async fn a_server_that_stops_answers_what_streams_have_in_flight() {
    let held = Held::new();
    let (leave, arrived) = (held.leave.clone(), held.arrived.clone());
    let mut server = Running::with(AnyStore::new(held), |_| ()).await;
    let mut client = server.v1().await;
    let tagged = Tagged { tag: 7, append: Some(append_of(1, 1)) };
    let one = stream::iter([AppendStreamRequest { appends: vec![tagged] }]);
    let requests = one.chain(stream::pending());
    let mut answers = soon(client.append_stream(requests)).await.unwrap().into_inner();
    soon(arrived.acquire()).await.unwrap().forget();
    server.stop();
    until(async || TcpStream::connect(server.address).await.is_err()).await;
    leave.add_permits(1);
    let answer = soon(answers.message()).await.unwrap().unwrap();
    assert_eq!(answer.answers[0].tag, 7);
    let status = soon(answers.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "Server Is Not Ready"));
    server.stopped().await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_ever() {
    let held = Held::new();
    let arrived = held.arrived.clone();
    let mut server = Running::with(AnyStore::new(held), |config| {
        config.limits.drain_time_max = Duration::from_millis(100);
    })
    .await;
    let mut client = server.v1().await;
    let waiting = tokio::spawn(async move { client.append(append_of(1, 1)).await });
    soon(arrived.acquire()).await.unwrap().forget();
    server.stop();
    server.stopped().await;
    assert!(soon(waiting).await.unwrap().is_err(), "its outcome is unknown");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let server = Running::start().await;
    let config = factum_server::Config::new(server.address);
    let error = factum_server::Server::bind(config, server.store.clone()).await.unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains(&server.address.to_string()) && message.contains("another program"),
        "{message}"
    );
}
