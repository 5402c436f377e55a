//! UmaDB's protocol.

use crate::harness::*;
use factum_core::{EventStore, Read, StreamName};
use factum_proto::umadb::v1::{
    AppendCondition, AppendRequest, ErrorResponse, Event, HeadRequest, MetadataEntry, Query,
    QueryItem, ReadRequest, SequencedEvent, SubscribeRequest, TrackingInfo, TrackingRequest,
    dcb_client::DcbClient, error_response::ErrorType,
};
use prost::Message;
use tonic::{Code, Status, transport::Channel};

type Client = DcbClient<Channel>;

fn event(event_type: &str, tags: &[&str]) -> Event {
    Event {
        event_type: event_type.into(),
        tags: tags.iter().map(|tag| (*tag).into()).collect(),
        data: event_type.to_owned().into(),
        ..Event::default()
    }
}

fn query(types: &[&str], tags: &[&str]) -> Query {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Query { items: vec![QueryItem { types: owned(types), tags: owned(tags) }] }
}

async fn append(client: &mut Client, request: AppendRequest) -> Result<u64, Status> {
    soon(client.append(request)).await.map(|response| response.into_inner().position)
}

async fn add(client: &mut Client, events: Vec<Event>) -> u64 {
    append(client, AppendRequest { events, ..Default::default() }).await.unwrap()
}

/// The events and the last head that is told.
async fn read(client: &mut Client, request: ReadRequest) -> (Vec<SequencedEvent>, Option<u64>) {
    let mut responses = soon(client.read(request)).await.unwrap().into_inner();
    let (mut events, mut head) = (Vec::new(), None);
    while let Some(response) = soon(responses.message()).await.unwrap() {
        events.extend(response.events);
        head = response.head;
    }
    (events, head)
}

async fn check(
    client: &mut Client,
    request: ReadRequest,
    positions: &[u64],
    expected_head: Option<u64>,
) {
    let (events, head) = read(client, request.clone()).await;
    let found: Vec<u64> = events.iter().map(|event| event.position).collect();
    assert_eq!((&found[..], head), (positions, expected_head), "{request:?}");
}

async fn head(client: &mut Client) -> Option<u64> {
    soon(client.head(HeadRequest {})).await.unwrap().into_inner().position
}

fn kind(status: &Status) -> ErrorType {
    ErrorResponse::decode(status.details()).unwrap().error_type()
}

#[tokio::test]
async fn reads_select_and_tell_the_head() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    assert_eq!(head(&mut client).await, None);
    check(&mut client, ReadRequest::default(), &[], None).await;
    let events = vec![event("a", &["x"]), event("b", &["x", "y"]), event("a", &["y"])];
    assert_eq!(add(&mut client, events).await, 3);
    assert_eq!(head(&mut client).await, Some(3));
    let all = ReadRequest::default;
    let with = |query| ReadRequest { query: Some(query), ..all() };
    check(&mut client, all(), &[1, 2, 3], Some(3)).await;
    check(&mut client, with(query(&["a"], &[])), &[1, 3], Some(3)).await;
    check(&mut client, with(query(&["a", "b"], &["x", "y"])), &[2], Some(3)).await;
    check(&mut client, with(query(&["none"], &[])), &[], Some(3)).await;
    check(&mut client, with(query(&[], &[])), &[1, 2, 3], Some(3)).await;
    check(&mut client, ReadRequest { start: Some(2), ..all() }, &[2, 3], Some(3)).await;
    check(&mut client, ReadRequest { start: Some(4), ..all() }, &[], Some(3)).await;
    let back = || ReadRequest { backwards: Some(true), ..all() };
    check(&mut client, back(), &[3, 2, 1], Some(3)).await;
    check(&mut client, ReadRequest { start: Some(2), ..back() }, &[2, 1], Some(3)).await;
    check(&mut client, ReadRequest { start: Some(0), ..back() }, &[], Some(3)).await;
    // With a limit the head is that of the last event.
    check(&mut client, ReadRequest { limit: Some(2), ..all() }, &[1, 2], Some(2)).await;
    check(&mut client, ReadRequest { limit: Some(1), ..back() }, &[3], Some(3)).await;
    check(&mut client, ReadRequest { limit: Some(0), ..all() }, &[], None).await;
    check(&mut client, ReadRequest { limit: Some(u32::MAX), ..all() }, &[1, 2, 3], Some(3)).await;
}

