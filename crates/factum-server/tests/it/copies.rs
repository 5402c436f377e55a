//! `factum.v1.Copies`: what is given of a folder, and what is refused.

use crate::harness::*;
use factum_core::{Append, EventData, EventStore, EventType, StreamName, Uuid};
use factum_log::{LogStore, Options};
use factum_proto::factum::v1::{
    InventoryRequest, Newest, ReadSegmentRequest, Segment, VerifyRequest,
    copies_client::CopiesClient, verify_response::Content,
};
use tonic::{Code, transport::Channel};

async fn copies(server: &Running) -> CopiesClient<Channel> {
    CopiesClient::new(server.channel().await)
}

async fn append(store: &impl EventStore, nth: u128) {
    let event =
        EventData::new(Uuid::from_u128(nth), EventType::new("t").unwrap(), vec![b'1'; 700_000]);
    let append = Append::to(StreamName::new("a-1").unwrap(), [event]);
    soon(store.append(append)).await.unwrap();
}

fn part(segment: &Segment, offset: u64, length: u64) -> ReadSegmentRequest {
    ReadSegmentRequest { base: segment.base, seed: segment.seed, offset, length }
}

#[tokio::test]
async fn the_bytes_of_a_folder_are_given_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let log = LogStore::open(dir.path(), Options::default()).unwrap();
    append(&log, 1).await;
    append(&log, 2).await;
    let server = Running::over(log, |_| ()).await;
    let mut client = copies(&server).await;
    let held = soon(client.inventory(InventoryRequest::default())).await.unwrap().into_inner();
    let [segment] = &held.segments[..] else { panic!("{held:?}") };
    assert_eq!((held.head, held.store.len(), segment.base, segment.sealed), (2, 16, 1, false));
    let file = std::fs::read(dir.path().join("00000000000000000001.log")).unwrap();
    let whole = soon(client.read_segment(part(segment, 0, u64::MAX))).await.unwrap().into_inner();
    assert_eq!(whole.data.len(), 1 << 20, "no more than a piece");
    assert!(whole.data == file[..1 << 20]);
    let rest = part(segment, segment.end - 9, 100);
    let rest = soon(client.read_segment(rest)).await.unwrap().into_inner().data;
    assert!(rest == file[segment.end as usize - 9..segment.end as usize]);

    let other = Segment { seed: segment.seed + 1, ..*segment };
    for gone in [part(&other, 0, 9), part(segment, segment.end, 9), part(segment, u64::MAX, 9)] {
        assert_eq!(soon(client.read_segment(gone)).await.unwrap_err().code(), Code::Aborted);
    }
    let none = InventoryRequest { from_base: 2, unlike: None };
    assert!(soon(client.inventory(none)).await.unwrap().into_inner().segments.is_empty());
    let mut told = soon(client.verify(VerifyRequest {})).await.unwrap().into_inner();
    let report = loop {
        match soon(told.message()).await.unwrap().unwrap().content.unwrap() {
            Content::Progress(_) => {}
            Content::Report(report) => break report,
        }
    };
    assert_eq!((report.events, report.damaged, report.findings.len()), (2, false, 0));
}

#[tokio::test]
async fn an_inventory_can_wait_for_the_log_to_grow() {
    let dir = tempfile::tempdir().unwrap();
    let log = LogStore::open(dir.path(), Options::default()).unwrap();
    let mut server = Running::over(log, |_| ()).await;
    let mut client = copies(&server).await;
    let held = soon(client.inventory(InventoryRequest::default())).await.unwrap().into_inner();
    let newest = Newest { base: held.segments[0].base, end: held.segments[0].end };
    let waiting = InventoryRequest { from_base: 0, unlike: Some(newest) };
    let mut other = client.clone();
    let longer = tokio::spawn(async move { other.inventory(waiting).await });
    append(&server.store, 1).await;
    assert_eq!(soon(longer).await.unwrap().unwrap().into_inner().head, 1);
    // An append without an event does not move the head.
    let held = soon(client.inventory(InventoryRequest::default())).await.unwrap().into_inner();
    let newest = Newest { base: held.segments[0].base, end: held.segments[0].end };
    let waiting = InventoryRequest { from_base: 0, unlike: Some(newest) };
    let mut other = client.clone();
    let longer = tokio::spawn(async move { other.inventory(waiting).await });
    soon(server.store.append(Append::default().tracking("orders", 7))).await.unwrap();
    assert!(soon(longer).await.unwrap().unwrap().into_inner().segments[0].end > newest.end);
    // Whoever waits does not hold up the end of the server.
    let held = soon(client.inventory(InventoryRequest::default())).await.unwrap().into_inner();
    let newest = Newest { base: held.segments[0].base, end: held.segments[0].end };
    let waiting = InventoryRequest { from_base: 0, unlike: Some(newest) };
    let waiting = tokio::spawn(async move { client.inventory(waiting).await });
    tokio::task::yield_now().await;
    server.stop();
    assert_eq!(soon(waiting).await.unwrap().unwrap_err().code(), Code::Unavailable);
    server.stopped().await;
}

#[tokio::test]
async fn other_stores_and_too_much_at_once_are_refused() {
    let server = Running::start().await;
    let mut client = copies(&server).await;
    let none = soon(client.inventory(InventoryRequest::default())).await.unwrap_err();
    assert_eq!(none.code(), Code::Unimplemented);
    let none = soon(client.read_segment(ReadSegmentRequest::default())).await.unwrap_err();
    assert_eq!(none.code(), Code::Unimplemented);
    let none = soon(client.verify(VerifyRequest {})).await.unwrap_err();
    assert_eq!(none.code(), Code::Unimplemented);

    let dir = tempfile::tempdir().unwrap();
    let log = LogStore::open(dir.path(), Options::default()).unwrap();
    let server = Running::over(log, |config| {
        config.limits.copies_max = 0;
        config.limits.verifications_max = 0;
    });
    let server = server.await;
    let mut client = copies(&server).await;
    let busy = soon(client.read_segment(ReadSegmentRequest::default())).await.unwrap_err();
    assert_eq!(busy.code(), Code::ResourceExhausted);
    let busy = soon(client.verify(VerifyRequest {})).await.unwrap_err();
    assert_eq!(busy.code(), Code::ResourceExhausted);
}
