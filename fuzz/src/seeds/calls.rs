//! One good request of every method that takes more than nothing, in each protocol, with whatever
//! may be in it: what mutations begin from.

use super::Seed;
use factum_proto::{
    event_store::client::{
        self as shared, Empty, StreamIdentifier, operations, streams as kurrent,
    },
    factum::v1,
    umadb::v1 as dcb,
};
use prost::Message;

/// All of them.
pub(super) fn make(seeds: &mut Vec<Seed>) {
    let mut add = |path: &str, time: &str, messages: &[Vec<u8>]| {
        let mut bytes = format!("{path}\n{time}\n").into_bytes();
        for message in messages {
            // Not compressed; the length; the message: as gRPC frames it.
            let length = u32::try_from(message.len()).expect("seeds are small");
            bytes.push(0);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(message);
        }
        let name = path.trim_start_matches('/').replace(['/', '.'], "-");
        let again = seeds.iter().filter(|(_, other, _)| other.starts_with(&name)).count();
        seeds.push(("call", format!("{name}-{again}"), bytes));
    };
    of_v1(&mut add);
    of_v1_beside(&mut add);
    of_kurrentdb_reads(&mut add);
    of_kurrentdb_writes(&mut add);
    of_dcb(&mut add);
}

type Add<'a> = &'a mut dyn FnMut(&str, &str, &[Vec<u8>]);

fn v1_query() -> v1::Query {
    let texts = |text: &str| vec![text.to_owned()];
    let item = v1::QueryItem {
        types: texts("t"),
        tags: texts("k:1"),
        categories: texts("a"),
        stream_prefixes: texts("a-"),
        type_prefixes: texts("t"),
    };
    v1::Query { all: false, items: vec![item] }
}

fn v1_append() -> v1::AppendRequest {
    use v1::{check, expected};
    let expected = v1::Expected { expected: Some(expected::Expected::At(1)) };
    let stream = check::StreamCheck { stream: "a-1".into(), expected: Some(expected) };
    let none = check::NoMatch { query: Some(v1_query()), after: 2 };
    let event = v1::NewEvent {
        id: vec![7; 16].into(),
        stream: 0,
        r#type: 1,
        content_type: v1::ContentType::Json.into(),
        data: r#"{"a":1}"#.into(),
        metadata: r#"{"$causationId":"x"}"#.into(),
        tags: vec![2],
        occurred_at_ns: Some(1_000_000_000),
    };
    v1::AppendRequest {
        names: ["a-1", "t", "k:1"].map(str::to_owned).into(),
        events: vec![event],
        checks: vec![
            v1::Check { check: Some(check::Check::Stream(stream)) },
            v1::Check { check: Some(check::Check::NoMatch(none)) },
        ],
        tracking: Some(v1::Tracking { source: "s".into(), position: 1 }),
    }
}

fn of_v1(add: Add<'_>) {
    add("/factum.v1.Store/Append", "5S", &[v1_append().encode_to_vec()]);
    let tagged = |tag| v1::append_stream_request::Tagged { tag, append: Some(v1_append()) };
    let stream = v1::AppendStreamRequest { appends: vec![tagged(1), tagged(2)] };
    add("/factum.v1.Store/AppendStream", "", &[stream.encode_to_vec(), stream.encode_to_vec()]);
    let selects = [
        v1::select::Select::Stream("a-1".into()),
        v1::select::Select::Query(v1_query()),
        v1::select::Select::Query(v1::Query { all: true, items: vec![] }),
    ];
    for select in selects {
        let select = Some(v1::Select { select: Some(select) });
        let read = v1::ReadRequest {
            select: select.clone(),
            direction: v1::Direction::Backward.into(),
            from: Some(2),
            limit: Some(10),
            as_of: Some(v1::AsOf { as_of: Some(v1::as_of::AsOf::Position(2)) }),
            freshness: v1::Freshness::Current.into(),
            at_least: Some(1),
        };
        add("/factum.v1.Store/Read", "100m", &[read.encode_to_vec()]);
        let subscribe = v1::SubscribeRequest { select, after: Some(1) };
        add("/factum.v1.Store/Subscribe", "", &[subscribe.encode_to_vec()]);
    }
}

