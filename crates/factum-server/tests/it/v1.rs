//! Factum's own protocol: the whole store over the wire.

use crate::harness::*;
use factum_core::{AnyStore, EventStore};
use factum_proto::factum::v1::{
    AppendRequest, AppendStreamRequest, Batch, CapabilitiesRequest, ChangeRequest, Check,
    ContentType, Expected, HeadRequest, MetadataRequest, NewEvent, Query, QueryItem, ReadRequest,
    ReadResponse, Receipt, Select, StatisticsRequest, StreamMetadata, SubscribeRequest,
    TrackedRequest, Tracking, Unit, append_stream_request::Tagged,
    append_stream_response::answer::Result as Outcome, as_of, change_request, check,
    error::Error as Kind, expected, read_response::Content, select, store_client::StoreClient,
    stream_state::State,
};
use tokio::sync::mpsc;
use tonic::{Code, Status, transport::Channel};

type Client = StoreClient<Channel>;

/// (Stream, id) become events of type "t" with the tag "k".
fn append_of(events: &[(&str, u8)]) -> AppendRequest {
    let mut names = vec!["t".to_owned(), "k".to_owned()];
    let mut list = Vec::new();
    for (stream, id) in events {
        let stream = names.iter().position(|name| name == stream).unwrap_or_else(|| {
            names.push((*stream).to_owned());
            names.len() - 1
        });
        list.push(NewEvent {
            id: vec![*id; 16].into(),
            stream: u32::try_from(stream).unwrap(),
            r#type: 0,
            content_type: ContentType::Json.into(),
            data: vec![*id].into(),
            metadata: vec![*id; 2].into(),
            tags: vec![1],
            occurred_at_ns: Some(i64::from(*id)),
        });
    }
    AppendRequest { names, events: list, ..Default::default() }
}

async fn append(client: &mut Client, request: AppendRequest) -> Result<Receipt, Status> {
    soon(client.append(request)).await.map(tonic::Response::into_inner)
}

fn stream(name: &str) -> Option<Select> {
    Some(Select { select: Some(select::Select::Stream(name.into())) })
}

fn all() -> Option<Select> {
    let query = Query { all: true, items: vec![] };
    Some(Select { select: Some(select::Select::Query(query)) })
}

fn wants(expected: expected::Expected) -> Option<Expected> {
    Some(Expected { expected: Some(expected) })
}

/// (Head, state, events) of a read.
async fn read(client: &mut Client, request: ReadRequest) -> (u64, Option<State>, Vec<Batch>) {
    let mut responses = soon(client.read(request)).await.unwrap().into_inner();
    let first = soon(responses.message()).await.unwrap().unwrap();
    let ReadResponse { content: Some(Content::Start(start)) } = first else { panic!("{first:?}") };
    let mut batches = Vec::new();
    while let Some(response) = soon(responses.message()).await.unwrap() {
        let Some(Content::Batch(batch)) = response.content else { panic!("{response:?}") };
        batches.push(batch);
    }
    (start.head, start.state.and_then(|state| state.state), batches)
}

