//! Stores that can do little: what they declare they cannot do, they refuse, and the suite sees it.

use factum_core::{
    AnyStore, Append, AppendError, AsOf, Capabilities, Change, Check, EventStore, Expected,
    MemoryStore, Position, Query, Read, ReadError, Reading, Receipt, Select, Statistics,
    StreamMetadata, StreamName, Subscribe, memory::MemoryBatches,
};
use factum_testkit::{
    Boxed, CASES, Harness, MemoryHarness, Need, Settings, Verdict, block_on, harness::Opened, run,
    suite,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// How a store behaves that declares it can do nothing beyond plain appends and reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It refuses, as it must.
    Refuses,
    /// It does it all the same.
    Does,
    /// It refuses, and has written.
    RefusesTooLate,
    /// It refuses by the name of another error.
    SaysSomethingElse,
}

/// A store with few abilities.
struct Few {
    inner: MemoryStore,
    capabilities: Capabilities,
    manner: Manner,
}

fn few() -> Capabilities {
    Capabilities {
        gapless: false,
        query_checks: false,
        queries: false,
        multi_stream: false,
        tags: false,
        tracking: false,
        as_of: false,
        occurred_at: false,
        ..Capabilities::full()
    }
}

fn is_too_much(append: &Append) -> bool {
    let mut streams: HashSet<&StreamName> = append.events.iter().map(|(s, _)| s).collect();
    let mut queries = false;
    for check in &append.checks {
        match check {
            Check::Stream { stream, .. } => _ = streams.insert(stream),
            Check::NoMatch { .. } => queries = true,
        }
    }
    let odd = append.events.iter().any(|(_, e)| !e.tags.is_empty() || e.occurred_at.is_some());
    streams.len() > 1 || queries || odd || append.tracking.is_some()
}

fn is_query(select: &Select) -> bool {
    !matches!(select, Select::Stream(_) | Select::Query(Query::All))
}

impl Few {
    fn refuses_read(&self, too_much: bool) -> Result<(), ReadError> {
        let refuses = too_much && self.manner != Manner::Does;
        if refuses { Err(ReadError::Unsupported { what: "that".into() }) } else { Ok(()) }
    }
}

impl EventStore for Few {
    type Batches = MemoryBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        factum_core::judge::validate(&append, &self.capabilities.limits)?;
        if !is_too_much(&append) || self.manner == Manner::Does {
            return self.inner.append(append).await;
        }
        if self.manner == Manner::RefusesTooLate {
            self.inner.append(append).await?;
        }
        if self.manner == Manner::SaysSomethingElse {
            return Err(AppendError::Overloaded);
        }
        Err(AppendError::Unsupported { what: "that".into() })
    }

    async fn read(&self, read: Read) -> Result<Reading<MemoryBatches>, ReadError> {
        self.refuses_read(is_query(&read.select) || read.as_of != AsOf::Now)?;
        self.inner.read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<MemoryBatches, ReadError> {
        self.refuses_read(is_query(&subscribe.select))?;
        self.inner.subscribe(subscribe).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.inner.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.inner.change(stream, change, expected).await
    }

    async fn tracked(&self, _: &str) -> Result<Option<u64>, ReadError> {
        self.refuses_read(true).map(|()| None)
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.inner.statistics().await
    }
}

/// Makes such stores; what they hold is shared by all cases, as that of a server.
struct FewHarness {
    shared: MemoryStore,
    manner: Manner,
}

impl Harness for FewHarness {
    fn name(&self) -> &'static str {
        "few"
    }

    fn can(&self, _: Need) -> bool {
        false
    }

    fn open(&self) -> Boxed<'_, Opened> {
        let (inner, manner) = (self.shared.clone(), self.manner);
        Box::pin(async move { Ok(AnyStore::new(Few { inner, capabilities: few(), manner })) })
    }
}

fn try_named(name: &str, manner: Manner) -> Verdict {
    let case = suite::find(name).unwrap_or_else(|| panic!("no case {name}"));
    try_over(case, &MemoryHarness::new().store(), manner)
}

fn try_over(case: &'static factum_testkit::Case, shared: &MemoryStore, manner: Manner) -> Verdict {
    let settings = Settings { seed: 1, ..Settings::default() };
    let settings = Settings { case_time_max: Duration::from_secs(60), ..settings };
    let harness = Arc::new(FewHarness { shared: shared.clone(), manner });
    run::try_case(case, harness, block_on, settings)
}

#[test]
fn what_is_declared_is_run_and_the_rest_is_proved_to_be_refused() {
    let shared = MemoryStore::new();
    let (mut passed, mut refused, mut skipped) = (0, 0, 0);
    for case in CASES {
        match try_over(case, &shared, Manner::Refuses) {
            Verdict::Passed => passed += 1,
            Verdict::Refused { .. } => refused += 1,
            Verdict::Skipped { .. } => skipped += 1,
            other => panic!("{}: {other:?}", case.name),
        }
    }
    println!("{passed} passed, {refused} refused, {skipped} skipped");
    assert!(passed > 100 && refused > 50 && skipped > 20, "{passed}, {refused}, {skipped}");
}

#[test]
fn a_store_that_does_what_it_denies_is_caught() {
    for name in [
        "query_checks::a_type_is_matched",
        "queries::by_one_type",
        "appends::an_append_may_write_several_streams",
        "appends::tags_come_back_in_their_order_and_a_key_may_repeat",
        "tracking::a_position_commits_with_its_events",
        "as_of::a_stream_as_of_a_position",
        "time::occurred_at_comes_back_as_given",
        "subscriptions::two_subscribers_get_the_same",
    ] {
        let verdict = try_named(name, Manner::Does);
        let expect = matches!(&verdict, Verdict::Failed { how } if how.contains("declares no"));
        assert!(expect, "{name}: {verdict:?}");
    }
}

#[test]
fn a_refusal_that_has_written_is_caught() {
    let name = "appends::tags_come_back_in_their_order_and_a_key_may_repeat";
    let verdict = try_named(name, Manner::RefusesTooLate);
    let expect = matches!(&verdict, Verdict::Failed { how } if how.contains("and yet written"));
    assert!(expect, "{verdict:?}");
}

#[test]
fn a_refusal_by_another_name_is_caught() {
    let verdict = try_named("query_checks::a_type_is_matched", Manner::SaysSomethingElse);
    let expect = matches!(&verdict, Verdict::Failed { how } if how.contains("must refuse"));
    assert!(expect, "{verdict:?}");
}

#[test]
fn a_case_that_hangs_fails_by_its_name() {
    let case = suite::find("appends::revisions_count_from_0_without_gaps").unwrap();
    let settings = Settings { case_time_max: Duration::from_millis(200), ..Settings::default() };
    let harness = Arc::new(MemoryHarness::new());
    let hangs = |_: Boxed<'static, ()>| loop {
        std::thread::park();
    };
    let verdict = run::try_case(case, harness, hangs, settings);
    let expect = matches!(&verdict, Verdict::Failed { how } if how.contains("hangs"));
    assert!(expect, "{verdict:?}");
}
