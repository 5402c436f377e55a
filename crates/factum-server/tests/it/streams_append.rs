//! KurrentDB's Append: revisions, positions, refusals in-band, and retries.

use crate::harness::*;
use factum_proto::event_store::client::streams::append_resp::{
    Result as Told,
    wrong_expected_version::{CurrentRevisionOption as Current, ExpectedRevisionOption},
};

async fn check(expected: Wanted, ids: &[u128], told: (Option<u64>, Option<u64>)) {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", NO_STREAM, 1..=2).await;
    let result = append(&mut client, "a-1", expected, ids.iter().copied()).await;
    assert_eq!(written(result), told, "{expected:?} {ids:?}");
}

#[tokio::test]
async fn an_append_tells_revision_and_position() {
    check(ANY, &[3], (Some(2), Some(3))).await;
    check(EXISTS, &[3, 4], (Some(3), Some(4))).await;
    check(Wanted::Revision(1), &[3], (Some(2), Some(3))).await;
}

#[tokio::test]
async fn a_retry_is_answered_as_the_first_time() {
    check(ANY, &[1, 2], (Some(1), Some(2))).await;
    check(NO_STREAM, &[1, 2], (Some(1), Some(2))).await;
    check(EXISTS, &[2], (Some(1), Some(2))).await;
    // A correct number is written again.
    check(Wanted::Revision(1), &[1], (Some(2), Some(3))).await;
}

#[tokio::test]
async fn nothing_to_append_tells_where_the_stream_is() {
    check(ANY, &[], (Some(1), None)).await;
    check(Wanted::Revision(1), &[], (Some(1), None)).await;
    let server = Running::start().await;
    let mut client = server.streams().await;
    assert_eq!(written(append(&mut client, "new", NO_STREAM, []).await), (None, None));
    assert_eq!(written(append(&mut client, "new", ANY, []).await), (None, None));
    assert!(matches!(append(&mut client, "new", EXISTS, []).await, Told::WrongExpectedVersion(_)));
}

async fn check_wrong(expected: Wanted, ids: &[u128], told: ExpectedRevisionOption) {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", NO_STREAM, 1..=2).await;
    let result = append(&mut client, "a-1", expected, ids.iter().copied()).await;
    let Told::WrongExpectedVersion(wrong) = result else { panic!("{result:?}") };
    assert_eq!(wrong.current_revision_option, Some(Current::CurrentRevision(1)));
    assert_eq!(wrong.expected_revision_option, Some(told));
    assert!(wrong.current_revision_option_20_6_0.is_some());
    assert!(wrong.expected_revision_option_20_6_0.is_some());
    let events = read(&mut client, of_stream("a-1", START)).await.unwrap();
    assert_eq!(data(&events), ["1", "2"], "nothing was written");
}

#[tokio::test]
async fn a_wrong_revision_is_told_in_band() {
    use factum_proto::event_store::client::Empty;
    let none = ExpectedRevisionOption::ExpectedNoStream(Empty {});
    check_wrong(NO_STREAM, &[3], none).await;
    check_wrong(Wanted::Revision(0), &[3], ExpectedRevisionOption::ExpectedRevision(0)).await;
    let max = i64::MAX as u64;
    check_wrong(Wanted::Revision(max), &[3], ExpectedRevisionOption::ExpectedRevision(max)).await;
    // The first id is known, a later one is not.
    check_wrong(ANY, &[2, 9], ExpectedRevisionOption::ExpectedAny(Empty {})).await;
    check_wrong(Wanted::Revision(9), &[], ExpectedRevisionOption::ExpectedRevision(9)).await;
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_told_so() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    let result = append(&mut client, "new", EXISTS, [1]).await;
    let Told::WrongExpectedVersion(wrong) = result else { panic!("{result:?}") };
    assert!(matches!(wrong.current_revision_option, Some(Current::CurrentNoStream(_))));
}

#[tokio::test]
async fn stream_metadata_is_an_append_to_its_stream() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=3).await;
    let set = vec![options("$$a-1", NO_STREAM), proposed(9, "$metadata", r#"{"$maxCount":1}"#)];
    written(send(&mut client, set).await.unwrap().result.unwrap());
    let events = read(&mut client, of_stream("a-1", START)).await.unwrap();
    assert_eq!(data(&events), ["3"]);
    let metadata = read(&mut client, of_stream("$$a-1", START)).await.unwrap();
    assert_eq!(data(&metadata), [r#"{"$maxCount":1}"#]);
}

#[tokio::test]
async fn tags_and_times_of_metadata_reach_the_store() {
    use factum_core::{EventStore, Query, Read, Tag};
    let server = Running::start().await;
    let mut client = server.streams().await;
    let metadata = r#"{"$tags":["seat:7"],"$occurredAt":"2020-01-01T00:00:00+01:00","x":1}"#;
    let mut event = proposed(1, "t", "{}");
    if let Some(factum_proto::event_store::client::streams::append_req::Content::ProposedMessage(
        message,
    )) = &mut event.content
    {
        message.custom_metadata = metadata.into();
    }
    send(&mut client, vec![options("a-1", ANY), event]).await.unwrap();
    let tagged = Query::tag(Tag::new("seat:7").unwrap());
    let events = server.store.read(Read::query(tagged)).await.unwrap().events().await.unwrap();
    assert_eq!(events[0].occurred_at().0, 1_577_833_200_000_000_000);
    assert_eq!(events[0].metadata(), metadata.as_bytes());
}
