//! KurrentDB's Read in the forms that end.

use crate::harness::*;
use factum_core::Revision;
use factum_proto::event_store::client::{
    Empty,
    streams::{
        read_req::{Options, options as opt},
        read_resp::{Content, read_event::Position},
    },
    uuid::Value,
};

async fn five() -> Running {
    let server = Running::start().await;
    let mut client = server.streams().await;
    append(&mut client, "a-1", ANY, 1..=3).await;
    append(&mut client, "b-1", ANY, 4..=5).await;
    server
}

async fn check(server: &Running, options: Options, expected: &[&str]) {
    let mut client = server.streams().await;
    let contents = read(&mut client, options.clone()).await.unwrap();
    assert_eq!(data(&contents), expected, "{options:?}");
}

fn backwards(options: Options) -> Options {
    Options { read_direction: opt::ReadDirection::Backwards.into(), ..options }
}

fn counted(options: Options, count: u64) -> Options {
    Options { count_option: Some(opt::CountOption::Count(count)), ..options }
}

fn revision(at: u64) -> opt::stream_options::RevisionOption {
    opt::stream_options::RevisionOption::Revision(at)
}

#[tokio::test]
async fn streams_are_read_both_ways_from_anywhere() {
    let server = five().await;
    check(&server, of_stream("a-1", START), &["1", "2", "3"]).await;
    check(&server, of_stream("a-1", revision(1)), &["2", "3"]).await;
    check(&server, of_stream("a-1", revision(3)), &[]).await;
    check(&server, of_stream("a-1", revision(i64::MAX as u64)), &[]).await;
    check(&server, of_stream("a-1", END), &[]).await;
    check(&server, of_stream("a-1", revision(u64::MAX)), &[]).await;
    check(&server, backwards(of_stream("a-1", END)), &["3", "2", "1"]).await;
    check(&server, backwards(of_stream("a-1", revision(u64::MAX))), &["3", "2", "1"]).await;
    check(&server, backwards(of_stream("a-1", revision(1))), &["2", "1"]).await;
    check(&server, backwards(of_stream("a-1", START)), &["1"]).await;
    check(&server, backwards(of_stream("a-1", revision(99))), &["3", "2", "1"]).await;
}

#[tokio::test]
async fn everything_is_read_both_ways_from_anywhere() {
    let server = five().await;
    check(&server, of_all(ALL_START), &["1", "2", "3", "4", "5"]).await;
    check(&server, of_all(at_position(0)), &["1", "2", "3", "4", "5"]).await;
    check(&server, of_all(at_position(4)), &["4", "5"]).await;
    check(&server, of_all(at_position(6)), &[]).await;
    check(&server, of_all(ALL_END), &[]).await;
    check(&server, of_all(at_position(u64::MAX)), &[]).await;
    // Backwards, the position itself is excluded.
    check(&server, backwards(of_all(at_position(4))), &["3", "2", "1"]).await;
    check(&server, backwards(of_all(at_position(1))), &[]).await;
    check(&server, backwards(of_all(at_position(0))), &[]).await;
    check(&server, backwards(of_all(ALL_START)), &[]).await;
    check(&server, backwards(of_all(ALL_END)), &["5", "4", "3", "2", "1"]).await;
    check(&server, backwards(of_all(at_position(u64::MAX))), &["5", "4", "3", "2", "1"]).await;
}

#[tokio::test]
async fn counts_are_kept() {
    let server = five().await;
    check(&server, counted(of_stream("a-1", START), 0), &[]).await;
    check(&server, counted(of_stream("a-1", START), 2), &["1", "2"]).await;
    check(&server, counted(backwards(of_all(ALL_END)), 1), &["5"]).await;
    check(&server, counted(of_all(ALL_START), u64::MAX - 1), &["1", "2", "3", "4", "5"]).await;
}

