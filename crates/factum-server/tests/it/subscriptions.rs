//! KurrentDB's catch-up subscriptions.

use crate::harness::*;
use factum_core::{
    AnyStore, Append, Change, EventData, EventStore, EventType, StreamName, Tag, Timestamp, Uuid,
};
use factum_proto::event_store::client::streams::{
    read_req::options::{self as opt, filter_options::Filter},
    read_resp::Content,
};
use std::{sync::atomic::Ordering, time::Instant};
use tonic::Code;

async fn caught_up(
    responses: &mut tonic::Streaming<factum_proto::event_store::client::streams::ReadResp>,
) -> (Option<i64>, Option<u64>) {
    let content = next(responses).await;
    let Content::CaughtUp(caught_up) = content else { panic!("{content:?}") };
    assert!(caught_up.timestamp.is_some());
    (caught_up.stream_revision, caught_up.position.map(|position| position.commit_position))
}

#[tokio::test]
async fn a_stream_is_followed_from_the_start() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=2).await;
    let mut responses = follow(&mut client, of_stream("a-1", START)).await;
    assert_eq!(next_data(&mut responses).await, "1");
    assert_eq!(next_data(&mut responses).await, "2");
    assert_eq!(caught_up(&mut responses).await, (Some(1), None));
    append(&mut client, "b-1", ANY, [3]).await;
    append(&mut client, "a-1", ANY, [4]).await;
    assert_eq!(next_data(&mut responses).await, "4");
}

#[tokio::test]
async fn a_subscription_begins_after_its_place() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=3).await;
    let at = opt::stream_options::RevisionOption::Revision(1);
    let mut after = follow(&mut client, of_stream("a-1", at)).await;
    let mut end = follow(&mut client, of_stream("a-1", END)).await;
    let mut all_after = follow(&mut client, of_all(at_position(2))).await;
    let mut all_end = follow(&mut client, of_all(ALL_END)).await;
    let mut beyond = follow(&mut client, of_all(at_position(4))).await;
    assert_eq!(next_data(&mut after).await, "3");
    assert_eq!(caught_up(&mut after).await, (Some(2), None));
    assert_eq!(caught_up(&mut end).await, (Some(2), None));
    assert_eq!(next_data(&mut all_after).await, "3");
    assert_eq!(caught_up(&mut all_after).await, (None, Some(3)));
    assert_eq!(caught_up(&mut all_end).await, (None, Some(3)));
    caught_up(&mut beyond).await;
    append(&mut client, "a-1", ANY, 4..=5).await;
    for responses in [&mut after, &mut end, &mut all_after, &mut all_end] {
        assert_eq!(next_data(responses).await, "4");
    }
    assert_eq!(next_data(&mut beyond).await, "5");
}

#[tokio::test]
async fn an_empty_store_and_a_missing_stream_can_be_followed() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    let mut all = follow(&mut client, of_all(ALL_START)).await;
    let mut stream = follow(&mut client, of_stream("new", END)).await;
    assert_eq!(caught_up(&mut all).await, (None, None));
    assert_eq!(caught_up(&mut stream).await, (None, None));
    append(&mut client, "new", NO_STREAM, [1]).await;
    assert_eq!(next_data(&mut all).await, "1");
    assert_eq!(next_data(&mut stream).await, "1");
}

async fn check_checkpoints(filter: Filter) {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "no-1", ANY, 1..=10).await;
    append(&mut client, "yes-1", ANY, [11]).await;
    append(&mut client, "no-1", ANY, 12..=20).await;
    let mut responses = follow(&mut client, filtered(of_all(ALL_START), filter, 4)).await;
    let (mut checkpoints, mut events) = (Vec::new(), Vec::new());
    loop {
        match next(&mut responses).await {
            Content::Checkpoint(at) => {
                assert_eq!(at.commit_position, at.prepare_position);
                checkpoints.push(at.commit_position);
            }
            Content::CaughtUp(_) => break,
            other => events.extend(data(&[other])),
        }
    }
    assert_eq!(events, ["11"]);
    assert!(checkpoints.is_sorted() && checkpoints.last() == Some(&20), "{checkpoints:?}");
    // Live: what does not match moves the checkpoint too.
    append(&mut client, "no-1", ANY, 21..=24).await;
    let content = next(&mut responses).await;
    assert!(matches!(&content, Content::Checkpoint(at) if at.commit_position == 24), "{content:?}");
    append(&mut client, "yes-2", ANY, [25]).await;
    assert_eq!(next_data(&mut responses).await, "25");
}

#[tokio::test]
async fn a_filter_tells_how_far_it_has_looked() {
    check_checkpoints(Filter::StreamIdentifier(prefixes(&["yes"]))).await;
    check_checkpoints(Filter::StreamIdentifier(regex("^yes"))).await;
}

