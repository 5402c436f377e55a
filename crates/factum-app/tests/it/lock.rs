//! The lock file: written, checked, and what it says about a change.

use crate::upcasts::stored;
use factum_app::{
    EventSet, ReadAs, Upcast, event,
    lock::{self, Finding, Lock, LockError, Written},
    registry::EventSets,
    serde_json::{Value, json},
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// As it was released.
mod released {
    use super::*;

    #[event("order.placed")]
    pub(super) struct Placed {
        #[tag]
        pub(super) order: u32,
        pub(super) total: u32,
    }

    #[event("order.cancelled")]
    pub(super) struct Cancelled {
        #[tag]
        pub(super) order: u32,
    }

    #[derive(Clone, Debug, EventSet)]
    pub(super) enum Set {
        Placed(Placed),
        Cancelled(Cancelled),
    }
}

/// What came later, each with one change: its name is the module's.
macro_rules! later {
    ($($(#[$lint:meta])* $name:ident: $placed:item)*) => {
        $(mod $name {
            use super::*;

            #[event("order.cancelled")]
            pub(super) struct Cancelled {
                #[tag]
                pub(super) order: u32,
            }

            $(#[$lint])*
            $placed

            #[derive(Clone, Debug, EventSet)]
            pub(super) enum Set {
                Placed(Placed),
                Cancelled(Cancelled),
            }
        })*
    };
}

later! {
    with_option: #[event("order.placed")]
    pub(super) struct Placed { #[tag] order: u32, total: u32, note: Option<String> }

    renamed_with_alias: #[event("order.placed")]
    pub(super) struct Placed { #[tag] order: u32, #[serde(default, alias = "total")] sum: u64 }

    renamed_without: #[event("order.placed")]
    pub(super) struct Placed { #[tag] order: u32, sum: u32 }

    with_required: #[event("order.placed")]
    pub(super) struct Placed { #[tag] order: u32, total: u32, urgent: bool }

    other_key: #[event("order.placed")]
    pub(super) struct Placed { #[tag("number")] order: u32, total: u32 }

    other_stream: #[event("order.placed", stream = "sale-{order}")]
    pub(super) struct Placed { #[tag] order: u32, total: u32 }

    without_the_first: #[event("order.placed", version = 2, since = 2)]
    pub(super) struct Placed { #[tag] order: u32, cents: u64 }

    renamed_event: #[event("order.submitted")]
    pub(super) struct Placed { #[tag] order: u32, total: u32 }

    second: #[event("order.placed", version = 2)]
    pub(super) struct Placed { #[tag] order: u32, cents: u64 }

    small: #[event("order.placed", version = 2)]
    pub(super) struct Placed { #[tag] order: u32, cents: u16 }
}

impl Upcast for small::Placed {
    type Old = released::Placed;

    fn upcast(old: released::Placed) -> Self {
        let cents = u16::try_from(old.total * 100).expect("nobody pays so much");
        let json = format!(r#"{{"order":{},"cents":{cents}}}"#, old.order);
        factum_app::serde_json::from_str(&json).unwrap()
    }
}

impl Upcast for second::Placed {
    type Old = released::Placed;

    fn upcast(old: released::Placed) -> Self {
        let json = format!(r#"{{"order":{},"cents":{}}}"#, old.order, u64::from(old.total) * 100);
        factum_app::serde_json::from_str(&json).unwrap()
    }
}

#[derive(Clone, Debug, EventSet)]
#[history(released::Placed)]
enum OnlyHistory {
    Cancelled(released::Cancelled),
}

impl ReadAs<OnlyHistory> for released::Placed {
    fn read_as(self) -> Vec<OnlyHistory> {
        vec![released::Cancelled { order: self.order }.into()]
    }
}

fn file() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.lock");
    let written = lock::verify::<(released::Set,)>(&path, true).unwrap();
    assert_eq!(written, Written::Updated);
    (folder, path)
}

/// What a change is found to break, and that nothing was written.
fn breaks<S: EventSets>() -> Vec<Finding> {
    let (_folder, path) = file();
    let before = std::fs::read(&path).unwrap();
    let error = lock::verify::<S>(&path, true).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), before, "nothing is written");
    let message = error.to_string();
    let LockError::Breaking { findings, .. } = error else { panic!("{error}") };
    assert!(message.contains("safe:") && message.contains("order.placed version 1"), "{message}");
    findings.0
}

#[track_caller]
fn check_break<S: EventSets>(field: &str, what: &str, safe: &str) {
    let found = breaks::<S>();
    let [one] = found.as_slice() else { panic!("one finding: {found:?}") };
    assert_eq!(one.field, field);
    assert!(one.what.contains(what) && one.safe.contains(safe), "{one}");
}

#[test]
fn what_would_make_facts_unreadable_is_refused_with_what_is_safe() {
    check_break::<with_required::Set>("urgent", "is new", "#[serde(default)]");
    check_break::<other_key::Set>("", "has the tags number", "#[tag(\"old_key\")]");
    check_break::<other_stream::Set>("", "`sale-{order}`", "stream = \"order-{order}\"");
    check_break::<without_the_first::Set>("", "is gone", "type Old");
    check_break::<renamed_event::Set>("", "in no set", "#[history(…)]");
    let renamed = breaks::<renamed_without::Set>();
    let fields: Vec<_> = renamed.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["total", "sum"]);
    assert!(renamed[0].safe.contains("#[serde(alias"), "{}", renamed[0]);
    assert!(renamed[0].safe.contains("version = 2"), "{}", renamed[0]);
    // What is no member of any set, and has no `ReadAs`.
    let gone = breaks::<(released::Cancelled,)>();
    assert_eq!((gone.len(), gone[0].event_type.as_str()), (1, "order.placed"));
}

#[track_caller]
fn check_safe<S: EventSets>(new: &[&str]) {
    let (_folder, path) = file();
    match lock::verify::<S>(&path, false) {
        Ok(Written::Unchanged) => assert!(new.is_empty(), "nothing is new"),
        Err(LockError::Outdated { new: found, .. }) => assert_eq!(found, new),
        other => panic!("{other:?}"),
    }
    let expect = if new.is_empty() { Written::Unchanged } else { Written::Updated };
    assert_eq!(lock::verify::<S>(&path, true).unwrap(), expect);
    assert_eq!(lock::verify::<S>(&path, false).unwrap(), Written::Unchanged);
}

#[test]
fn what_is_safe_is_written_when_it_is_asked() {
    check_safe::<released::Set>(&[]);
    check_safe::<(released::Cancelled, released::Placed)>(&[]);
    check_safe::<with_option::Set>(&["order.placed version 1"]);
    check_safe::<renamed_with_alias::Set>(&["order.placed version 1"]);
    check_safe::<second::Set>(&["order.placed version 1", "order.placed version 2"]);
    check_safe::<OnlyHistory>(&["order.placed version 1"]);
}

/// The samples of a version in a file, and others instead.
fn samples(path: &Path, change: impl FnOnce(&mut Vec<Value>)) -> Vec<Value> {
    let mut lock = Lock::read(path).unwrap();
    let placed = lock.events.iter_mut().find(|one| one.event_type == "order.placed").unwrap();
    change(&mut placed.samples);
    let samples = placed.samples.clone();
    std::fs::write(path, lock.text()).unwrap();
    samples
}

#[test]
fn samples_of_every_locked_version_are_kept_and_read() {
    let (_folder, path) = file();
    let first = samples(&path, |_| {});
    assert_eq!(first, [json!({ "order": 1, "total": 1 })]);
    // A shape that is widened gets further ones; the old ones stay.
    assert_eq!(lock::verify::<with_option::Set>(&path, true).unwrap(), Written::Updated);
    let widened = samples(&path, |_| {});
    assert!(widened.starts_with(&first) && widened.len() > 1, "{widened:?}");
    assert!(widened.iter().any(|one| one["note"].is_string()), "{widened:?}");
    // A version that follows does not change those before it.
    let (_folder, path) = file();
    assert_eq!(lock::verify::<second::Set>(&path, true).unwrap(), Written::Updated);
    assert_eq!(samples(&path, |_| {}), first);
    // Of a file without samples, as older releases wrote it, it is said that it wants an update.
    samples(&path, Vec::clear);
    let error = lock::verify::<second::Set>(&path, false).unwrap_err();
    assert!(matches!(error, LockError::Outdated { .. }), "{error}");
    assert_eq!(lock::verify::<second::Set>(&path, true).unwrap(), Written::Updated);
    assert_eq!(samples(&path, |_| {}), first);
}

#[test]
fn an_upcast_that_does_not_take_a_locked_sample_is_refused() {
    let refused = |sample: Value, expect: [&str; 2]| {
        let (_folder, path) = file();
        assert_eq!(lock::verify::<small::Set>(&path, true).unwrap(), Written::Updated);
        samples(&path, |samples| samples.push(sample.clone()));
        let before = std::fs::read(&path).unwrap();
        for update in [false, true] {
            let error = lock::verify::<small::Set>(&path, update).unwrap_err();
            let LockError::Breaking { findings, .. } = &error else { panic!("{error}") };
            let [one] = findings.0.as_slice() else { panic!("one finding: {error}") };
            assert_eq!((one.event_type.as_str(), one.version), ("order.placed", 1));
            assert!(expect.iter().all(|part| one.what.contains(part)), "{one}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before, "nothing is written");
    };
    // What only a fact tells that somebody knows of.
    refused(json!({ "order": 3, "total": 70_000 }), ["70000", "nobody pays so much"]);
    refused(json!({ "order": 3, "totals": 1 }), ["totals", "missing field `total`"]);
}

#[test]
fn what_is_current_is_the_newest_that_is_written() {
    let current = |lock: &Lock| -> Vec<(String, u32)> {
        let current = lock.events.iter().filter(|one| one.current);
        current.map(|one| (one.event_type.clone(), one.version)).collect()
    };
    let second = Lock::of(&<second::Set as EventSets>::members());
    assert_eq!(second.events.len(), 3);
    assert_eq!(current(&second), [("order.cancelled".into(), 1), ("order.placed".into(), 2)]);
    let history = Lock::of(&<OnlyHistory as EventSets>::members());
    assert_eq!(current(&history), [("order.cancelled".into(), 1)]);
}

#[test]
fn a_file_that_is_missing_or_damaged_says_what_to_do() {
    let (_folder, path) = file();
    let whole = std::fs::read_to_string(&path).unwrap();
    assert_eq!(Lock::parse(&whole, &path).unwrap().text(), whole, "read and written again");
    let damaged = |text: &str, expect: &str| {
        std::fs::write(&path, text).unwrap();
        for update in [false, true] {
            let error = lock::verify::<(released::Set,)>(&path, update).unwrap_err().to_string();
            assert!(error.contains(expect) && error.contains("events.lock"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "left as it is");
    };
    damaged(&whole[..whole.len() / 2], "as it was last checked in");
    damaged(&format!("<<<<<<< ours\n{whole}"), "line 1 is a mark of a merge");
    damaged(&whole.replace("\"format\": 1", "\"format\": 9"), "update Factum");
    damaged(&whole.replace("\"format\": 1,", ""), "does not say its `format`");
    damaged(&whole.replace("order.placed", "order.a"), "twice or out of order");
    std::fs::remove_file(&path).unwrap();
    let missing = lock::verify::<(released::Set,)>(&path, false).unwrap_err();
    assert!(missing.to_string().contains("FACTUM_LOCK=update"), "{missing}");
    let folder = lock::verify::<(released::Set,)>(Path::new("/"), false).unwrap_err();
    assert!(matches!(folder, LockError::Io { .. }), "{folder}");
}

#[test]
#[should_panic(expected = "does not exist")]
fn the_helper_of_a_test_fails_it() {
    lock::check::<(released::Set,)>("no/such/events.lock");
}

#[tokio::test]
async fn what_a_store_holds_is_known_or_named() {
    let lock = Lock::of(&<released::Set as EventSets>::members());
    let mut census = lock::Census::default();
    let known = stored("order.placed", None, "{}").await;
    let named = stored("order.placed.v2", None, "{}").await;
    let versioned = stored("order.placed", Some(2), "{}").await;
    let other = stored("order.sent", None, "{}").await;
    let system = stored("$marked", None, "{}").await;
    for event in [&known, &known, &named, &versioned, &other, &system] {
        census.see(event);
    }
    assert_eq!(census.count(), 5, "without the store's own");
    let unknown: Vec<_> = census.unknown(&lock).map(|(t, v, seen)| (t, v, seen.count)).collect();
    assert_eq!(unknown, [("order.placed", 2, 2), ("order.sent", 1, 1)]);
}
