//! KurrentDB's BatchAppend: many appends on one call.

use crate::harness::*;
use bytes::Bytes;
use factum_core::{AnyStore, EventStore};
use factum_proto::{
    event_store::client::{
        self as shared,
        streams::{
            BatchAppendReq, BatchAppendResp,
            batch_append_req::{
                Options, ProposedMessage,
                options::{DeadlineOption, ExpectedStreamPosition as Wants},
            },
            batch_append_resp::{Result as Told, success},
        },
    },
    google::rpc,
};
use prost::{Message, Name};
use tokio::sync::mpsc;
use tonic::{Code, Streaming};

fn options(stream: &str, expected: Wants) -> Option<Options> {
    Some(Options {
        stream_identifier: named(stream),
        expected_stream_position: Some(expected),
        deadline_option: None,
    })
}

fn message(id: u128) -> ProposedMessage {
    ProposedMessage {
        id: text_id(id),
        metadata: properties("t"),
        custom_metadata: Bytes::new(),
        data: id.to_string().into(),
    }
}

/// A whole append in one message.
fn whole(correlation: u128, options: Option<Options>, ids: &[u128]) -> BatchAppendReq {
    BatchAppendReq {
        correlation_id: text_id(correlation),
        options,
        proposed_messages: ids.iter().map(|id| message(*id)).collect(),
        is_final: true,
    }
}

struct Call {
    requests: Option<mpsc::Sender<BatchAppendReq>>,
    responses: Streaming<BatchAppendResp>,
}

impl Call {
    async fn open(server: &Running) -> Self {
        let (requests, received) = mpsc::channel::<BatchAppendReq>(16);
        let received = futures_util::stream::unfold(received, |mut received| async {
            Some((received.recv().await?, received))
        });
        let mut client = server.streams().await;
        let responses = soon(client.batch_append(received)).await.unwrap().into_inner();
        Self { requests: Some(requests), responses }
    }

    async fn send(&self, request: BatchAppendReq) {
        soon(self.requests.as_ref().unwrap().send(request)).await.unwrap();
    }

    async fn next(&mut self) -> BatchAppendResp {
        soon(self.responses.message()).await.unwrap().unwrap()
    }

    async fn ask(&mut self, request: BatchAppendReq) -> BatchAppendResp {
        let correlation = request.correlation_id.clone();
        self.send(request).await;
        let response = self.next().await;
        assert_eq!(response.correlation_id, correlation);
        response
    }

    async fn refused(&mut self, request: BatchAppendReq) -> rpc::Status {
        let response = self.ask(request).await;
        let Some(Told::Error(error)) = response.result else { panic!("{response:?}") };
        assert!(error.details.is_some(), "clients read exactly one detail");
        error
    }

    async fn revision(&mut self, request: BatchAppendReq) -> u64 {
        let response = self.ask(request).await;
        let Some(Told::Success(success)) = response.result else { panic!("{response:?}") };
        match success.current_revision_option {
            Some(success::CurrentRevisionOption::CurrentRevision(revision)) => revision,
            other => panic!("{other:?}"),
        }
    }
}

fn detail<M: Message + Name + Default>(error: &rpc::Status) -> M {
    error.details.as_ref().unwrap().to_msg().unwrap()
}

#[tokio::test]
async fn appends_are_answered_by_correlation_and_in_pieces() {
    let server = Running::start().await;
    let mut call = Call::open(&server).await;
    assert_eq!(call.revision(whole(1, options("a-1", Wants::NoStream(())), &[1, 2])).await, 1);
    let mut piece = whole(2, options("a-1", Wants::StreamPosition(1)), &[3]);
    piece.is_final = false;
    call.send(piece).await;
    // Another goes by in between.
    assert_eq!(call.revision(whole(3, options("b-1", Wants::Any(())), &[4])).await, 0);
    assert_eq!(call.revision(whole(2, None, &[5])).await, 3);
    call.requests = None;
    assert!(soon(call.responses.message()).await.unwrap().is_none());
    let mut client = server.streams().await;
    let events = read(&mut client, of_stream("a-1", START)).await.unwrap();
    assert_eq!(data(&events), ["1", "2", "3", "5"]);
}

