//! The relay by change data capture: what is published, in which order, and what is confirmed when.

use super::{Broker, Room, told, until};
use crate::support::runtime;
use factum_postgres::cdc::{CdcError, CdcState, OverLimit};

const CONFIRMED: &str = "SELECT (confirmed_flush_lsn - '0/0')::bigint
    FROM pg_replication_slots WHERE slot_name = '{s}'";
const WRITTEN: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
/// What of a slot that nobody reads is not confirmed.
const UNCONFIRMED: &str = "SELECT count(*) FROM pg_logical_slot_peek_binary_changes(
    '{s}', NULL, NULL, 'proto_version', '1', 'publication_names', '{s}')";
const UNPUBLISHED: &str = "SELECT count(*) FROM {s}.factum_outbox WHERE published_at IS NULL";

#[test]
fn what_is_committed_is_published_in_order_and_marked() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        room.insert(&["a1", "b1"]).await;
        let mut relay = room.start(&broker);
        broker.has(2).await;
        room.insert(&["a2"]).await;
        room.run("BEGIN").await;
        room.insert(&["a9"]).await;
        room.run("ROLLBACK; BEGIN").await;
        // Nobody ever sees these rows, but the log has them.
        room.insert(&["a3", "b2"]).await;
        room.run("DELETE FROM {s}.factum_outbox WHERE id IN ('a3', 'b2'); COMMIT").await;
        room.insert(&["a4"]).await;
        broker.has(6).await;
        assert_eq!(broker.ids(), ["a1", "b1", "a2", "a3", "b2", "a4"]);
        let message = broker.messages()[2].clone();
        assert_eq!(message.topic, "orders.placed");
        assert_eq!(message.message.key.as_deref(), Some("a"));
        assert_eq!(message.message.source, "/shop");
        assert_eq!(&message.message.data[..], b"of a2");
        until("all are marked", async || room.number(UNPUBLISHED).await == 0).await;
        told(&mut relay, |status| status.published == 6).await;
        room.leave(relay).await;
    });
}

#[test]
fn what_fails_for_good_holds_up_its_key_and_nobody_elses() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        broker.refuse(&["a1", "c1"]);
        let mut relay = room.start(&broker);
        told(&mut relay, |status| matches!(status.state, CdcState::Running)).await;
        // Of these two the table has nothing when they fail.
        room.run("BEGIN").await;
        room.insert(&["c1", "c2"]).await;
        room.run("DELETE FROM {s}.factum_outbox; COMMIT").await;
        room.insert(&["a1", "b1", "a2"]).await;
        room.insert(&["a3", "b2"]).await;
        broker.has(2).await;
        told(&mut relay, |status| status.dead == 2 && status.is_waiting_for_operator).await;
        until("five wait", async || room.number(UNPUBLISHED).await == 5).await;
        assert_eq!(broker.ids(), ["b1", "b2"]);
        // Another process begins where this one ended, and holds up the same.
        relay.stop().await;
        let relay = room.start(&broker);
        room.insert(&["a4", "b3"]).await;
        broker.has(3).await;
        let dead = "SELECT count(*) FROM {s}.factum_outbox
            WHERE dead_at IS NOT NULL AND error LIKE '%poison%' AND attempts = 1";
        assert_eq!(room.number(dead).await, 2);
        // One is replayed, one discarded; what was behind them goes on, in order.
        broker.refuse(&[]);
        room.run(
            "UPDATE {s}.factum_outbox SET dead_at = NULL WHERE id = 'a1';
            DELETE FROM {s}.factum_outbox WHERE id = 'c1'",
        )
        .await;
        broker.has(8).await;
        room.insert(&["a5", "c3"]).await;
        broker.has(10).await;
        assert_eq!(broker.of("a"), ["a1", "a2", "a3", "a4", "a5"]);
        assert_eq!(broker.of("c"), ["c2", "c3"]);
        until("nothing waits", async || room.number(UNPUBLISHED).await == 0).await;
        room.leave(relay).await;
    });
}