#[tokio::test]
async fn filters_select_by_stream_and_type_prefix_and_regex() {
    use opt::filter_options::Filter::{EventType, StreamIdentifier};
    let server = five().await;
    let mut client = server.streams().await;
    let other = vec![options("b-2", ANY), proposed(6, "other", "6")];
    send(&mut client, other).await.unwrap();
    let all = || of_all(ALL_START);
    let b = &["4", "5", "6"];
    check(&server, filtered(all(), StreamIdentifier(prefixes(&["b-"])), 1), b).await;
    check(&server, filtered(all(), StreamIdentifier(regex("^b")), 1), b).await;
    check(&server, filtered(all(), EventType(prefixes(&["oth", "x"])), 1), &["6"]).await;
    check(&server, filtered(all(), EventType(regex("^(?!t$)")), 1), &["6"]).await;
    let first = counted(filtered(all(), StreamIdentifier(regex("^b")), 1), 1);
    check(&server, first, &["4"]).await;
    let last = counted(filtered(of_all(ALL_END), StreamIdentifier(prefixes(&["a", "b"])), 1), 2);
    check(&server, backwards(last), &["6", "5"]).await;
    let last = counted(filtered(of_all(ALL_END), StreamIdentifier(regex("-1$")), 1), 2);
    check(&server, backwards(last), &["5", "4"]).await;
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_given() {
    let server = five().await;
    let mut client = server.streams().await;
    let contents = read(&mut client, counted(of_stream("b-1", START), 1)).await.unwrap();
    let Content::Event(first) = &contents[0] else { panic!("{contents:?}") };
    let event = first.event.as_ref().unwrap();
    assert_eq!(event.id, text_id(4));
    assert_eq!(event.stream_identifier, named("b-1"));
    assert_eq!((event.stream_revision, event.commit_position, event.prepare_position), (0, 4, 4));
    assert_eq!(first.position, Some(Position::CommitPosition(4)));
    assert!(first.link.is_none());
    assert_eq!(
        (&*event.metadata["type"], &*event.metadata["content-type"]),
        ("t", "application/json")
    );
    // Ticks of 100 ns since 1970: later than 2020, before 2200.
    let created: u64 = event.metadata["created"].parse().unwrap();
    assert!((15_000_000_000_000_000..72_000_000_000_000_000).contains(&created), "{created}");
    let structured = opt::uuid_option::Content::Structured(Empty {});
    let uuid_option = Some(opt::UuidOption { content: Some(structured) });
    let options = Options { uuid_option, ..of_stream("b-1", START) };
    let contents = read(&mut client, options).await.unwrap();
    let Content::Event(first) = &contents[0] else { panic!("{contents:?}") };
    let id = first.event.as_ref().unwrap().id.clone().unwrap().value.unwrap();
    let Value::Structured(halves) = id else { panic!("{id:?}") };
    assert_eq!((halves.most_significant_bits, halves.least_significant_bits), (0, 4));
}

async fn bounds(server: &Running, options: Options) -> (Option<u64>, Option<u64>) {
    let mut client = server.streams().await;
    let contents = read(&mut client, options).await.unwrap();
    let first = contents.iter().find_map(|content| match content {
        Content::FirstStreamPosition(at) => Some(*at),
        _ => None,
    });
    let last = contents.iter().find_map(|content| match content {
        Content::LastStreamPosition(at) => Some(*at),
        _ => None,
    });
    (first, last)
}

#[tokio::test]
async fn bounds_of_a_stream_are_told_to_who_understands() {
    let server = five().await;
    assert_eq!(bounds(&server, of_stream("a-1", START)).await, (None, Some(2)));
    assert_eq!(bounds(&server, backwards(of_stream("a-1", END))).await, (None, Some(2)));
    assert_eq!(bounds(&server, of_stream("a-1", revision(9))).await, (Some(3), Some(2)));
    assert_eq!(bounds(&server, of_stream("a-1", revision(3))).await, (None, Some(2)));
    let old = Options { control_option: None, ..of_stream("a-1", START) };
    assert_eq!(bounds(&server, old).await, (None, None));
    assert_eq!(bounds(&server, of_all(ALL_START)).await, (None, None));
    // Where a first page would be empty, the beginning is told.
    let mut client = server.streams().await;
    append(&mut client, "c-1", ANY, 100..=140).await;
    let cut = vec![options("$$c-1", ANY), proposed(9, "$metadata", r#"{"$tb":40}"#)];
    send(&mut client, cut).await.unwrap();
    assert_eq!(bounds(&server, of_stream("c-1", START)).await, (Some(40), Some(40)));
    assert_eq!(bounds(&server, of_stream("c-1", revision(39))).await, (None, Some(40)));
}

#[tokio::test]
async fn a_missing_and_a_deleted_stream_are_not_found_in_band() {
    let server = five().await;
    let mut client = server.streams().await;
    let contents = read(&mut client, of_stream("none", START)).await.unwrap();
    assert!(matches!(&contents[..], [Content::StreamNotFound(missing)]
        if missing.stream_identifier == named("none")));
    let a = factum_core::StreamName::new("a-1").unwrap();
    use factum_core::{Change, EventStore, Expected};
    let at = Some(Expected::At(Revision(2)));
    server.store.change(&a, Change::Delete, at).await.unwrap();
    let contents = read(&mut client, backwards(of_stream("a-1", END))).await.unwrap();
    assert!(matches!(&contents[..], [Content::StreamNotFound(_)]));
}

#[tokio::test]
async fn links_are_followed_where_asked() {
    let server = five().await;
    let mut client = server.streams().await;
    let mut links = vec![options("list", ANY)];
    let targets = ["1@a-1", "0@gone", "9@a-1", "nonsense", "0@cut"];
    for (id, target) in (10..).zip(targets) {
        links.push(proposed(id, "$>", target));
    }
    send(&mut client, links).await.unwrap();
    append(&mut client, "cut", ANY, 20..=21).await;
    let set = vec![options("$$cut", ANY), proposed(9, "$metadata", r#"{"$tb":1}"#)];
    send(&mut client, set).await.unwrap();
    let resolving = |options| Options { resolve_links: true, ..options };
    let contents = read(&mut client, resolving(of_stream("list", START))).await.unwrap();
    let Content::Event(first) = &contents[0] else { panic!("{contents:?}") };
    let (event, link) = (first.event.as_ref().unwrap(), first.link.as_ref().unwrap());
    assert_eq!((&*event.data, event.stream_revision, event.commit_position), (&b"2"[..], 1, 2));
    assert_eq!((&*link.data, link.stream_revision), (&b"1@a-1"[..], 0));
    assert_eq!(first.position, Some(Position::CommitPosition(6)), "the link's");
    // Of the last, an event comes after the place that is cut off.
    for content in &contents[1..5] {
        let Content::Event(broken) = content else { panic!("{content:?}") };
        assert!(broken.event.is_none() && broken.link.is_some());
    }
    let all =
        filtered(of_all(ALL_START), opt::filter_options::Filter::EventType(regex(r"^\$>")), 1);
    check(&server, resolving(all), &["2"]).await;
    check(&server, counted(of_stream("list", START), 1), &["1@a-1"]).await;
}