#[tokio::test]
async fn nobody_misses_or_repeats_while_others_append() {
    let server = Running::start().await;
    let mut writer = server.streams().await;
    let mut client = server.streams().await;
    append(&mut writer, "a-1", ANY, 1..=200).await;
    let mut responses = follow(&mut client, of_all(ALL_START)).await;
    let writing = tokio::spawn(async move {
        for id in 201..=400 {
            append(&mut writer, "a-1", ANY, [id]).await;
        }
    });
    for id in 1..=400u128 {
        let mut content = next(&mut responses).await;
        while matches!(content, Content::CaughtUp(_)) {
            content = next(&mut responses).await;
        }
        assert_eq!(data(&[content]), [id.to_string()]);
    }
    soon(writing).await.unwrap();
}

#[tokio::test]
async fn a_tombstone_is_seen_and_ends_the_subscription() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=2).await;
    let mut responses = follow(&mut client, of_stream("a-1", END)).await;
    caught_up(&mut responses).await;
    let a = StreamName::new("a-1").unwrap();
    server.store.change(&a, Change::Tombstone, None).await.unwrap();
    let content = next(&mut responses).await;
    let Content::Event(last) = content else { panic!("{content:?}") };
    let last = last.event.unwrap();
    assert_eq!(
        (&*last.metadata["type"], last.stream_revision),
        ("$streamDeleted", i64::MAX as u64)
    );
    let status = soon(responses.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.metadata().get("exception").unwrap(), "stream-deleted");
    // And who comes later is told at once.
    let mut late = follow(&mut client, of_stream("a-1", START)).await;
    let status = soon(late.message()).await.unwrap_err();
    assert_eq!(status.message(), "Event stream 'a-1' is deleted.");
}

/// Cause: each append anywhere made each subscription of a stream read that stream's state.
#[tokio::test]
async fn the_appends_of_others_cost_a_subscription_next_to_nothing() {
    let held = Held::new();
    held.leave.add_permits(1_000);
    let reads = held.reads.clone();
    let server = Running::with(AnyStore::new(held), |_| ()).await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=2).await;
    let mut responses = follow(&mut client, of_stream("a-1", START)).await;
    assert_eq!(next_data(&mut responses).await, "1");
    assert_eq!(next_data(&mut responses).await, "2");
    caught_up(&mut responses).await;
    let (before, begun) = (reads.load(Ordering::Relaxed), Instant::now());
    for id in 3..=300 {
        append(&mut client, "b-1", ANY, [id]).await;
    }
    append(&mut client, "a-1", ANY, [301]).await;
    assert_eq!(next_data(&mut responses).await, "301");
    let looked = reads.load(Ordering::Relaxed) - before;
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(looked <= 2 + seconds, "{looked} reads in {seconds} s");
    // A tombstone just after a look is found all the same, though nothing else is appended.
    let a = StreamName::new("a-1").unwrap();
    server.store.change(&a, Change::Tombstone, None).await.unwrap();
    assert!(matches!(next(&mut responses).await, Content::Event(_)));
    let status = soon(responses.message()).await.unwrap_err();
    assert_eq!(status.metadata().get("exception").unwrap(), "stream-deleted");
}

#[tokio::test]
async fn tags_and_time_from_elsewhere_are_in_the_metadata() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    let event = |id, metadata: &str| {
        let event = EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), "{}");
        let event = event.with_tags([Tag::new("seat:7").unwrap()]);
        let occurred_at = Some(Timestamp(0));
        EventData { occurred_at, ..event.with_metadata(metadata.to_owned()) }
    };
    let events = [event(1, ""), event(2, r#"{"x":1}"#), event(3, "no json")];
    let append = Append::to(StreamName::new("a-1").unwrap(), events);
    server.store.append(append).await.unwrap();
    let keys = r#""$tags":["seat:7"],"$occurredAt":"1970-01-01T00:00:00Z""#;
    let expected = [format!("{{{keys}}}"), format!("{{{keys},\"x\":1}}"), "no json".to_owned()];
    let read = read(&mut client, of_stream("a-1", START)).await.unwrap();
    let mut responses = follow(&mut client, of_stream("a-1", START)).await;
    for (content, expected) in read.into_iter().zip(expected) {
        for content in [content, next(&mut responses).await] {
            let Content::Event(event) = content else { panic!("{content:?}") };
            assert_eq!(event.event.unwrap().custom_metadata, expected);
        }
    }
}

#[tokio::test]
async fn links_are_followed_live() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, [1]).await;
    let options_of = factum_proto::event_store::client::streams::read_req::Options {
        resolve_links: true,
        ..of_stream("list", START)
    };
    let mut responses = follow(&mut client, options_of).await;
    caught_up(&mut responses).await;
    send(&mut client, vec![options("list", ANY), proposed(9, "$>", "0@a-1")]).await.unwrap();
    assert_eq!(next_data(&mut responses).await, "1");
}
