//! The list of cases, and the macro that makes a test of each.
//!
//! What is easiest to get wrong about an event store has a number, and cases named by it:
//!
//! | | what |
//! |---|---|
//! | p01 | late commit below a head already read |
//! | p02 | a filtered read's head lies past its last match |
//! | p03 | `after` beyond the head |
//! | p04 | two decisions on different tags of one event |
//! | p05 | unconditional writer against a query check |
//! | p06 | type-only check against a tagged writer |
//! | p07 | replay after a stranger's later match |
//! | p08 | replay after a restart; in part; reordered |
//! | p09 | identical appends in flight together |
//! | p10 | same id, right number: stored twice |
//! | p11 | one stream twice, interleaved |
//! | p12 | an unwritten stream's check raced by its writer |
//! | p13 | empty append; equal tracking; a refused append leaves tracking |
//! | p14 | delete, then "no stream": revisions go on |
//! | p15 | hidden by max-count, still in `$all` and in checks |
//! | p16 | as of a recorded time, the clock stepping back |
//! | p17 | backward from 0; past the end; while others append |
//! | p18 | a filter without matches: checkpoints move |
//! | p19 | catch-up to live; a stalled subscriber resumes |
//! | p20 | a future dropped, then a retry |

use crate::{Boxed, Need, Outcome, Trial, cases};
use std::fmt;

/// A behaviour that every store has.
pub struct Case {
    /// Its area and what it says: `replay::without_a_check_a_retry_is_recognised`.
    pub name: &'static str,
    /// What it needs beyond the store trait.
    pub needs: &'static [Need],
    pub(crate) run: fn(Trial) -> Boxed<'static, Outcome>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("needs", &self.needs).finish()
    }
}

/// The case of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

/// Makes the table, and the macro, from the one list. `$d` is a dollar for the inner macro.
macro_rules! cases {
    ($d:tt $($area:ident { $($case:ident $([$($need:ident)+])?;)+ })+) => {
        /// Every case, area by area.
        pub const CASES: &[Case] = &[$($(Case {
            name: concat!(stringify!($area), "::", stringify!($case)),
            needs: &[$($(Need::$need),+)?],
            run: |trial| Box::pin(cases::$area::$case(trial)),
        },)+)+];

        /// Makes a `#[test]` of each case, in a module for each area.
        ///
        /// The first argument makes a new [`Harness`](crate::Harness) for each case. `run` is a
        /// function that drives a boxed future to its end, such as
        /// [`block_on`](crate::block_on), or one that enters a runtime first.
        #[macro_export]
        macro_rules! conformance {
            ($d harness:expr, run = $d run:path) => {
                $(mod $area {
                    #[allow(unused_imports)]
                    use super::*;

                    $(#[test]
                    fn $case() {
                        let name = concat!(stringify!($area), "::", stringify!($case));
                        $d crate::run::test(name, $d harness, |case| $d run(case));
                    })+
                })+
            };
        }
    };
}