#[tokio::test]
async fn batches_have_the_size_that_is_asked_for() {
    let server = Running::limited(|config| config.limits.dcb_batch_events_max = 3).await;
    let mut client = server.dcb().await;
    add(&mut client, (0..7).map(|_| event("a", &[])).collect()).await;
    for (asked, sizes) in [
        (Some(2), vec![2, 2, 2, 1]),
        (Some(0), vec![1; 7]),
        (Some(u32::MAX), vec![3, 3, 1]),
        (None, vec![3, 3, 1]),
    ] {
        let request = ReadRequest { batch_size: asked, ..Default::default() };
        let mut responses = soon(client.read(request)).await.unwrap().into_inner();
        let mut found = Vec::new();
        while let Some(response) = soon(responses.message()).await.unwrap() {
            found.push(response.events.len());
        }
        assert_eq!(found, sizes, "{asked:?}");
    }
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_given() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    let entry = |key: &str, value: &str| MetadataEntry { key: key.into(), value: value.into() };
    let given = Event {
        uuid: factum_core::Uuid::from_u128(7).to_string(),
        metadata: vec![entry("b", "1"), entry("a", "\u{e9}\"\\"), entry("b", "2")],
        data: vec![0, 255].into(),
        ..event("a", &["x", "x", ""][..2])
    };
    add(&mut client, vec![given.clone()]).await;
    let (events, _) = read(&mut client, ReadRequest::default()).await;
    assert_eq!(events[0].event, Some(given));
    // Without an id one is made.
    add(&mut client, vec![event("a", &[])]).await;
    let (events, _) = read(&mut client, ReadRequest { start: Some(2), ..Default::default() }).await;
    let made: factum_core::Uuid = events[0].event.as_ref().unwrap().uuid.parse().unwrap();
    assert!(!made.is_nil());
}

#[tokio::test]
async fn a_condition_holds_or_nothing_is_written() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    add(&mut client, vec![event("a", &["x"]), event("b", &["y"])]).await;
    let with = |query, after| AppendRequest {
        events: vec![event("c", &[])],
        condition: Some(AppendCondition { fail_if_events_match: query, after }),
        ..Default::default()
    };
    for refused in [
        with(Some(query(&["a"], &["x"])), None),
        with(Some(query(&["a"], &[])), Some(0)),
        with(Some(query(&[], &["y"])), Some(1)),
        with(Some(Query::default()), Some(1)),
        with(None, None),
    ] {
        let status = append(&mut client, refused.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), kind(&status)),
            (Code::FailedPrecondition, ErrorType::Integrity),
            "{refused:?}"
        );
    }
    assert_eq!(head(&mut client).await, Some(2));
    assert_eq!(append(&mut client, with(Some(query(&["a"], &[])), Some(1))).await.unwrap(), 3);
    assert_eq!(append(&mut client, with(Some(query(&["a"], &["y"])), None)).await.unwrap(), 4);
    assert_eq!(append(&mut client, with(None, Some(4))).await.unwrap(), 5);
    assert_eq!(append(&mut client, with(None, Some(u64::MAX))).await.unwrap(), 6);
}

#[tokio::test]
async fn a_retry_with_its_ids_is_answered_as_the_first_time() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    let request = AppendRequest {
        events: vec![Event {
            uuid: factum_core::Uuid::from_u128(7).to_string(),
            ..event("a", &["x"])
        }],
        condition: Some(AppendCondition {
            fail_if_events_match: Some(query(&["a"], &["x"])),
            after: None,
        }),
        ..Default::default()
    };
    for _ in 0..3 {
        assert_eq!(append(&mut client, request.clone()).await.unwrap(), 1);
    }
    assert_eq!(head(&mut client).await, Some(1));
}

#[tokio::test]
async fn tracking_goes_up_with_the_append() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    let tracking = |position| Some(TrackingInfo { source: "up".into(), position });
    let with = |position| AppendRequest {
        events: vec![event("a", &[])],
        tracking_info: tracking(position),
        ..Default::default()
    };
    let told = async |client: &mut Client, source: &str| {
        let request = TrackingRequest { source: source.into() };
        soon(client.get_tracking_info(request)).await.unwrap().into_inner().position
    };
    assert_eq!(told(&mut client, "up").await, None);
    append(&mut client, with(5)).await.unwrap();
    assert_eq!(told(&mut client, "up").await, Some(5));
    for position in [5, 4, 0] {
        let status = append(&mut client, with(position)).await.unwrap_err();
        assert_eq!(kind(&status), ErrorType::Integrity);
    }
    assert_eq!((head(&mut client).await, told(&mut client, "up").await), (Some(1), Some(5)));
    // It may stand alone; nothing at all is position 0.
    let alone = AppendRequest { tracking_info: tracking(6), ..Default::default() };
    assert_eq!(append(&mut client, alone).await.unwrap(), 1);
    assert_eq!(told(&mut client, "up").await, Some(6));
    assert_eq!(append(&mut client, AppendRequest::default()).await.unwrap(), 0);
    assert_eq!(told(&mut client, "other").await, None);
}

