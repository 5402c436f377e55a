//! The list of cases, and how they are run.

use super::{Ability, BrokerUnderTest, cases, trial::Trial};
use crate::{Boxed, Outcome, Verdict, run::panic_text, skip, within};
use futures_util::{FutureExt, StreamExt, stream};
use std::{fmt, panic::AssertUnwindSafe, time::Duration};

/// How cases are run.
#[derive(Clone, Copy, Debug)]
pub struct BrokerSettings {
    /// After this a case has failed: it hangs.
    pub case_time_max: Duration,
    /// How long a case waits for what must come.
    pub patience: Duration,
    /// How long a case waits for what must not come.
    pub quiet: Duration,
    /// How many cases run at the same time.
    pub beside: usize,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            case_time_max: Duration::from_secs(90),
            patience: Duration::from_secs(30),
            quiet: Duration::from_millis(400),
            beside: 12,
        }
    }
}

/// A behaviour that every broker has.
pub struct Case {
    /// Its area and what it says: `close::it_waits_for_what_is_in_flight`.
    pub name: &'static str,
    /// What it needs beyond what every broker promises.
    pub needs: &'static [Ability],
    run: for<'a> fn(Trial<'a>) -> Boxed<'a, Outcome>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("needs", &self.needs).finish()
    }
}

/// Runs every case over a broker.
///
/// # Panics
/// If a case failed: all that did are named, with how.
pub async fn suite(broker: &impl BrokerUnderTest) {
    let only = std::env::var("CASE").unwrap_or_default();
    let settings = broker.settings();
    let alone = |case: &&&Case| case.needs.contains(&Ability::Outage);
    let chosen = CASES.iter().filter(|case| case.name.contains(&only)).collect::<Vec<_>>();
    let beside = chosen.iter().filter(|case| !alone(case));
    let run = |case: &&'static Case| report(case, broker, settings);
    let mut failed: Vec<String> = stream::iter(beside.map(run).collect::<Vec<_>>())
        .buffer_unordered(settings.beside.max(1))
        .filter_map(std::future::ready)
        .collect()
        .await;
    for case in chosen.iter().filter(alone) {
        failed.extend(report(case, broker, settings).await);
    }
    let (name, count, all) = (broker.name(), failed.len(), chosen.len());
    assert!(failed.is_empty(), "{name}: {count} of {all} cases failed\n{}", failed.join("\n"));
}

/// Runs a case, and says aloud if it was skipped; what is wrong, if it failed. For who runs cases
/// otherwise than [`suite`] does: each that takes the broker away over a broker of its own.
pub async fn report(
    case: &'static Case,
    broker: &dyn BrokerUnderTest,
    settings: BrokerSettings,
) -> Option<String> {
    match try_case(case, broker, settings).await {
        Verdict::Failed { how } => Some(format!("{}: {how}", case.name)),
        Verdict::Skipped { why } => {
            skip::skipped(&format!("{} {}", broker.name(), case.name), &why);
            None
        }
        _ => None,
    }
}

/// Runs a case to its verdict.
pub async fn try_case(
    case: &'static Case,
    broker: &dyn BrokerUnderTest,
    settings: BrokerSettings,
) -> Verdict {
    if let Some(missing) = case.needs.iter().find(|need| !broker.can(**need)) {
        return Verdict::Skipped { why: missing.to_string() };
    }
    let running = AssertUnwindSafe((case.run)(Trial::new(broker, settings))).catch_unwind();
    let how = match within(settings.case_time_max, running).await {
        Some(Ok(Ok(()))) => return Verdict::Passed,
        Some(Ok(Err(failure))) => format!("{failure:?}"),
        Some(Err(panic)) => panic_text(&*panic),
        None => format!("still running after {:?}: it hangs", settings.case_time_max),
    };
    Verdict::Failed { how }
}

macro_rules! cases {
    ($($area:ident { $($case:ident $([$($need:ident)+])?;)+ })+) => {
        /// Every case, area by area.
        pub const CASES: &[Case] = &[$($(Case {
            name: concat!(stringify!($area), "::", stringify!($case)),
            needs: &[$($(Ability::$need),+)?],
            run: |trial| Box::pin(cases::$area::$case(trial)),
        },)+)+];
    };
}