fn of_v1_beside(add: Add<'_>) {
    use v1::change_request::Change;
    let metadata = v1::StreamMetadata {
        truncate_before: Some(1),
        max_count: Some(2),
        max_age_s: Some(3),
        other: [("team".to_owned(), r#"["a"]"#.to_owned())].into(),
    };
    for change in
        [Change::Delete(v1::Unit {}), Change::Tombstone(v1::Unit {}), Change::SetMetadata(metadata)]
    {
        let change =
            v1::ChangeRequest { stream: "a-1".into(), expected: None, change: Some(change) };
        add("/factum.v1.Store/Change", "", &[change.encode_to_vec()]);
    }
    let metadata = v1::MetadataRequest { stream: "a-1".into() };
    add("/factum.v1.Store/Metadata", "", &[metadata.encode_to_vec()]);
    let tracked = v1::TrackedRequest { source: "s".into() };
    add("/factum.v1.Store/Tracked", "", &[tracked.encode_to_vec()]);
    for method in ["Head", "Capabilities", "Statistics"] {
        add(&format!("/factum.v1.Store/{method}"), "1H", &[Vec::new()]);
    }
    let erase = v1::EraseRequest {
        stream: "a-1".into(),
        revision: 1,
        reason: "asked for".into(),
        by: "me".into(),
    };
    add("/factum.v1.Operations/Erase", "", &[erase.encode_to_vec()]);
    let piece = v1::ReadSegmentRequest { base: 1, seed: 2, offset: 4096, length: 1 << 20 };
    add("/factum.v1.Copies/ReadSegment", "", &[piece.encode_to_vec()]);
}

fn named(name: &str) -> Option<StreamIdentifier> {
    Some(StreamIdentifier { stream_name: name.to_owned().into() })
}

fn of_kurrentdb_reads(add: Add<'_>) {
    use kurrent::read_req::{Options, options as opt};
    let ids = opt::uuid_option::Content::Structured(Empty {});
    let plain = Options {
        uuid_option: Some(opt::UuidOption { content: Some(ids) }),
        control_option: Some(opt::ControlOption { compatibility: 1 }),
        resolve_links: true,
        filter_option: Some(opt::FilterOption::NoFilter(Empty {})),
        ..Options::default()
    };
    let of_stream = opt::StreamOptions {
        stream_identifier: named("a-1"),
        revision_option: Some(opt::stream_options::RevisionOption::Revision(1)),
    };
    let of_all = opt::AllOptions {
        all_option: Some(opt::all_options::AllOption::Position(opt::Position {
            commit_position: 2,
            prepare_position: 2,
        })),
    };
    let expression = |regex: &str, prefix: &[&str]| opt::filter_options::Expression {
        regex: regex.into(),
        prefix: prefix.iter().map(|prefix| (*prefix).into()).collect(),
    };
    let filtered = |by| {
        Some(opt::FilterOption::Filter(opt::FilterOptions {
            filter: Some(by),
            window: Some(opt::filter_options::Window::Max(10)),
            checkpoint_interval_multiplier: 3,
        }))
    };
    use opt::filter_options::Filter;
    let filters = [
        plain.filter_option.clone(),
        filtered(Filter::EventType(expression("", &["t", "$"]))),
        filtered(Filter::StreamIdentifier(expression(r"^(?!(\$.+$|Persistent\d+$))", &[]))),
    ];
    let subscribes = Some(opt::CountOption::Subscription(opt::SubscriptionOptions {}));
    for count_option in [Some(opt::CountOption::Count(10)), subscribes] {
        let plain = Options { count_option, ..plain.clone() };
        for filter_option in filters.clone() {
            let stream_option = Some(opt::StreamOption::All(of_all));
            let options = Some(Options { filter_option, stream_option, ..plain.clone() });
            let read = kurrent::ReadReq { options };
            add("/event_store.client.streams.Streams/Read", "", &[read.encode_to_vec()]);
        }
        let stream_option = Some(opt::StreamOption::Stream(of_stream.clone()));
        let read = kurrent::ReadReq { options: Some(Options { stream_option, ..plain }) };
        add("/event_store.client.streams.Streams/Read", "", &[read.encode_to_vec()]);
    }
}

fn of_kurrentdb_writes(add: Add<'_>) {
    use kurrent::{append_req, batch_append_req as batch, delete_req};
    let text = "00000000-0000-0000-0000-000000000007";
    let id = Some(shared::Uuid { value: Some(shared::uuid::Value::String(text.into())) });
    let metadata = [("type", "t"), ("content-type", "application/json")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let custom = r#"{"$tags":["k:1"],"$occurredAt":"2020-01-02T03:04:05+01:00","a":1}"#;
    let options = append_req::Options {
        stream_identifier: named("a-1"),
        expected_stream_revision: Some(append_req::options::ExpectedStreamRevision::Revision(1)),
    };
    let event = append_req::ProposedMessage {
        id: id.clone(),
        metadata: metadata.clone().into(),
        custom_metadata: custom.into(),
        data: "{}".into(),
    };
    let messages = [
        append_req::Content::Options(options),
        append_req::Content::ProposedMessage(event.clone()),
    ];
    let messages = messages.map(|content| kurrent::AppendReq { content: Some(content) });
    let messages = messages.map(|message| message.encode_to_vec());
    add("/event_store.client.streams.Streams/Append", "", &messages);
    let time = prost_types::Duration { seconds: 5, nanos: 1 };
    let options = batch::Options {
        stream_identifier: named("a-1"),
        expected_stream_position: Some(batch::options::ExpectedStreamPosition::Any(())),
        deadline_option: Some(batch::options::DeadlineOption::Deadline(time)),
    };
    let proposed = batch::ProposedMessage {
        id: id.clone(),
        metadata: metadata.into(),
        custom_metadata: event.custom_metadata,
        data: event.data,
    };
    let batch = kurrent::BatchAppendReq {
        correlation_id: id,
        options: Some(options),
        proposed_messages: vec![proposed],
        is_final: true,
    };
    add("/event_store.client.streams.Streams/BatchAppend", "", &[batch.encode_to_vec()]);
    let options = delete_req::Options {
        stream_identifier: named("a-1"),
        expected_stream_revision: Some(delete_req::options::ExpectedStreamRevision::Any(Empty {})),
    };
    let delete = kurrent::DeleteReq { options: Some(options) }.encode_to_vec();
    // Both requests have the same fields.
    add("/event_store.client.streams.Streams/Delete", "", std::slice::from_ref(&delete));
    add("/event_store.client.streams.Streams/Tombstone", "", &[delete]);
    let scavenge = operations::start_scavenge_req::Options { thread_count: 1, start_from_chunk: 0 };
    let scavenge = operations::StartScavengeReq { options: Some(scavenge) };
    let path = "/event_store.client.operations.Operations/StartScavenge";
    add(path, "", &[scavenge.encode_to_vec()]);
}

fn of_dcb(add: Add<'_>) {
    let item = dcb::QueryItem { types: vec!["t".into()], tags: vec!["k:1".into()] };
    let query = Some(dcb::Query { items: vec![item] });
    let entry =
        |key: &str, value: &str| dcb::MetadataEntry { key: key.into(), value: value.into() };
    let event = dcb::Event {
        event_type: "t".into(),
        tags: vec!["k:1".into()],
        data: "{}".into(),
        uuid: "00000000-0000-0000-0000-000000000009".into(),
        metadata: vec![
            entry("$stream", "a-2"),
            entry("$occurredAt", "2020-01-02T03:04:05Z"),
            entry("a", "b"),
        ],
    };
    let condition = dcb::AppendCondition { fail_if_events_match: query.clone(), after: Some(2) };
    let append = dcb::AppendRequest {
        events: vec![event],
        condition: Some(condition),
        tracking_info: Some(dcb::TrackingInfo { source: "s".into(), position: 1 }),
    };
    add("/umadb.v1.DCB/Append", "", &[append.encode_to_vec()]);
    let read = dcb::ReadRequest {
        query: query.clone(),
        start: Some(1),
        backwards: Some(true),
        limit: Some(10),
        batch_size: Some(2),
        ..dcb::ReadRequest::default()
    };
    add("/umadb.v1.DCB/Read", "", &[read.encode_to_vec()]);
    let subscribe = dcb::SubscribeRequest { query, after: Some(1), batch_size: Some(1) };
    add("/umadb.v1.DCB/Subscribe", "", &[subscribe.encode_to_vec()]);
    let tracking = dcb::TrackingRequest { source: "s".into() };
    add("/umadb.v1.DCB/GetTrackingInfo", "", &[tracking.encode_to_vec()]);
}