async fn set_metadata(server: &Running) {
    let metadata = factum_core::StreamMetadata { max_count: Some(9), ..Default::default() };
    let change = factum_core::Change::SetMetadata(metadata);
    server.store.change(&StreamName::new("s").unwrap(), change, None).await.unwrap();
}

#[tokio::test]
async fn streams_of_the_system_are_not_seen() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    set_metadata(&server).await;
    assert_eq!(head(&mut client).await, None);
    check(&mut client, ReadRequest::default(), &[], None).await;
    // Not by a condition either.
    let none_at_all = AppendRequest {
        events: vec![event("a", &[])],
        condition: Some(AppendCondition::default()),
        ..Default::default()
    };
    assert_eq!(append(&mut client, none_at_all.clone()).await.unwrap(), 2);
    assert!(append(&mut client, none_at_all).await.is_err());
    set_metadata(&server).await;
    assert_eq!(head(&mut client).await, Some(2));
    check(&mut client, ReadRequest::default(), &[2], Some(2)).await;
    check(
        &mut client,
        ReadRequest { limit: Some(1), backwards: Some(true), ..Default::default() },
        &[2],
        Some(2),
    )
    .await;
}

#[tokio::test]
async fn a_stream_may_be_named_in_the_metadata() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    let named = |stream: &str| Event {
        metadata: vec![MetadataEntry { key: "$stream".into(), value: stream.into() }],
        ..event("a", &[])
    };
    add(&mut client, vec![named("order-1"), event("b", &[])]).await;
    let order = StreamName::new("order-1").unwrap();
    let events = server.store.read(Read::stream(order)).await.unwrap().events().await.unwrap();
    assert_eq!(events.len(), 1);
    let dcb = StreamName::new("dcb-0").unwrap();
    let events = server.store.read(Read::stream(dcb)).await.unwrap().events().await.unwrap();
    assert_eq!(events[0].event_type().as_str(), "b");
    let request = AppendRequest { events: vec![named("$secret")], ..Default::default() };
    let status = append(&mut client, request).await.unwrap_err();
    assert_eq!(kind(&status), ErrorType::InvalidArgument);
    // What others wrote says its stream.
    let mut streams = server.streams().await;
    crate::harness::append(&mut streams, "order-2", ANY, [9]).await;
    let (events, _) = read(&mut client, ReadRequest { start: Some(3), ..Default::default() }).await;
    let metadata = &events[0].event.as_ref().unwrap().metadata;
    assert_eq!((&*metadata[0].key, &*metadata[0].value), ("$stream", "order-2"));
}

#[tokio::test]
async fn subscriptions_deliver_what_is_there_and_what_comes() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    add(&mut client, vec![event("a", &["x"]), event("b", &[]), event("a", &["x"])]).await;
    let request =
        SubscribeRequest { query: Some(query(&["a"], &[])), after: Some(1), batch_size: Some(1) };
    let mut responses = soon(client.subscribe(request)).await.unwrap().into_inner();
    let mut next = async || {
        let events = soon(responses.message()).await.unwrap().unwrap().events;
        events.iter().map(|event| event.position).collect::<Vec<_>>()
    };
    assert_eq!(next().await, [3]);
    set_metadata(&server).await;
    add(&mut client, vec![event("b", &[]), event("a", &[]), event("a", &[])]).await;
    assert_eq!(next().await, [6]);
    assert_eq!(next().await, [7]);
}

#[tokio::test]
async fn bad_requests_are_named() {
    let server = Running::start().await;
    let mut client = server.dcb().await;
    let long = "x".repeat(1_025);
    for bad in [
        event("", &[]),
        event(&long, &[]),
        event("a", &[""]),
        event("a", &[&long]),
        event("a", &["a\0"]),
        Event { uuid: "no".into(), ..event("a", &[]) },
        Event { uuid: factum_core::Uuid::nil().to_string(), ..event("a", &[]) },
    ] {
        let request = AppendRequest { events: vec![bad], ..Default::default() };
        let status = append(&mut client, request).await.unwrap_err();
        assert_eq!(
            (status.code(), kind(&status)),
            (Code::InvalidArgument, ErrorType::InvalidArgument)
        );
    }
    #[allow(deprecated)]
    let old = ReadRequest { subscribe: Some(true), ..Default::default() };
    let status = soon(client.read(old)).await.unwrap_err();
    assert!(status.message().contains("call Subscribe"));
    let bad_query = ReadRequest { query: Some(query(&[""], &[])), ..Default::default() };
    assert_eq!(soon(client.read(bad_query)).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(head(&mut client).await, None);
}