cases! {
    publish {
        an_empty_batch_has_no_outcomes;
        what_is_confirmed_is_delivered;
        a_batch_for_several_topics_goes_to_each;
        what_is_confirmed_waits_while_the_group_is_gone;
        over_the_limit_is_refused_and_those_beside_it_go;
        what_is_behind_a_failure_with_its_key_is_not_sent;
        after_a_failure_the_next_call_goes_on;
        large_messages_go;
        a_topic_that_nobody_takes_is_unroutable [Unroutable];
        an_empty_topic_is_refused_for_good;
        publishers_at_the_same_time_lose_nothing;
        many_keys_and_many_messages;
        a_publish_that_was_dropped_harms_nobody;
        a_slow_consumer_stops_no_publisher;
    }
    order {
        of_one_key_in_one_batch;
        of_one_key_over_batches;
        of_each_key_where_keys_alternate;
        of_a_key_with_failures_in_between;
        of_a_key_from_publishers_one_after_the_other;
        a_key_is_with_one_instance_at_a_time;
        of_each_key_over_competing_instances;
        of_a_key_after_its_instance_has_left;
        of_a_key_over_a_restart_of_its_consumer;
        messages_without_a_key_all_come;
    }
    groups {
        instances_of_a_group_share;
        keys_are_spread_over_instances [Spread];
        an_instance_that_joins_costs_nothing;
        an_instance_that_leaves_costs_nothing;
        each_group_gets_all;
        a_group_goes_on_where_it_was;
        a_new_group_begins_with_what_is_new;
        a_new_group_may_begin_with_the_oldest [Oldest];
        a_group_that_was_there_does_not_begin_anew [Oldest];
        a_broadcast_reaches_each [Broadcast];
        a_broadcast_does_not_wait_for_who_is_gone [Broadcast];
        a_broadcast_leaves_groups_alone [Broadcast];
        several_topics_in_one_subscription;
        other_topics_do_not_come;
    }
    settle {
        what_was_acknowledged_does_not_come_again;
        dropped_unsettled_it_comes_again;
        sent_back_it_comes_again;
        sent_back_with_a_delay_it_comes_no_sooner [Delay];
        while_one_waits_other_keys_go_on [Delay];
        unsettled_it_comes_again_when_the_subscription_is_dropped;
        an_acknowledgement_after_the_end_says_what_is_true;
        acknowledged_out_of_order_nothing_is_lost;
        the_first_delivery_is_attempt_1;
        attempts_are_counted [Attempts];
        attempts_are_counted_over_connections [Attempts];
    }
    dead {
        it_does_not_come_again_and_can_be_read [DeadLetters];
        it_is_kept_as_it_was [DeadLetters];
        those_behind_it_go_on [DeadLetters];
        it_is_one_groups_alone [DeadLetters];
        after_so_many_deliveries_it_is_put_aside [DeadLetters DeliveriesMax];
        malformed_it_keeps_its_bytes [DeadLetters Raw];
    }
    flow {
        no_more_are_handed_out_than_asked_for;
        one_at_a_time;
        what_is_sent_back_makes_room;
        what_is_dropped_makes_room;
        dropping_next_loses_nothing;
        next_waits_until_there_is_one;
        a_long_queue_is_worked_off;
    }
    close {
        with_nothing_in_flight_it_is_quick;
        it_waits_for_what_is_in_flight;
        it_waits_no_longer_than_its_limit;
        what_was_not_settled_comes_again;
        what_was_not_handed_out_comes_to_the_next;
        nothing_comes_twice_over_a_clean_restart;
    }
    content {
        every_attribute_comes_back;
        extensions_come_back;
        unicode_comes_back;
        an_empty_payload_stays_empty;
        any_bytes_come_back;
        without_a_content_type_there_is_none;
        the_topic_is_told;
        what_is_known_about_it_travels;
        a_payload_that_looks_like_a_message_is_a_payload;
    }
    foreign {
        in_binary_mode_it_is_a_message [Raw];
        in_structured_mode_it_is_a_message [Raw];
        in_structured_mode_with_bytes_it_is_a_message [Raw];
        what_is_no_message_is_handed_out_as_it_is [Raw];
        a_broken_document_is_handed_out_as_it_is [Raw];
        it_stops_nothing_behind_it [Raw];
        of_another_version_it_is_no_message [Raw];
    }
    outage {
        publishing_ends_and_may_be_tried_again [Outage];
        the_same_publisher_goes_on_afterwards [Outage];
        the_same_subscription_goes_on_afterwards [Outage];
        what_was_confirmed_before_comes_afterwards [Outage];
        what_was_not_settled_comes_again [Outage];
        a_settlement_that_is_lost_says_so [Outage];
        order_of_a_key_holds_over_it [Outage];
        nothing_is_lost_while_it_comes_and_goes [Outage];
    }
}