fn positions(batches: &[Batch]) -> Vec<u64> {
    let of_batch = |batch: &Batch| {
        let sum = |sum: &mut i64, step: &i64| Some(*sum + step).inspect(|now| *sum = *now);
        batch.positions.iter().scan(0, sum).map(i64::cast_unsigned).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

#[tokio::test]
async fn an_append_is_read_back_whole() {
    let server = Running::start().await;
    let mut client = server.v1().await;
    let receipt =
        append(&mut client, append_of(&[("a-1", 1), ("b-1", 2), ("a-1", 3)])).await.unwrap();
    assert_eq!((receipt.position, receipt.replayed, receipt.streams.len()), (3, false, 2));
    assert_eq!((&*receipt.streams[0].stream, receipt.streams[0].last), ("a-1", 1));
    let (head, state, batches) =
        read(&mut client, ReadRequest { select: stream("a-1"), ..Default::default() }).await;
    assert_eq!((head, state), (3, Some(State::Live(1))));
    let batch = &batches[0];
    let name = |index: u32| &*batch.names[index as usize];
    let last_tag = *batch.tags.last().unwrap();
    assert_eq!((name(batch.streams[1]), name(batch.types[1]), name(last_tag)), ("a-1", "t", "k"));
    assert_eq!((&*batch.payload, &*batch.data_bytes), (&[1, 1, 1, 3, 3, 3][..], &[1, 1][..]));
    assert_eq!((&*batch.metadata_bytes, &*batch.tag_counts), (&[2, 2][..], &[1, 1][..]));
    assert_eq!((&batch.ids[16..], &*batch.occurred), (&[3; 16][..], &[0, 1][..]));
    assert_eq!((&*batch.occurred_at_ns, &*batch.revisions), (&[1, 3][..], &[0, 1][..]));
    assert_eq!((positions(&batches), batch.content_types.len()), (vec![1, 3], 0));
    assert!(batch.recorded_at_ns[0] > 0 && batches.last().unwrap().caught_up);
    assert_eq!(batch.names.len(), 3, "each name once: {:?}", batch.names);
    let again = append(&mut client, append_of(&[("a-1", 1), ("b-1", 2), ("a-1", 3)])).await;
    assert!(again.unwrap().replayed);
}

#[tokio::test]
async fn reads_go_both_ways_as_of_any_time() {
    let server = Running::start().await;
    let mut client = server.v1().await;
    for id in 1..=5 {
        append(&mut client, append_of(&[("a-1", id)])).await.unwrap();
    }
    let base = || ReadRequest { select: all(), ..Default::default() };
    let at = |as_of| Some(factum_proto::factum::v1::AsOf { as_of: Some(as_of) });
    for (request, expected) in [
        (base(), vec![1, 2, 3, 4, 5]),
        (ReadRequest { from: Some(4), ..base() }, vec![4, 5]),
        (ReadRequest { direction: 1, from: Some(2), ..base() }, vec![2, 1]),
        (ReadRequest { direction: 1, limit: Some(1), ..base() }, vec![5]),
        (ReadRequest { limit: Some(0), ..base() }, vec![]),
        (ReadRequest { as_of: at(as_of::AsOf::Position(2)), ..base() }, vec![1, 2]),
        (ReadRequest { as_of: at(as_of::AsOf::OccurredAtNs(3)), ..base() }, vec![1, 2, 3]),
        (ReadRequest { as_of: at(as_of::AsOf::RecordedAtNs(0)), ..base() }, vec![]),
        (ReadRequest { at_least: Some(5), freshness: 1, ..base() }, vec![1, 2, 3, 4, 5]),
    ] {
        let (head, state, batches) = read(&mut client, request.clone()).await;
        assert_eq!((head, state, positions(&batches)), (5, None, expected), "{request:?}");
    }
    let item = QueryItem {
        tags: vec!["k".into()],
        stream_prefixes: vec!["b".into()],
        ..Default::default()
    };
    let query = Query { all: false, items: vec![item] };
    let select = Some(Select { select: Some(select::Select::Query(query)) });
    let (head, _, batches) = read(&mut client, ReadRequest { select, ..Default::default() }).await;
    assert_eq!((head, positions(&batches)), (5, vec![]));
}

#[tokio::test]
async fn a_failed_check_says_which_and_what() {
    let server = Running::start().await;
    let mut client = server.v1().await;
    append(&mut client, append_of(&[("a-1", 1)])).await.unwrap();
    let none = check::StreamCheck {
        stream: "a-1".into(),
        expected: wants(expected::Expected::NoStream(Unit {})),
    };
    let good = check::StreamCheck {
        stream: "b-1".into(),
        expected: wants(expected::Expected::NoStream(Unit {})),
    };
    let checks = [good, none].map(|one| Check { check: Some(check::Check::Stream(one)) });
    let request = AppendRequest { checks: checks.into(), ..append_of(&[("b-1", 2)]) };
    let status = append(&mut client, request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let item = QueryItem { tags: vec!["k".into()], ..Default::default() };
    let no_match =
        check::NoMatch { query: Some(Query { all: false, items: vec![item] }), after: 0 };
    let checks = vec![Check { check: Some(check::Check::NoMatch(no_match)) }];
    let request = AppendRequest { checks, ..append_of(&[("b-1", 2)]) };
    let status = append(&mut client, request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(server.store.head().await.unwrap().0, 1);
}

#[tokio::test]
async fn changes_metadata_and_tracking_go_through() {
    let server = Running::start().await;
    let mut client = server.v1().await;
    append(&mut client, append_of(&[("a-1", 1)])).await.unwrap();
    let metadata = StreamMetadata {
        max_count: Some(3),
        other: [("k".to_owned(), "[1]".to_owned())].into(),
        ..Default::default()
    };
    let change =
        |change, expected| ChangeRequest { stream: "a-1".into(), change: Some(change), expected };
    let set = change(change_request::Change::SetMetadata(metadata.clone()), None);
    assert_eq!(soon(client.change(set)).await.unwrap().into_inner().position, 2);
    let told = soon(client.metadata(MetadataRequest { stream: "a-1".into() })).await.unwrap();
    assert_eq!(told.into_inner().metadata, Some(metadata));
    let wrong = change(change_request::Change::Delete(Unit {}), wants(expected::Expected::At(7)));
    assert_eq!(soon(client.change(wrong)).await.unwrap_err().code(), Code::FailedPrecondition);
    let delete = change(change_request::Change::Delete(Unit {}), wants(expected::Expected::At(0)));
    soon(client.change(delete)).await.unwrap();
    let of_a = || ReadRequest { select: stream("a-1"), ..Default::default() };
    assert_eq!(read(&mut client, of_a()).await.1, Some(State::Deleted(0)));
    let end = change(change_request::Change::Tombstone(Unit {}), None);
    soon(client.change(end)).await.unwrap();
    assert_eq!(read(&mut client, of_a()).await.1, Some(State::Tombstoned(Unit {})));
    let unset = ChangeRequest { stream: "b".into(), ..Default::default() };
    assert_eq!(soon(client.change(unset)).await.unwrap_err().code(), Code::InvalidArgument);
    let tracking = Some(Tracking { source: "up".into(), position: 4 });
    append(&mut client, AppendRequest { tracking, ..Default::default() }).await.unwrap();
    let told = soon(client.tracked(TrackedRequest { source: "up".into() })).await.unwrap();
    assert_eq!(told.into_inner().position, Some(4));
}

#[tokio::test]
async fn the_server_tells_what_it_can_and_does() {
    let server = Running::start().await;
    let mut client = server.v1().await;
    let can = soon(client.capabilities(CapabilitiesRequest {})).await.unwrap().into_inner();
    let limits = server.store.capabilities().limits;
    assert!(can.gapless && can.query_checks && can.tags && can.as_of && can.tracking);
    assert_eq!(can.limits.unwrap().event_bytes_max, limits.event_bytes_max as u64);
    append(&mut client, append_of(&[("a-1", 1)])).await.unwrap();
    let told = soon(client.statistics(StatisticsRequest {})).await.unwrap().into_inner();
    let number = |name| told.statistics.iter().find(|one| one.name == name).unwrap().value;
    assert_eq!((number("head_position"), number("server_calls_in_progress")), (1.0, 1.0));
    let head = soon(client.head(HeadRequest {})).await.unwrap().into_inner();
    assert_eq!(head.position, 1);
}

#[tokio::test]
async fn subscriptions_carry_checkpoints() {
    let server = Running::start().await;
    let mut client = server.v1().await;
    append(&mut client, append_of(&[("a-1", 1), ("b-1", 2)])).await.unwrap();
    let item = QueryItem { categories: vec!["a".into()], ..Default::default() };
    let query = Query { all: false, items: vec![item] };
    let select = Some(Select { select: Some(select::Select::Query(query)) });
    let request = SubscribeRequest { select, after: None };
    let mut batches = soon(client.subscribe(request)).await.unwrap().into_inner();
    let batch = soon(batches.message()).await.unwrap().unwrap();
    assert_eq!(
        (positions(std::slice::from_ref(&batch)), batch.through, batch.caught_up),
        (vec![1], 2, true)
    );
    append(&mut client, append_of(&[("b-1", 3)])).await.unwrap();
    append(&mut client, append_of(&[("a-1", 4)])).await.unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        seen = positions(&[soon(batches.message()).await.unwrap().unwrap()]);
    }
    assert_eq!(seen, [4]);
}

struct Fast {
    requests: Option<mpsc::Sender<AppendStreamRequest>>,
    responses: tonic::Streaming<factum_proto::factum::v1::AppendStreamResponse>,
    answers: Vec<(u64, Outcome)>,
}

impl Fast {
    async fn open(server: &Running) -> Self {
        let (requests, received) = mpsc::channel::<AppendStreamRequest>(16);
        let received = futures_util::stream::unfold(received, |mut received| async {
            Some((received.recv().await?, received))
        });
        let mut client = server.v1().await;
        let responses = soon(client.append_stream(received)).await.unwrap().into_inner();
        Self { requests: Some(requests), responses, answers: Vec::new() }
    }

    async fn send(&self, appends: Vec<(u64, AppendRequest)>) {
        let tagged = appends.into_iter().map(|(tag, append)| Tagged { tag, append: Some(append) });
        let request = AppendStreamRequest { appends: tagged.collect() };
        soon(self.requests.as_ref().unwrap().send(request)).await.unwrap();
    }

    async fn next(&mut self) -> (u64, Outcome) {
        while self.answers.is_empty() {
            let response = soon(self.responses.message()).await.unwrap().unwrap();
            let answers = response.answers.into_iter();
            self.answers.extend(answers.map(|answer| (answer.tag, answer.result.unwrap())));
        }
        self.answers.remove(0)
    }
}

fn position(outcome: Outcome) -> u64 {
    let Outcome::Receipt(receipt) = outcome else { panic!("{outcome:?}") };
    receipt.position
}

#[tokio::test]
async fn many_appends_in_flight_are_answered_by_tag_in_order_of_writing() {
    let server = Running::start().await;
    let mut fast = Fast::open(&server).await;
    // Each expects what the one before it writes.
    for tag in 0..50u64 {
        let expected = match tag {
            0 => expected::Expected::NoStream(Unit {}),
            tag => expected::Expected::At(tag - 1),
        };
        let one = check::StreamCheck { stream: "a-1".into(), expected: wants(expected) };
        let checks = vec![Check { check: Some(check::Check::Stream(one)) }];
        let id = u8::try_from(tag + 1).unwrap();
        let append = AppendRequest { checks, ..append_of(&[("a-1", id)]) };
        fast.send(vec![(tag, append)]).await;
    }
    for _ in 0..50 {
        let (tag, outcome) = fast.next().await;
        assert_eq!(position(outcome), tag + 1);
    }
    fast.requests = None;
    assert!(soon(fast.responses.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_refused_append_does_not_end_the_stream() {
    let server = Running::start().await;
    let mut fast = Fast::open(&server).await;
    let bad = append_of(&[("", 1)]);
    let out_of_table = AppendRequest { names: vec![], ..append_of(&[("a", 1)]) };
    fast.send(vec![(7, bad), (8, out_of_table), (9, append_of(&[("a-1", 1)]))]).await;
    for expected in [7, 8] {
        let (tag, outcome) = fast.next().await;
        let Outcome::Error(error) = outcome else { panic!("{outcome:?}") };
        assert!(tag == expected && matches!(error.error, Some(Kind::Invalid(_))));
    }
    let (tag, outcome) = fast.next().await;
    assert_eq!((tag, position(outcome)), (9, 1));
    let missing = AppendStreamRequest { appends: vec![Tagged { tag: 1, append: None }] };
    fast.requests.as_ref().unwrap().send(missing).await.unwrap();
    assert!(matches!(fast.next().await, (1, Outcome::Error(_))));
}

#[tokio::test]
async fn bytes_over_the_limit_are_refused_in_band() {
    let held = Held::new();
    let leave = held.leave.clone();
    let limit = |config: &mut factum_server::Config| config.limits.append_bytes_max = 100;
    let server = Running::with(AnyStore::new(held), limit).await;
    let mut fast = Fast::open(&server).await;
    let mut large = append_of(&[("a-1", 1)]);
    large.events[0].data = vec![0; 80].into();
    let next = AppendRequest { events: large.events.clone(), ..append_of(&[("b-1", 2)]) };
    fast.send(vec![(1, large), (2, next)]).await;
    let (tag, outcome) = fast.next().await;
    let Outcome::Error(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((tag, error.error), (2, Some(Kind::Overloaded(Unit {}))));
    leave.add_permits(2);
    assert_eq!(fast.next().await.0, 1);
    fast.send(vec![(3, append_of(&[("b-1", 2)]))]).await;
    assert_eq!(position(fast.next().await.1), 2);
}

#[tokio::test]
async fn what_is_in_flight_is_bounded() {
    let held = Held::new();
    let (leave, arrived) = (held.leave.clone(), held.arrived.clone());
    let server = Running::with(AnyStore::new(held), |config| {
        config.limits.appends_per_call_max = 3;
    })
    .await;
    let mut fast = Fast::open(&server).await;
    let appends = (1..=10u8).map(|id| (u64::from(id), append_of(&[("a-1", id)])));
    fast.send(appends.collect()).await;
    until(async || arrived.available_permits() == 3).await;
    leave.add_permits(1);
    assert_eq!(fast.next().await.0, 1);
    until(async || arrived.available_permits() == 4).await;
    leave.add_permits(9);
    for tag in 2..=10 {
        assert_eq!(fast.next().await.0, tag);
    }
}
