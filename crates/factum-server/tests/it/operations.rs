//! Maintenance over both protocols that have it.

use crate::harness::*;
use factum_core::{
    AnyStore, Append, Change, EventData, EventStore, EventType, Query, Read, StreamName, Uuid,
};
use factum_log::{LogStore, Options};
use factum_proto::{
    event_store::client::operations::{
        ScavengeResp, StartScavengeReq, StopScavengeReq,
        operations_client::OperationsClient as Kurrent, scavenge_resp::ScavengeResult,
        stop_scavenge_req,
    },
    factum::v1::{
        EraseRequest, ScavengeStatusRequest, StartScavengeRequest, StopScavengeRequest,
        operations_client::OperationsClient, scavenge::State,
    },
};
use futures_util::StreamExt;
use tonic::Code;

fn thorough() -> StartScavengeRequest {
    StartScavengeRequest { grace_s: Some(0), threshold_percent: Some(0), ..Default::default() }
}

/// Sealed segments of 64 KiB with a stream that is deleted.
async fn filled(dir: &std::path::Path) -> (LogStore, usize) {
    let options = Options { segment_bytes: 64 << 10, ..Options::default() };
    let log = LogStore::open(dir, options).unwrap();
    for (n, stream) in (1..200u128).zip(["gone-1", "kept-1"].into_iter().cycle()) {
        let event_type = EventType::new("t").unwrap();
        let event = EventData::new(Uuid::from_u128(n), event_type, vec![b'x'; 1000]);
        let append = Append::to(StreamName::new(stream).unwrap(), [event]);
        log.append(append).await.unwrap();
    }
    log.change(&StreamName::new("gone-1").unwrap(), Change::Delete, None).await.unwrap();
    let count = count(&AnyStore::new(log.clone())).await;
    (log, count)
}

async fn count(store: &AnyStore) -> usize {
    let mut batches = store.read(Read::query(Query::All)).await.unwrap().batches;
    let mut count = 0;
    while let Some(batch) = batches.next().await {
        count += batch.unwrap().events.len();
    }
    count
}

#[tokio::test]
async fn a_scavenge_is_started_and_followed_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (log, before) = filled(dir.path()).await;
    let mut server = Running::over(log, |_| ()).await;
    let mut client = OperationsClient::new(server.channel().await);
    let none = soon(client.scavenge_status(ScavengeStatusRequest {})).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    let started = soon(client.start_scavenge(thorough())).await.unwrap().into_inner();
    assert!(!started.was_running);
    let states = soon(client.scavenge_status(ScavengeStatusRequest {})).await.unwrap();
    let states: Vec<_> = soon(states.into_inner().collect::<Vec<_>>()).await;
    let last = states.last().unwrap().as_ref().unwrap();
    assert_eq!((last.state(), &last.scavenge_id), (State::Done, &started.scavenge_id));
    let report = last.report.clone().unwrap();
    assert!(report.segments >= 2 && report.segments_done == report.segments, "{report:?}");
    assert!(report.bytes_freed > 50_000, "{report:?}");
    assert_eq!(count(&server.store).await as u64, before as u64 - report.events_removed);
    let gone = StopScavengeRequest { scavenge_id: None };
    assert_eq!(soon(client.stop_scavenge(gone)).await.unwrap_err().code(), Code::NotFound);
    server.stop();
    server.stopped().await;
}