#[tokio::test]
async fn a_refusal_ends_its_append_and_not_the_call() {
    let server = Running::start().await;
    let mut call = Call::open(&server).await;
    call.revision(whole(1, options("a-1", Wants::Any(())), &[1])).await;
    let error = call.refused(whole(2, options("a-1", Wants::NoStream(())), &[2])).await;
    assert_eq!((error.code, &*error.message), (Code::AlreadyExists as i32, "WrongExpectedVersion"));
    let wrong: shared::WrongExpectedVersion = detail(&error);
    assert_eq!(
        wrong.current_stream_revision_option,
        Some(shared::wrong_expected_version::CurrentStreamRevisionOption::CurrentStreamRevision(0))
    );
    let a = factum_core::StreamName::new("a-1").unwrap();
    server.store.change(&a, factum_core::Change::Tombstone, None).await.unwrap();
    let error = call.refused(whole(3, options("a-1", Wants::Any(())), &[3])).await;
    assert_eq!((error.code, &*error.message), (Code::NotFound as i32, "StreamDeleted"));
    assert_eq!(detail::<shared::StreamDeleted>(&error).stream_identifier, named("a-1"));
    assert_eq!(call.revision(whole(4, options("b-1", Wants::Any(())), &[4])).await, 0);
}

#[tokio::test]
async fn a_bad_request_is_told_so() {
    let server = Running::start().await;
    let mut call = Call::open(&server).await;
    let good = || options("a-1", Wants::Any(()));
    let unset = Options { expected_stream_position: None, ..good().unwrap() };
    let nameless = Options { stream_identifier: None, ..good().unwrap() };
    let mut typeless = whole(9, good(), &[1]);
    typeless.proposed_messages[0].metadata.remove("type");
    let mut bad_id = whole(9, good(), &[1]);
    bad_id.proposed_messages[0].id =
        Some(shared::Uuid { value: Some(shared::uuid::Value::String("x".into())) });
    for request in [
        whole(9, Some(unset), &[1]),
        whole(9, Some(nameless), &[1]),
        whole(9, options("", Wants::Any(())), &[1]),
        whole(9, options("a-1", Wants::StreamPosition(u64::MAX)), &[1]),
        BatchAppendReq { correlation_id: None, ..whole(9, good(), &[1]) },
        typeless,
        bad_id,
        whole(9, good(), &[0]),
    ] {
        let error = call.refused(request).await;
        assert_eq!(error.code, Code::InvalidArgument as i32, "{error:?}");
        assert!(!detail::<shared::BadRequest>(&error).message.is_empty());
    }
    assert_eq!(server.store.head().await.unwrap().0, 0);
}

#[tokio::test]
async fn a_deadline_that_is_over_writes_nothing() {
    let server = Running::start().await;
    let mut call = Call::open(&server).await;
    let with = |deadline| {
        let options = options("a-1", Wants::Any(())).unwrap();
        Some(Options { deadline_option: Some(deadline), ..options })
    };
    let past = prost_types::Timestamp { seconds: 1, nanos: 0 };
    for deadline in [
        DeadlineOption::Deadline(prost_types::Duration { seconds: 0, nanos: 0 }),
        DeadlineOption::Deadline(prost_types::Duration { seconds: -1, nanos: 0 }),
        DeadlineOption::Deadline21100(past),
    ] {
        // Told with the first piece, not when the append is complete.
        let piece = BatchAppendReq { is_final: false, ..whole(1, with(deadline), &[1]) };
        let error = call.refused(piece).await;
        assert_eq!((error.code, &*error.message), (Code::DeadlineExceeded as i32, "Timeout"));
    }
    assert_eq!(server.store.head().await.unwrap().0, 0);
    let long = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    assert_eq!(call.revision(whole(1, with(DeadlineOption::Deadline(long)), &[1])).await, 0);
}

#[tokio::test]
async fn an_append_that_takes_too_long_times_out() {
    let held = Held::new();
    let server = Running::with(AnyStore::new(held), |_| ()).await;
    let mut call = Call::open(&server).await;
    let soon = prost_types::Duration { seconds: 0, nanos: 20_000_000 };
    let options = Options {
        deadline_option: Some(DeadlineOption::Deadline(soon)),
        ..options("a-1", Wants::Any(())).unwrap()
    };
    let error = call.refused(whole(1, Some(options), &[1])).await;
    assert_eq!(error.code, Code::DeadlineExceeded as i32);
}

#[tokio::test]
async fn only_so_many_may_be_open() {
    let server = Running::limited(|config| config.limits.open_appends_per_call_max = 2).await;
    let mut call = Call::open(&server).await;
    let open = |correlation| BatchAppendReq {
        is_final: false,
        ..whole(correlation, options("a-1", Wants::Any(())), &[correlation])
    };
    call.send(open(1)).await;
    call.send(open(2)).await;
    let error = call.refused(open(3)).await;
    assert_eq!((error.code, &*error.message), (Code::Unavailable as i32, "Server Is Too Busy"));
    assert_eq!(call.revision(whole(2, None, &[])).await, 0);
    assert_eq!(call.revision(whole(4, options("b-1", Wants::Any(())), &[4])).await, 0);
}
