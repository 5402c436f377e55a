//! Erasing one event: its place says so, and nothing of it is in the files any more.

use crate::tools::*;
use factum_core::{
    Change, EventStore, Position, Query, Read, RecordedEvent, Revision, Select, Tag,
};
use factum_log::{
    LogStore, Options,
    rewrite::{EraseError, EraseRequest, Erased, REASON_BYTES_MAX},
};
use std::{fs, path::Path};

fn request(stream: &str, revision: u64) -> EraseRequest {
    let (reason, by) = ("article 17: \"forget me\"".into(), "jo".into());
    EraseRequest { stream: name(stream), revision: Revision(revision), reason, by }
}

fn erase(store: &LogStore, stream: &str, revision: u64) -> Result<Erased, EraseError> {
    block_on(store.erase(request(stream, revision)))
}

const SECRET: &str = "jane.doe@example.org";

fn put(store: &LogStore, stream: &str, id: u128, data: &str) -> Position {
    let mut event =
        event(id, "customer.registered", data).with_metadata("{\"ip\":\"203.0.113.7\"}");
    event.tags = vec![Tag::new("mail:jane").unwrap()];
    let append = factum_core::Append::to(name(stream), [event]);
    block_on(store.append(append)).unwrap().position
}

fn of_stream(store: &LogStore, stream: &str) -> Vec<RecordedEvent> {
    all(&store.reader(), Read::select(Select::Stream(name(stream))))
}

/// Whether any file of the store has these bytes.
fn is_on_disk(dir: &Path, bytes: &str) -> bool {
    let has = |path: &Path| {
        let content = fs::read(path).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes.as_bytes())
    };
    fs::read_dir(dir).unwrap().any(|file| has(&file.unwrap().path()))
}

#[test]
fn the_place_says_erased_and_the_files_have_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    put(&store, "customer-1", 1, "{}");
    let at = put(&store, "customer-1", 2, &format!("{{\"mail\":\"{SECRET}\"}}"));
    block_on(store.append(factum_core::Append::to(name("b-1"), [event(3, "t", "x")]))).unwrap();
    assert!(is_on_disk(dir.path(), SECRET));
    let before = of_stream(&store, "customer-1");
    assert_eq!(erase(&store, "customer-1", 1).unwrap(), Erased { position: at, already: false });
    let check = |store: &LogStore| {
        let after = of_stream(store, "customer-1");
        assert_eq!(after[0], before[0], "the others are as they were");
        let (was, is) = (&before[1], &after[1]);
        let place =
            |one: &RecordedEvent| (one.id(), one.position(), one.revision(), one.recorded_at());
        assert_eq!((place(is), is.event_type().as_str()), (place(was), "$erased"));
        assert_eq!((is.tags().len(), is.metadata().len()), (0, 0));
        let said = std::str::from_utf8(is.data()).unwrap();
        assert!(said.starts_with("{\"type\":\"customer.registered\",\"erasedAtNs\":"), "{said}");
        assert!(said.ends_with("\"reason\":\"article 17: \\\"forget me\\\"\"}"), "{said}");
        let tagged = Query::tag(Tag::new("mail:jane").unwrap());
        assert_eq!(all(&store.reader(), Read::query(tagged)).len(), 1);
        let audit = of_stream(store, "$erasures");
        assert_eq!(audit.len(), 1);
        let said = std::str::from_utf8(audit[0].data()).unwrap();
        assert!(said.contains("\"stream\":\"customer-1\",\"revision\":1,\"position\":2"), "{said}");
        assert!(said.contains("\"by\":\"jo\""), "{said}");
    };
    check(&store);
    assert_eq!(erase(&store, "customer-1", 1).unwrap(), Erased { position: at, already: true });
    check(&store);
    assert!(!is_on_disk(dir.path(), SECRET));
    store.close();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    assert_eq!(store.read_only(), None);
    check(&store);
    assert_eq!(store.reader().verify(&mut |_| true).unwrap().findings, []);
    // A retry of the append is recognised by its id, which stays.
    let again = put(&store, "customer-1", 2, "again");
    assert_eq!(again, at);
    // In a sealed segment too.
    assert!(!erase(&store, "customer-1", 0).unwrap().already);
    assert_eq!(of_stream(&store, "$erasures").len(), 2);
}

#[test]
fn what_is_not_erased_says_why_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Options::default()).unwrap();
    put(&store, "a-1", 1, "{}");
    block_on(store.change(&name("a-1"), Change::Tombstone, None)).unwrap();
    put(&store, "b-1", 2, "{}");
    block_on(store.change(&name("b-1"), Change::Delete, None)).unwrap();
    let before = all(&store.reader(), Read::query(Query::All));
    let of = |stream, revision| erase(&store, stream, revision).unwrap_err();
    assert!(matches!(of("none", 0), EraseError::NotFound { .. }));
    assert!(matches!(of("b-1", 1), EraseError::NotFound { .. }));
    assert!(matches!(of("a-1", 1), EraseError::OfTheStore { .. }), "a tombstone");
    assert!(matches!(of("$$b-1", 0), EraseError::OfTheStore { .. }), "metadata");
    for reason in [String::new(), "x".repeat(REASON_BYTES_MAX + 1)] {
        let error = block_on(store.erase(EraseRequest { reason, ..request("b-1", 0) }));
        assert!(matches!(error, Err(EraseError::Text { what: "the reason", .. })), "{error:?}");
    }
    assert_eq!(all(&store.reader(), Read::query(Query::All)), before);
    // Deleted or not, an event can be erased.
    let reason = "x".repeat(REASON_BYTES_MAX);
    assert!(!block_on(store.erase(EraseRequest { reason, ..request("b-1", 0) })).unwrap().already);
    assert!(matches!(of("$erasures", 0), EraseError::OfTheStore { .. }), "the audit");
}

#[test]
fn appends_and_reads_go_on_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 64 << 10, ..Options::default() };
    let store = LogStore::open(dir.path(), options).unwrap();
    for n in 0..20 {
        put(&store, "a-1", 1 + n, "{}");
    }
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for n in 0..300 {
                put(&store, "b-1", 1000 + n, &"x".repeat(300));
            }
        });
        for revision in 0..20 {
            assert!(!erase(&store, "a-1", revision).unwrap().already);
            assert_eq!(of_stream(&store, "a-1").len(), 20);
        }
        appending.join().unwrap();
    });
    let erased = |event: &&RecordedEvent| event.event_type().as_str() == "$erased";
    assert_eq!(of_stream(&store, "a-1").iter().filter(erased).count(), 20);
    assert_eq!(of_stream(&store, "b-1").len(), 300);
    assert_eq!(of_stream(&store, "$erasures").len(), 20);
}
