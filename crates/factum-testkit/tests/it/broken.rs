//! The proof of the suite: for each of many bugs that stores have had, a case that catches it.
//!
//! A case that no bug here makes fail is not thereby worthless; but a bug here that no case catches
//! is a hole. Every one of the twenty pitfalls has its bug.

mod batches;
mod store;

use factum_core::{AnyStore, Timestamp};
use factum_testkit::{
    Boxed, CASES, Case, Harness, MemoryHarness, Need, Settings, Verdict, block_on, harness::Opened,
    run, suite,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{Broken, Bug};

/// Which cases catch which bug.
const CAUGHT: &[(Bug, &[&str])] = &[
    (Bug::LateCommit, &["pitfalls_of_reads::p01_nothing_comes_late_below_a_head_already_read"]),
    (
        Bug::HeadAfterData,
        &[
            "pitfalls_of_reads::p01_nothing_comes_late_below_a_head_already_read",
            "query_checks::what_was_read_is_what_is_decided_on",
        ],
    ),
    (
        Bug::HeadIsLastMatch,
        &[
            "pitfalls_of_reads::p02_the_head_of_a_filtered_read_lies_past_its_last_match",
            "queries::without_a_match_the_head_is_told_all_the_same",
        ],
    ),
    (
        Bug::AfterBeyondHeadFails,
        &["pitfalls_of_appends::p03_after_beyond_the_head_holds_and_hides_nothing"],
    ),
    (Bug::AfterIsInclusive, &["query_checks::after_is_exclusive"]),
    (
        Bug::OnlyFirstTagIndexed,
        &["pitfalls_of_appends::p04_decisions_on_different_tags_of_one_event_conflict"],
    ),
    (
        Bug::PlainWritersUnseen,
        &["pitfalls_of_appends::p05_a_writer_without_a_check_is_seen_by_a_query_check"],
    ),
    (
        Bug::TypeCheckMissesTagged,
        &["pitfalls_of_appends::p06_a_check_of_a_type_sees_events_with_tags"],
    ),
    (
        Bug::ReplayIfLastMatchIsMine,
        &["pitfalls_of_appends::p07_a_retry_is_recognised_after_a_strangers_match"],
    ),
    (
        Bug::ReplayForgottenAtRestart,
        &["pitfalls_of_appends::p08_a_retry_is_recognised_after_a_restart"],
    ),
    (
        Bug::ReplayIgnoresOrder,
        &["pitfalls_of_appends::p08_a_retry_in_part_or_reordered_is_refused"],
    ),
    (
        Bug::ReplayInPart,
        &[
            "pitfalls_of_appends::p08_a_retry_in_part_or_reordered_is_refused",
            "replay::more_than_was_stored_is_refused",
        ],
    ),
    (Bug::ReplayJudgesChecks, &["replay::checks_are_not_judged_again"]),
    (Bug::ReplayUnknown, &["replay::without_a_check_a_retry_is_recognised"]),
    (Bug::ReplayRaces, &["pitfalls_of_appends::p09_equal_appends_in_flight_together_are_one"]),
    (
        Bug::RightNumberIsReplay,
        &["pitfalls_of_appends::p10_an_id_at_its_right_number_is_stored_twice"],
    ),
    (Bug::GroupsByStream, &["pitfalls_of_appends::p11_one_stream_twice_and_interleaved"]),
    (
        Bug::UnwrittenCheckedEarly,
        &["pitfalls_of_appends::p12_a_check_of_an_unwritten_stream_races_its_writer"],
    ),
    (Bug::UnwrittenUnchecked, &["conditions::no_stream_is_checked_for_a_stream_not_written"]),
    (Bug::OnlyFirstCheck, &["conditions::the_first_check_that_fails_is_named"]),
    (Bug::EmptyTaken, &["pitfalls_of_appends::p13_an_append_of_nothing_is_invalid"]),
    (Bug::EqualTrackingTaken, &["pitfalls_of_appends::p13_equal_tracking_is_refused"]),
    (Bug::RefusedMovesTracking, &["pitfalls_of_appends::p13_a_refused_append_leaves_tracking"]),
    (
        Bug::NoStreamFailsIfDeleted,
        &["pitfalls_of_appends::p14_after_a_delete_no_stream_holds_and_revisions_go_on"],
    ),
    (Bug::ExistsHoldsIfDeleted, &["deletes::exists_fails_for_a_deleted_stream"]),
    (
        Bug::HiddenInQueries,
        &[
            "pitfalls_of_reads::p15_hidden_by_max_count_and_still_in_all_and_checks",
            "metadata::hidden_events_stay_in_queries_and_checks",
        ],
    ),
    (
        Bug::RecordedGoesBack,
        &[
            "pitfalls_of_reads::p16_as_of_recorded_is_a_prefix_though_the_clock_steps_back",
            "time::a_clock_that_steps_back_does_not_take_events_with_it",
        ],
    ),
    (Bug::OccurredIsPrefix, &["as_of::an_occurred_time_is_a_filter_and_no_prefix"]),
    (Bug::PastTheEndIsNothing, &["pitfalls_of_reads::p17_backward_from_past_the_end"]),
    (Bug::BackwardFromExcludes, &["reads::from_is_inclusive_both_ways"]),
    (
        Bug::LimitOneMore,
        &[
            "reads::a_stream_both_ways_from_any_point_with_any_limit",
            "as_of::a_limit_counts_what_is_selected_only",
        ],
    ),
    (Bug::LimitOneLess, &["queries::by_one_type"]),
    (
        Bug::TagsAreOr,
        &["queries::by_all_of_several_tags", "query_checks::all_tags_of_an_item_are_matched"],
    ),
    (
        Bug::CheckpointStuck,
        &["pitfalls_of_reads::p18_a_filter_without_matches_moves_its_checkpoint"],
    ),
    (Bug::CheckpointAhead, &["subscriptions::it_ends_at_its_checkpoint_and_another_goes_on"]),
    (
        Bug::LiveSkipsOne,
        &[
            "pitfalls_of_reads::p19_from_catch_up_to_live_nothing_is_missed",
            "subscriptions::each_later_append_comes",
        ],
    ),
    (Bug::LiveRepeatsOne, &["subscriptions::each_later_append_comes"]),
    (
        Bug::WrittenInTwoPolls,
        &["pitfalls_of_appends::p20_an_append_polled_and_dropped_is_retried_exactly"],
    ),
    (Bug::RefusedWritesSome, &["appends::a_refused_append_writes_nothing_to_any_stream"]),
    (Bug::ReceiptOfFirstEvent, &["receipts::a_receipt_has_the_position_of_the_last_event"]),
    (Bug::ReceiptSorted, &["receipts::streams_stand_in_the_order_of_first_mention"]),
    (Bug::TombstoneAfterChecks, &["deletes::one_tombstoned_stream_refuses_the_whole_append"]),
    (Bug::UnknownKeysLost, &["metadata::unknown_keys_are_kept_as_written"]),
    (Bug::NeverWakes, &["receipts::a_read_at_least_the_future_waits_for_it"]),
];

/// Patience is short, as some bugs are seen by waiting in vain.
const SETTINGS: Settings =
    Settings { seed: 1, case_time_max: Duration::from_secs(30), patience: Duration::from_secs(2) };

/// A store with a bug. What it stores outlives its reopening.
struct BrokenHarness {
    memory: MemoryHarness,
    bug: Option<Bug>,
    store: Mutex<Option<Broken>>,
}

impl BrokenHarness {
    fn new(bug: Option<Bug>) -> Arc<Self> {
        Arc::new(Self { memory: MemoryHarness::new(), bug, store: Mutex::new(None) })
    }
}

impl Harness for BrokenHarness {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn can(&self, _: Need) -> bool {
        true
    }

    fn open(&self) -> Boxed<'_, Opened> {
        let store = Broken::new(self.memory.clone(), self.bug);
        *self.store.lock().unwrap() = Some(store.clone());
        Box::pin(async { Ok(AnyStore::new(store)) })
    }

    fn reopen(&self) -> Boxed<'_, Opened> {
        let store = self.store.lock().unwrap().clone().expect("it was opened");
        Box::pin(async { Ok(AnyStore::new(store.restarted())) })
    }

    fn set_clock(&self, now: Timestamp) {
        self.memory.set_clock(now);
    }
}