#[tokio::test]
async fn one_at_a_time_is_stopped_by_its_id_over_either_protocol_and_by_the_servers_end() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = filled(dir.path()).await;
    let mut server = Running::over(log.clone(), |_| ()).await;
    let mut client = OperationsClient::new(server.channel().await);
    let mut kurrent = Kurrent::new(server.channel().await);
    // So slow that it does not end by itself.
    let slow = StartScavengeRequest { bytes_per_second_max: Some(10), ..thorough() };
    let first = soon(client.start_scavenge(slow)).await.unwrap().into_inner();
    let again = soon(client.start_scavenge(thorough())).await.unwrap().into_inner();
    assert_eq!((again.was_running, &again.scavenge_id), (true, &first.scavenge_id));
    let request = StartScavengeReq { options: None };
    let third: ScavengeResp = soon(kurrent.start_scavenge(request)).await.unwrap().into_inner();
    assert_eq!(third.scavenge_result(), ScavengeResult::InProgress);
    assert_eq!(third.scavenge_id, first.scavenge_id);
    let stop = |id: &str| StopScavengeReq {
        options: Some(stop_scavenge_req::Options { scavenge_id: id.to_owned() }),
    };
    let wrong = soon(kurrent.stop_scavenge(stop("nobody"))).await.unwrap_err();
    assert_eq!((wrong.code(), wrong.message()), (Code::NotFound, "Scavenge id was invalid."));
    assert_eq!(wrong.metadata().get("exception").unwrap(), "scavenge-not-found");
    let right = soon(kurrent.stop_scavenge(stop(&first.scavenge_id))).await.unwrap().into_inner();
    assert_eq!(right.scavenge_result(), ScavengeResult::Stopped);
    let states = soon(client.scavenge_status(ScavengeStatusRequest {})).await.unwrap();
    let states: Vec<_> = soon(states.into_inner().collect::<Vec<_>>()).await;
    assert_eq!(states.last().unwrap().as_ref().unwrap().state(), State::Stopped);
    soon(client.start_scavenge(slow)).await.unwrap();
    server.stop();
    server.stopped().await;
    log.close();
    // Nothing holds the folder any more.
    LogStore::open(dir.path(), Options::default()).unwrap();
}

#[tokio::test]
async fn an_event_is_erased_once_and_what_cannot_be_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = filled(dir.path()).await;
    let server = Running::over(log, |_| ()).await;
    let mut client = OperationsClient::new(server.channel().await);
    let of = |stream: &str, revision, reason: &str| EraseRequest {
        stream: stream.into(),
        revision,
        reason: reason.into(),
        by: "jo".into(),
    };
    let first = soon(client.erase(of("kept-1", 3, "asked for"))).await.unwrap().into_inner();
    assert_eq!((first.position, first.already), (8, false));
    let again = soon(client.erase(of("kept-1", 3, "asked for"))).await.unwrap().into_inner();
    assert_eq!((again.position, again.already), (8, true));
    for (request, code) in [
        (of("kept-1", 9_999, "x"), Code::NotFound),
        (of("none", 0, "x"), Code::NotFound),
        (of("$$gone-1", 0, "x"), Code::FailedPrecondition),
        (of("kept-1", 1, ""), Code::InvalidArgument),
        (of("", 0, "x"), Code::InvalidArgument),
    ] {
        let error = soon(client.erase(request.clone())).await.unwrap_err();
        assert_eq!(error.code(), code, "{request:?}: {error}");
    }
    // Cause: an erasure at once after a scavenge was started came before it, as the scavenge has
    // the store only when its thread has begun. Fix: what was said to be going on counts.
    let slow = StartScavengeRequest { bytes_per_second_max: Some(10), ..thorough() };
    soon(client.start_scavenge(slow)).await.unwrap();
    let busy = soon(client.erase(of("kept-1", 4, "x"))).await.unwrap_err();
    assert_eq!(busy.code(), Code::Aborted, "{busy}");
}

#[tokio::test]
async fn bad_options_and_other_stores_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = filled(dir.path()).await;
    let server = Running::over(log, |_| ()).await;
    let mut client = OperationsClient::new(server.channel().await);
    let bad = [
        StartScavengeRequest { threshold_percent: Some(101), ..thorough() },
        StartScavengeRequest { bytes_per_second_max: Some(0), ..thorough() },
    ];
    for request in bad {
        let error = soon(client.start_scavenge(request)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
    let memory = Running::start().await;
    let mut client = OperationsClient::new(memory.channel().await);
    let error = soon(client.start_scavenge(thorough())).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("no maintenance"), "{error}");
}