cases! { $
    appends {
        an_event_comes_back_as_it_was_given;
        binary_data_and_metadata_come_back_unchanged;
        json_is_neither_checked_nor_reformatted;
        empty_data_and_metadata_stay_empty;
        tags_come_back_in_their_order_and_a_key_may_repeat;
        a_large_event_comes_back_whole;
        revisions_count_from_0_without_gaps;
        positions_ascend_over_all_streams;
        an_empty_store_has_head_0_and_no_event [Fresh];
        positions_have_no_gaps_and_begin_at_1 [Fresh Gapless];
        the_events_of_an_append_stand_in_the_order_given;
        an_append_may_write_several_streams;
        without_a_check_any_stream_takes_events;
        a_refused_append_writes_nothing_to_any_stream;
        one_id_in_two_streams_is_two_events;
        one_id_for_two_streams_of_an_append_is_two_events;
        a_user_may_write_a_system_stream;
        appends_from_many_threads_all_land_once;
    }
    conditions {
        no_stream_holds_for_an_absent_stream;
        no_stream_fails_for_a_live_stream;
        exists_holds_for_a_live_stream;
        exists_fails_for_an_absent_stream;
        a_number_holds_at_the_last_revision_only;
        a_number_fails_for_an_absent_stream;
        no_stream_is_checked_for_a_stream_not_written;
        exists_is_checked_for_a_stream_not_written;
        a_number_is_checked_for_a_stream_not_written;
        a_check_does_not_create_its_stream;
        the_first_check_that_fails_is_named;
        checks_see_the_state_before_the_append;
        two_checks_of_one_stream_are_invalid;
        a_metadata_stream_can_be_checked;
        hidden_events_count_for_numbers;
        of_many_appends_at_one_number_exactly_one_wins;
        checks_of_a_stream_and_of_a_query_must_both_hold;
    }
    query_checks {
        a_type_is_matched;
        all_tags_of_an_item_are_matched;
        a_type_and_a_tag_are_matched_on_one_event;
        any_item_is_matched;
        a_category_is_matched;
        a_prefix_of_the_stream_is_matched;
        a_prefix_of_the_type_is_matched;
        everything_is_matched_the_systems_events_too [Fresh];
        after_is_exclusive;
        the_first_match_after_is_named;
        existence_is_asked_with_after_0;
        existence_and_decision_stand_in_one_append;
        an_append_does_not_match_itself;
        deleted_streams_still_match;
        of_many_decisions_on_one_seat_exactly_one_wins;
        what_was_read_is_what_is_decided_on;
    }
    replay {
        without_a_check_a_retry_is_recognised;
        under_no_stream_a_retry_is_recognised;
        under_a_number_a_retry_is_recognised;
        under_exists_a_retry_is_recognised;
        under_a_query_check_a_retry_is_recognised;
        of_several_streams_a_retry_is_recognised;
        checks_are_not_judged_again;
        other_checks_make_no_other_append;
        other_bodies_make_no_other_append;
        a_part_of_an_append_was_done_with_it;
        two_appends_in_a_row_retried_as_one_are_recognised;
        more_than_was_stored_is_refused;
        events_with_others_between_them_are_refused;
        a_part_stored_in_another_stream_is_refused;
        a_refusal_names_the_used_id_and_where_it_stands;
        a_refused_append_leaves_its_ids_unused;
        hidden_events_are_recognised;
        a_deleted_streams_events_are_recognised;
        a_tombstoned_streams_events_are_recognised;
        the_append_that_reopened_a_stream_is_recognised;
        every_written_stream_needs_its_right_number_to_write_again;
        a_number_says_which_of_two_equal_appends_is_meant;
    }
    reads {
        a_stream_both_ways_from_any_point_with_any_limit;
        the_store_both_ways_from_any_point_with_any_limit [Fresh];
        from_is_inclusive_both_ways;
        positions_are_inclusive_both_ways;
        with_limit_0_a_read_tells_the_head_and_the_state;
        an_absent_stream_is_a_state_and_no_error;
        the_state_tells_the_last_revision;
        streams_that_begin_alike_are_apart;
        a_long_stream_comes_whole_both_ways;
        more_bytes_than_a_batch_holds_come_whole;
        a_read_holds_nothing_past_the_head_it_told;
        a_read_dropped_half_way_harms_nobody;
        reads_beside_each_other_do_not_disturb;
        the_store_holds_the_systems_events_too;
        an_event_is_the_same_however_it_is_read;
        statistics_are_told_and_have_names;
    }
    queries {
        by_one_type;
        by_any_of_several_types;
        by_one_tag;
        by_a_tag_that_begins_like_another;
        by_all_of_several_tags;
        by_category;
        by_any_of_several_categories;
        by_a_prefix_of_the_stream;
        by_a_prefix_of_the_type;
        by_a_prefix_that_is_the_whole_name;
        by_type_and_tag;
        by_all_fields_at_once;
        by_any_of_several_items_each_event_once;
        without_a_match_the_head_is_told_all_the_same;
        a_query_has_no_stream_state;
        a_category_without_a_name_is_one_too;
        metadata_is_found_by_its_stream_and_type;
    }
    as_of {
        a_stream_as_of_a_position;
        a_query_as_of_a_position;
        the_store_as_of_a_position [Fresh];
        before_the_first_position_there_is_nothing;
        a_position_of_the_future_is_now;
        a_stream_as_of_a_recorded_time [Clock];
        a_query_as_of_a_recorded_time [Clock];
        the_store_as_of_a_recorded_time [Fresh Clock];
        the_times_that_were_told_can_be_asked_for;
        a_stream_as_of_an_occurred_time [Clock];
        a_query_as_of_an_occurred_time [Clock];
        the_store_as_of_an_occurred_time [Fresh Clock];
        an_occurred_time_is_a_filter_and_no_prefix;
        a_limit_counts_what_is_selected_only;
        the_head_told_is_that_of_now;
    }
    metadata {
        of_an_absent_stream_is_empty;
        of_a_metadata_stream_is_one_event;
        what_is_set_is_told;
        setting_it_replaces_all_of_it;
        unknown_keys_are_kept_as_written;
        an_event_appended_by_hand_is_metadata_too;
        a_metadata_stream_shows_its_last_event;
        setting_it_creates_no_stream;
        max_count_shows_the_last_events;
        max_count_1_shows_the_last_event;
        truncate_before_shows_from_there_on;
        a_stream_with_all_hidden_is_live;
        the_stricter_of_two_hides;
        a_read_from_a_hidden_revision_begins_at_the_first_visible;
        max_age_hides_what_is_older [Clock];
        max_age_hides_with_time_alone;
        a_huge_max_age_hides_nothing;
        hidden_events_stay_in_queries_and_checks;
        an_expectation_is_about_the_metadata_stream;
        values_without_a_meaning_are_refused;
        an_event_by_hand_without_a_meaning_is_refused;
        a_metadata_stream_takes_nothing_else;
        a_metadata_stream_is_not_changed_itself;
        events_and_metadata_stand_in_one_append;
    }
    deletes {
        a_deleted_stream_shows_nothing_and_says_so;
        a_deleted_streams_events_stay_in_the_store;
        no_stream_holds_for_a_deleted_stream;
        its_last_number_holds_for_a_deleted_stream;
        exists_fails_for_a_deleted_stream;
        a_deleted_stream_that_is_not_written_is_checked_alike;
        an_append_reopens_and_shows_only_itself;
        the_receipt_that_reopens_tells_the_callers_events_only;
        an_append_may_reopen_several_streams;
        other_metadata_survives_delete_and_reopening;
        deleting_twice_writes_nothing_the_second_time;
        a_reopened_stream_can_be_deleted_again;
        a_delete_expects_what_it_is_told_to;
        a_stream_that_never_was_is_not_deleted;
        deleting_a_stream_with_metadata_only_lets_it_begin_at_0;
        new_metadata_does_not_bring_deleted_events_back;
        metadata_of_a_deleted_and_tombstoned_stream_is_one_event;
        a_tombstoned_stream_shows_nothing_and_says_so;
        a_tombstoned_stream_takes_nothing_whatever_is_expected;
        one_tombstoned_stream_refuses_the_whole_append;
        a_tombstoned_stream_fails_every_check_of_another_append;
        a_tombstone_is_an_event_at_the_next_revision;
        a_tombstoned_stream_is_neither_deleted_nor_tombstoned_again;
        a_tombstone_expects_what_it_is_told_to;
        absent_and_deleted_streams_can_be_tombstoned;
        a_tombstone_cannot_be_appended_by_hand;
        a_tombstoned_streams_metadata_can_be_set;
        a_delete_and_an_append_race_to_one_of_two_ends;
    }
    subscriptions {
        a_stream_from_any_point;
        the_store_from_any_point [Fresh];
        a_type_from_any_point;
        a_category_from_any_point;
        prefixes_from_any_point;
        tags_from_any_point;
        an_absent_stream_is_waited_for;
        an_empty_store_is_waited_for [Fresh];
        each_later_append_comes;
        it_waits_without_a_batch_while_nothing_comes [Fresh];
        it_says_when_it_has_caught_up;
        it_ends_at_its_checkpoint_and_another_goes_on;
        a_stream_is_gone_on_with_after_a_revision;
        two_subscribers_get_the_same;
        one_that_is_never_pulled_holds_nobody_up;
        it_leaves_out_what_was_truncated;
        with_a_max_count_it_begins_at_the_first_visible;
        it_goes_on_over_a_delete;
        the_store_shows_what_its_streams_hide;
        a_long_backlog_comes_whole;
        many_subscribers_wake_for_one_append;
        one_that_is_dropped_is_forgotten;
        metadata_can_be_followed;
        while_others_append_nothing_is_missed_or_doubled;
    }
    time {
        recorded_at_never_goes_back;
        recorded_at_is_the_stores_clock [Clock];
        a_clock_that_steps_back_does_not_take_events_with_it [Clock];
        nanoseconds_are_kept;
        occurred_at_comes_back_as_given;
        without_it_an_event_occurred_when_it_was_recorded;
        occurred_at_changes_no_order;
    }
    tracking {
        an_unknown_source_has_no_position;
        a_position_commits_with_its_events;
        alone_it_takes_no_position_of_the_store;
        positions_must_increase_and_may_leap;
        sources_are_apart;
        with_a_position_behind_no_event_is_written;
        checks_come_before_tracking;
        alone_it_stands_under_checks_too;
        a_retry_of_tracked_events_is_recognised;
        a_source_without_a_proper_name_is_invalid;
        of_many_at_one_position_exactly_one_wins;
    }
    receipts {
        a_receipt_has_the_position_of_the_last_event;
        streams_stand_in_the_order_of_first_mention;
        the_receipt_of_metadata_is_that_of_its_event;
        the_head_is_not_before_a_receipt;
        a_read_at_least_a_receipt_holds_its_events;
        a_current_read_holds_what_was_acknowledged;
        a_read_at_least_the_future_waits_for_it;
        several_readers_wait_for_one_append [Fresh];
    }
    limits {
        events_of_an_append;
        bytes_of_an_append;
        bytes_of_an_event;
        bytes_of_an_events_metadata;
        bytes_of_a_streams_metadata;
        tags_of_an_event;
        checks_of_an_append;
        items_of_a_query_check;
        values_of_a_query_check;
        items_and_values_of_a_read;
        of_a_refused_append_the_stream_can_go_on;
    }
    bad_input {
        a_stream_name_has_1_to_1024_bytes;
        the_longest_stream_has_metadata_and_can_be_deleted;
        an_event_type_has_1_to_1024_bytes;
        a_tag_has_1_to_1024_bytes;
        a_name_with_nul_is_refused;
        odd_streams_are_streams_each_of_its_own;
        odd_types_and_tags_are_kept_and_found;
        system_names_are_no_other_streams;
        a_nil_id_is_invalid;
        any_other_id_will_do;
        an_id_twice_in_a_stream_is_invalid;
        a_query_that_restricts_nothing_is_invalid;
        deep_json_in_an_event_is_bytes;
        deep_json_in_a_streams_metadata_is_refused;
        ten_thousand_keys_of_metadata_are_kept;
        the_largest_numbers_break_no_read;
        the_largest_numbers_break_no_subscription;
        the_largest_numbers_break_no_check;
        what_is_refused_says_cause_and_cure;
    }
    durability {
        an_empty_store_is_still_empty [Fresh Reopen];
        every_event_is_there_as_it_was [Reopen];
        the_store_goes_on_where_it_was [Reopen];
        positions_go_on_without_a_gap [Fresh Reopen Gapless];
        metadata_and_deletes_are_still_in_force [Reopen];
        conditions_know_what_was_before [Reopen];
        tracked_positions_are_kept [Reopen];
        a_subscription_goes_on_from_its_checkpoint [Reopen];
        recorded_at_does_not_go_back [Reopen Clock];
        what_was_refused_is_not_there [Reopen];
    }
    pitfalls_of_appends {
        p03_after_beyond_the_head_holds_and_hides_nothing;
        p04_decisions_on_different_tags_of_one_event_conflict;
        p04_of_such_decisions_in_flight_together_one_wins;
        p05_a_writer_without_a_check_is_seen_by_a_query_check;
        p05_also_when_both_are_in_flight;
        p06_a_check_of_a_type_sees_events_with_tags;
        p06_a_check_of_everything_sees_events_with_tags;
        p07_a_retry_is_recognised_after_a_strangers_match;
        p07_a_strangers_earlier_match_is_no_replay;
        p08_a_retry_is_recognised_after_a_restart [Reopen];
        p08_a_retry_in_part_or_reordered_is_refused;
        p08_so_it_is_after_a_restart [Reopen];
        p09_equal_appends_in_flight_together_are_one;
        p10_an_id_at_its_right_number_is_stored_twice;
        p11_one_stream_twice_and_interleaved;
        p12_a_check_of_an_unwritten_stream_races_its_writer;
        p13_an_append_of_nothing_is_invalid;
        p13_equal_tracking_is_refused;
        p13_a_refused_append_leaves_tracking;
        p14_after_a_delete_no_stream_holds_and_revisions_go_on;
        p20_an_append_polled_and_dropped_is_retried_exactly;
        p20_a_change_polled_and_dropped_is_done_once_or_not;
    }
    pitfalls_of_reads {
        p01_nothing_comes_late_below_a_head_already_read;
        p02_the_head_of_a_filtered_read_lies_past_its_last_match;
        p02_such_a_head_serves_as_after;
        p15_hidden_by_max_count_and_still_in_all_and_checks;
        p16_as_of_recorded_is_a_prefix_though_the_clock_steps_back [Clock];
        p17_backward_from_0;
        p17_backward_from_past_the_end;
        p17_backward_while_others_append;
        p18_a_filter_without_matches_moves_its_checkpoint;
        p18_so_does_a_stream_without_events;
        p18_the_checkpoint_between_matches_passes_the_rest;
        p19_from_catch_up_to_live_nothing_is_missed;
        p19_a_stalled_subscriber_resumes_without_a_gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: HashSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        assert!(CASES.len() >= 120, "{} cases", CASES.len());
    }

    #[test]
    fn every_pitfall_has_a_case() {
        for number in 1..=20 {
            let mark = format!("::p{number:02}_");
            assert!(CASES.iter().any(|case| case.name.contains(&mark)), "no case for {mark}");
        }
    }
}