#[test]
fn nothing_is_confirmed_that_the_broker_has_not_confirmed() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        let mut relay = room.start(&broker);
        told(&mut relay, |status| matches!(status.state, CdcState::Running)).await;
        broker.be_away(true);
        room.insert(&["a1"]).await;
        let written = room.number(WRITTEN).await;
        until("it is tried", async || broker.asked() >= 8).await;
        let away = |state: &CdcState| matches!(state, CdcState::Away { .. });
        let status =
            told(&mut relay, |status| away(&status.state) && !status.behind.is_zero()).await;
        assert!(status.lag.behind_bytes > 0, "{status:?}");
        // It goes away in the middle, and another one takes over. Positions would not do: what
        // others write on this server moves them, and that is confirmed.
        relay.stop().await;
        room.is_left().await;
        assert!(room.number(UNCONFIRMED).await > 0, "confirmed before it was published");
        broker.be_away(false);
        let relay = room.start(&broker);
        broker.has(1).await;
        until("confirmed", async || room.number(CONFIRMED).await >= written).await;
        room.leave(relay).await;
    });
}

#[test]
fn a_slot_whose_table_is_quiet_keeps_nothing_of_the_log() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        let mut relay = room.start(&broker);
        told(&mut relay, |status| matches!(status.state, CdcState::Running)).await;
        room.write_log(8 * 1024).await;
        let written = room.number(WRITTEN).await;
        until("what is none of it is confirmed", async || room.number(CONFIRMED).await >= written)
            .await;
        told(&mut relay, |status| status.lag.behind_bytes < 8 << 20 && status.lag.is_active).await;
        // Debian's server has no limit, which is told.
        let warnings = relay.status().warnings();
        assert!(warnings.iter().any(|text| text.contains("max_slot_wal_keep_size")));
        room.leave(relay).await;
    });
}

#[test]
fn a_slot_that_keeps_too_much_is_told_or_dropped_and_made_anew_without_loss() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        broker.be_away(true);
        let options = room.options();
        let limited = |over_limit| {
            let options = options.clone();
            factum_postgres::cdc::CdcRelayOptions {
                retained_bytes_max: 4 << 20,
                over_limit,
                ..options
            }
        };
        let mut relay = room.start_with(&broker, limited(OverLimit::Tell));
        room.insert(&["a1", "b1"]).await;
        until("it is tried", async || broker.asked() >= 1).await;
        room.write_log(8 * 1024).await;
        let status = told(&mut relay, |status| status.is_over_limit).await;
        assert!(status.warnings().iter().any(|text| text.contains("more than allowed")));
        relay.stop().await;
        for (policy, slots) in [(OverLimit::Stop, 1), (OverLimit::Drop, 0)] {
            let mut relay = room.start_with(&broker, limited(policy));
            let over = |status: &factum_postgres::cdc::CdcRelayStatus| {
                let CdcState::Stopped { why } = &status.state else { return false };
                matches!(why, Some(CdcError::OverLimit { .. }))
            };
            told(&mut relay, over).await;
            let sql = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{s}'";
            assert_eq!(room.number(sql).await, slots, "{policy:?}");
        }
        // The next start finds in the table what the log no longer tells.
        room.insert(&["a2"]).await;
        broker.be_away(false);
        let relay = room.start(&broker);
        room.insert(&["a3"]).await;
        broker.has(4).await;
        assert_eq!(broker.of("a"), ["a1", "a2", "a3"]);
        assert_eq!(broker.of("b"), ["b1"]);
        room.leave(relay).await;
    });
}

#[test]
fn a_second_relay_stands_by_and_takes_over() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        let mut first = room.start(&broker);
        told(&mut first, |status| matches!(status.state, CdcState::Running)).await;
        let mut second = room.start(&broker);
        told(&mut second, |status| matches!(status.state, CdcState::StandingBy)).await;
        room.insert(&["a1"]).await;
        broker.has(1).await;
        first.stop().await;
        room.insert(&["a2"]).await;
        broker.has(2).await;
        told(&mut second, |status| status.published == 1).await;
        assert_eq!(broker.of("a"), ["a1", "a2"]);
        room.leave(second).await;
    });
}

#[test]
fn a_connection_that_is_lost_is_made_again() {
    runtime().block_on(async {
        let (mut room, broker) = (Room::new().await, Broker::default());
        let relay = room.start(&broker);
        for nth in 0..3 {
            room.insert(&[&format!("a{nth}")]).await;
            until("it comes", async || {
                broker.of("a").last().is_some_and(|id| *id == format!("a{nth}"))
            })
            .await;
            let end = "SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots
                WHERE slot_name = '{s}' AND active";
            until("it is ended", async || room.number(end).await == 1).await;
        }
        room.insert(&["a3"]).await;
        until("it goes on", async || broker.of("a").contains(&"a3".to_owned())).await;
        let mut each = broker.of("a");
        each.dedup();
        assert_eq!(each, ["a0", "a1", "a2", "a3"]);
        room.leave(relay).await;
    });
}