#[test]
fn without_a_bug_every_case_passes() {
    let settings = Settings { patience: Duration::from_secs(60), ..SETTINGS };
    let settings = Settings { case_time_max: Duration::from_secs(120), ..settings };
    for case in CASES {
        let verdict = run::try_case(case, BrokenHarness::new(None), block_on, settings);
        assert_eq!(verdict, Verdict::Passed, "{}", case.name);
    }
}

/// A race is not met every time: so often a case is tried.
const ATTEMPTS_MAX: u64 = 5;

/// How the case caught the bug, or what it came to instead.
fn catches(case: &'static Case, bug: Bug) -> Result<String, Verdict> {
    let mut last = Verdict::Passed;
    for seed in 0..ATTEMPTS_MAX {
        let settings = Settings { seed, ..SETTINGS };
        let harness = BrokenHarness::new(Some(bug));
        match run::try_case(case, harness, block_on, settings) {
            Verdict::Failed { how } => return Ok(how),
            other => last = other,
        }
    }
    Err(last)
}

#[test]
fn every_bug_is_caught() {
    let mut missed = Vec::new();
    for (bug, cases) in CAUGHT {
        for name in *cases {
            let case = suite::find(name).unwrap_or_else(|| panic!("no case {name}"));
            match catches(case, *bug) {
                Ok(how) => println!("{bug:?}: {name}: {how}\n"),
                Err(verdict) => missed.push(format!("{bug:?} by {name}: {verdict:?}")),
            }
        }
    }
    assert!(missed.is_empty(), "not caught:\n{}", missed.join("\n"));
}

#[test]
fn every_pitfall_has_a_bug_that_its_cases_catch() {
    let by = |mark: &str| CAUGHT.iter().any(|(_, names)| names.iter().any(|n| n.contains(mark)));
    for number in 1..=20 {
        let mark = format!("::p{number:02}_");
        assert!(by(&mark), "no bug proves the cases {mark}…");
    }
}
