//! KurrentDB's Delete and Tombstone, with their errors and trailers.

use crate::harness::*;
use factum_proto::event_store::client::{
    Empty,
    streams::{
        DeleteReq, TombstoneReq, delete_req, delete_resp, read_resp::Content,
        streams_client::StreamsClient, tombstone_req,
    },
};
use tonic::{Code, Status, transport::Channel};

type Wants = delete_req::options::ExpectedStreamRevision;

async fn delete(
    client: &mut StreamsClient<Channel>,
    stream: &str,
    expected: Wants,
) -> Result<u64, Status> {
    let options = delete_req::Options {
        stream_identifier: named(stream),
        expected_stream_revision: Some(expected),
    };
    let response = soon(client.delete(DeleteReq { options: Some(options) })).await?.into_inner();
    let Some(delete_resp::PositionOption::Position(position)) = response.position_option else {
        panic!("{response:?}");
    };
    Ok(position.commit_position)
}

async fn tombstone(client: &mut StreamsClient<Channel>, stream: &str) -> Result<(), Status> {
    let options = tombstone_req::Options {
        stream_identifier: named(stream),
        expected_stream_revision: Some(tombstone_req::options::ExpectedStreamRevision::Any(
            Empty {},
        )),
    };
    soon(client.tombstone(TombstoneReq { options: Some(options) })).await.map(|_| ())
}

fn trailer<'a>(status: &'a Status, key: &str) -> &'a str {
    status.metadata().get(key).unwrap().to_str().unwrap()
}

#[tokio::test]
async fn a_deleted_stream_goes_on_at_its_next_revision() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=3).await;
    assert_eq!(delete(&mut client, "a-1", Wants::Revision(2)).await.unwrap(), 4);
    let contents = read(&mut client, of_stream("a-1", START)).await.unwrap();
    assert!(matches!(&contents[..], [Content::StreamNotFound(_)]));
    assert_eq!(written(append(&mut client, "a-1", NO_STREAM, [4]).await).0, Some(3));
    let contents = read(&mut client, of_stream("a-1", START)).await.unwrap();
    assert_eq!(data(&contents), ["4"]);
}

#[tokio::test]
async fn a_wrong_revision_is_an_error_with_trailers() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=3).await;
    for (stream, expected, wanted, actual) in [
        ("a-1", Wants::Revision(7), "7", "2"),
        ("a-1", Wants::NoStream(Empty {}), "-1", "2"),
        ("new", Wants::StreamExists(Empty {}), "-4", "-1"),
        ("new", Wants::Revision(0), "0", "-1"),
    ] {
        let status = delete(&mut client, stream, expected).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(trailer(&status, "exception"), "wrong-expected-version");
        assert_eq!(trailer(&status, "stream-name"), stream);
        assert_eq!(trailer(&status, "expected-version"), wanted);
        assert_eq!(trailer(&status, "actual-version"), actual);
        let message = format!(
            "Delete failed due to WrongExpectedVersion. Stream: {stream}, Expected version: \
             {wanted}, Actual version: {actual}"
        );
        assert_eq!(status.message(), message);
    }
}

#[tokio::test]
async fn a_tombstoned_stream_is_gone_for_every_call() {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=3).await;
    tombstone(&mut client, "a-1").await.unwrap();
    let event = vec![options("a-1", ANY), proposed(9, "t", "9")];
    let refusals = [
        send(&mut client, event).await.unwrap_err(),
        send(&mut client, vec![options("a-1", ANY)]).await.unwrap_err(),
        delete(&mut client, "a-1", Wants::Any(Empty {})).await.unwrap_err(),
        tombstone(&mut client, "a-1").await.unwrap_err(),
        read(&mut client, of_stream("a-1", START)).await.unwrap_err(),
    ];
    for status in refusals {
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "Event stream 'a-1' is deleted.");
        assert_eq!(trailer(&status, "exception"), "stream-deleted");
        assert_eq!(trailer(&status, "stream-name"), "a-1");
    }
    let metadata = read(&mut client, of_stream("$$a-1", START)).await.unwrap_err();
    assert_eq!(trailer(&metadata, "exception"), "stream-deleted");
    // Everything still has the events, and the tombstone with the greatest revision.
    let all = read(&mut client, of_all(ALL_START)).await.unwrap();
    let Some(Content::Event(last)) = all.last() else { panic!("{all:?}") };
    let last = last.event.as_ref().unwrap();
    assert_eq!((all.len(), last.stream_revision), (4, i64::MAX as u64));
}
