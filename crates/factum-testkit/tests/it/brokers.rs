//! The suite of brokers over the one in this process, and the proof of the suite: brokers with
//! planted bugs.

mod broken;
mod harness;

use broken::{Broken, Bug};
use factum_testkit::{
    Verdict,
    brokers::{BrokerSettings, BrokerUnderTest, CASES, suite, try_case},
};
use futures_util::future::join_all;
use harness::MemoryHarness;
use std::time::Duration;

#[tokio::test]
async fn the_broker_in_this_process_passes_every_case() {
    suite(&MemoryHarness::new()).await;
}

#[test]
fn there_are_many_cases_and_each_has_a_name_of_its_own() {
    let names = CASES.iter().map(|case| case.name).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(names.len(), CASES.len());
    assert!(names.len() >= 40, "{}", names.len());
}

/// Which cases catch which bug.
const CAUGHT: &[(Bug, &[&str])] = &[
    (Bug::Loses, &["publish::what_is_confirmed_is_delivered", "order::of_one_key_in_one_batch"]),
    (
        Bug::ConfirmsEarly,
        &[
            "outage::publishing_ends_and_may_be_tried_again",
            "outage::nothing_is_lost_while_it_comes_and_goes",
        ],
    ),
    (Bug::Reorders, &["order::of_one_key_in_one_batch"]),
    (Bug::SendsBehindFailure, &["publish::what_is_behind_a_failure_with_its_key_is_not_sent"]),
    (Bug::HoldsBackOtherKeys, &["publish::what_is_behind_a_failure_with_its_key_is_not_sent"]),
    (Bug::IgnoresPrefetch, &["flow::no_more_are_handed_out_than_asked_for", "flow::one_at_a_time"]),
    (Bug::ForgetsAttempts, &["settle::attempts_are_counted"]),
    (Bug::ForgetsDelay, &["settle::sent_back_with_a_delay_it_comes_no_sooner"]),
    (Bug::DropsDeadLetters, &["dead::it_does_not_come_again_and_can_be_read"]),
    (Bug::DropsExtensions, &["content::extensions_come_back"]),
    (Bug::EmptyIsAbsent, &["content::without_a_content_type_there_is_none"]),
    (Bug::NextEatsWhenDropped, &["flow::dropping_next_loses_nothing"]),
    (Bug::AcksAtOnce, &["settle::dropped_unsettled_it_comes_again"]),
    (
        Bug::AcksWhatIsDropped,
        &["flow::what_is_dropped_makes_room", "settle::dropped_unsettled_it_comes_again"],
    ),
    (Bug::CloseDoesNotWait, &["close::it_waits_for_what_is_in_flight"]),
    (Bug::GroupsAreApart, &["groups::instances_of_a_group_share"]),
    (Bug::GroupsAreOne, &["groups::each_group_gets_all"]),
    (Bug::BeginsAnew, &["groups::a_new_group_begins_with_what_is_new"]),
    (Bug::BroadcastIsShared, &["groups::a_broadcast_reaches_each"]),
    (Bug::EndsAtOutage, &["outage::the_same_subscription_goes_on_afterwards"]),
];

#[tokio::test]
async fn every_bug_is_caught() {
    let settings = BrokerSettings {
        case_time_max: Duration::from_secs(10),
        patience: Duration::from_secs(2),
        quiet: Duration::from_millis(150),
        ..BrokerSettings::default()
    };
    let all = CAUGHT.iter().flat_map(|(bug, cases)| cases.iter().map(move |name| (*bug, *name)));
    let trying = all.map(async |(bug, name)| {
        let case = CASES.iter().find(|case| case.name == name);
        let case = case.unwrap_or_else(|| panic!("no case {name}"));
        let broken = Broken::new(bug);
        match try_case(case, &broken as &dyn BrokerUnderTest, settings).await {
            Verdict::Failed { how } => {
                println!("{bug:?}: {name}: {how}\n");
                None
            }
            verdict => Some(format!("{bug:?} by {name}: {verdict:?}")),
        }
    });
    let missed = join_all(trying).await.into_iter().flatten().collect::<Vec<_>>();
    assert!(missed.is_empty(), "not caught:\n{}", missed.join("\n"));
}
