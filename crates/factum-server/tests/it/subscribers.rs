//! Who follows is told: what, from where, how far, how far behind.

use crate::harness::*;
use factum_core::{Append, EventData, EventStore, EventType, StreamName, Uuid};
use factum_proto::{
    factum::v1::{
        Query, Select, StatisticsRequest, StatisticsResponse, SubscribeRequest, Subscriber, select,
        store_client::StoreClient,
    },
    umadb::v1 as dcb,
};
use tonic::transport::Channel;

async fn told(client: &mut StoreClient<Channel>) -> StatisticsResponse {
    soon(client.statistics(StatisticsRequest {})).await.unwrap().into_inner()
}

/// Appends an event of so many bytes, past the server.
async fn append_bytes(server: &Running, id: u128, bytes: usize) {
    let event =
        EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), vec![b'0'; bytes]);
    let append = Append::to(StreamName::new("a-1").unwrap(), [event]);
    server.store.append(append).await.unwrap();
}

fn everything() -> SubscribeRequest {
    let select = select::Select::Query(Query { all: true, items: vec![] });
    SubscribeRequest { select: Some(Select { select: Some(select) }), after: None }
}

fn summary(one: &Subscriber) -> (&str, &str, u64, u64) {
    (&one.protocol, &one.selects, one.position, one.lag_events)
}

#[tokio::test]
async fn subscribers_of_every_protocol_are_told_until_they_leave() {
    let server = Running::start().await;
    append_bytes(&server, 1, 1).await;
    let mut v1 = server.v1().await;
    let mut all = soon(v1.subscribe(everything())).await.unwrap().into_inner();
    soon(all.message()).await.unwrap();
    let mut streams = server.streams().await;
    let mut of_stream = follow(&mut streams, of_stream("a-1", START)).await;
    next_data(&mut of_stream).await;
    let mut dcb = server.dcb().await;
    let mut of_dcb = soon(dcb.subscribe(dcb::SubscribeRequest::default())).await.unwrap();
    soon(of_dcb.get_mut().message()).await.unwrap();
    let subscribers = told(&mut v1).await.subscribers;
    let mut found: Vec<_> = subscribers.iter().map(summary).collect();
    found.sort_unstable();
    let expected = [
        ("dcb", "everything", 1, 0),
        ("factum.v1", "everything", 1, 0),
        ("kurrentdb", "stream a-1", 1, 0),
    ];
    assert_eq!(found, expected);
    assert!(subscribers.iter().all(|one| one.peer.starts_with("127.0.0.1:") && one.events == 1));
    assert!(subscribers.iter().all(|one| one.lag_seconds == Some(0.0) && one.since_ns > 0));
    drop((all, of_stream, of_dcb));
    until(async || told(&mut v1.clone()).await.subscribers.is_empty()).await;
}

#[tokio::test]
async fn a_filter_of_the_protocol_is_told_too() {
    let server = Running::start().await;
    let mut streams = server.streams().await;
    let filter = factum_proto::event_store::client::streams::read_req::options::filter_options
        ::Filter::EventType(regex("x$"));
    let _followed = follow(&mut streams, filtered(of_all(ALL_START), filter, 32)).await;
    let subscribers = told(&mut server.v1().await).await.subscribers;
    assert_eq!(subscribers[0].selects, "everything, through a filter");
}

/// Cause: it takes nothing from its connection. What it lacks is told, and since when.
#[tokio::test]
async fn who_does_not_read_lags_and_comes_first() {
    let server = Running::start().await;
    let (mut stuck, mut v1) = (server.v1().await, server.v1().await);
    let _stuck = soon(stuck.subscribe(everything())).await.unwrap();
    let mut reads = soon(v1.subscribe(everything())).await.unwrap().into_inner();
    for id in 1..=16 {
        append_bytes(&server, id, 1 << 20).await;
    }
    while soon(reads.message()).await.unwrap().unwrap().through < 16 {}
    let told = told(&mut v1).await;
    let [last, first] = &told.subscribers[..] else { panic!("{:?}", told.subscribers) };
    assert!(last.lag_events > 0 && last.lag_seconds.is_some(), "{last:?}");
    assert_eq!(last.position + last.lag_events, 16);
    assert_eq!((first.lag_events, first.lag_seconds, first.events), (0, Some(0.0), 16));
    let name = "subscriber_lag_events_max";
    let most = told.statistics.iter().find(|one| one.name == name).unwrap().value;
    assert_eq!(most, last.lag_events as f64);
}
