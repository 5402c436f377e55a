//! The desk: one command of an instance at a time, retries, timers, and what a checkpoint names.

use super::*;
use crate::{
    Metadata,
    process::record::{Parked, Place, Status, Stored},
};
use std::collections::BTreeSet;

fn key(name: impl ToString) -> Key {
    name.to_string().into()
}

fn record(ids: &[u128], timers: &[i64]) -> Record {
    let metadata = Metadata::default();
    let sent = |id: &u128| Sent {
        id: Uuid::from_u128(*id),
        run: 1,
        command: Stored { name: "c".into(), data: serde_json::Value::Null },
        compensates: false,
        attempts_max: None,
        metadata: metadata.clone(),
    };
    let timer = |due: &i64| Timer {
        name: due.to_string(),
        due: *due,
        command: None,
        metadata: metadata.clone(),
    };
    Record {
        status: Status::Running,
        run: 1,
        version: 1,
        began_with: 1,
        state: serde_json::Value::Null,
        seen: Place::default(),
        outbox: ids.iter().map(sent).collect(),
        timers: timers.iter().map(timer).collect(),
        compensations: Vec::new(),
        parked: None,
    }
}

fn tried(made: u32) -> Option<Tries> {
    Some(Tries { made, max: None })
}

fn next(desk: &mut Desk) -> Option<u128> {
    desk.next_command().map(|(_, sent)| sent.id.as_u128())
}

#[test]
fn one_command_of_an_instance_is_on_its_way_at_a_time() {
    let mut desk = Desk::default();
    desk.put(&key("a"), Position(1), &record(&[1, 2], &[]));
    desk.put(&key("b"), Position(2), &record(&[9], &[]));
    assert_eq!((next(&mut desk), next(&mut desk), next(&mut desk)), (Some(1), Some(9), None));
    // A step while it is on its way sends nothing twice.
    desk.put(&key("a"), Position(3), &record(&[1, 2], &[]));
    assert_eq!(next(&mut desk), None);
    assert_eq!(desk.landed(&key("a"), Uuid::from_u128(1)), tried(1));
    desk.put(&key("a"), Position(4), &record(&[2], &[]));
    assert_eq!(next(&mut desk), Some(2));
}

#[test]
fn what_is_on_its_way_is_waited_for_even_where_all_else_is_forgotten() {
    let mut desk = Desk::default();
    desk.put(&key("a"), Position(1), &record(&[1], &[]));
    assert_eq!(next(&mut desk), Some(1));
    desk.clear();
    desk.put(&key("a"), Position(1), &record(&[1], &[]));
    assert_eq!(next(&mut desk), None);
    assert_eq!(desk.landed(&key("a"), Uuid::from_u128(1)), tried(1));
    // Or its instance has gone on meanwhile.
    desk.put(&key("a"), Position(1), &record(&[2], &[]));
    assert_eq!(next(&mut desk), Some(2));
    desk.put(&key("a"), Position(1), &record(&[3], &[]));
    assert_eq!(next(&mut desk), None);
    assert_eq!(desk.landed(&key("a"), Uuid::from_u128(2)), None);
    assert_eq!(next(&mut desk), Some(3));
}

#[test]
fn a_retry_waits_its_time_and_counts() {
    let mut desk = Desk::default();
    desk.put(&key("a"), Position(1), &record(&[1], &[]));
    assert_eq!(next(&mut desk), Some(1));
    assert_eq!(desk.landed(&key("a"), Uuid::from_u128(1)), tried(1));
    desk.retry(&key("a"), Timestamp(10));
    desk.put(&key("a"), Position(2), &record(&[1], &[]));
    assert_eq!((next(&mut desk), desk.next_retry()), (None, Some(Timestamp(10))));
    desk.retries_due(Timestamp(9));
    assert_eq!(next(&mut desk), None);
    desk.retries_due(Timestamp(10));
    assert_eq!((next(&mut desk), desk.next_retry()), (Some(1), None));
    assert_eq!(desk.landed(&key("a"), Uuid::from_u128(1)), tried(2));
}

#[test]
fn no_more_commands_are_on_their_way_than_may_be() {
    let mut desk = Desk::default();
    for n in 0..FLYING_MAX as u128 + 5 {
        desk.put(&key(n), Position(1), &record(&[n + 1], &[]));
    }
    let gone: BTreeSet<_> = std::iter::from_fn(|| next(&mut desk)).collect();
    assert_eq!((gone.len(), desk.waiting()), (FLYING_MAX, 5));
    desk.landed(&key(0), Uuid::from_u128(1));
    desk.put(&key(0), Position(2), &record(&[], &[]));
    assert!(next(&mut desk).is_some());
    assert!(next(&mut desk).is_none());
}

#[test]
fn timers_go_off_in_order_once_and_not_when_they_were_taken_back() {
    let mut desk = Desk::default();
    desk.put(&key("a"), Position(1), &record(&[], &[5, 3]));
    desk.put(&key("b"), Position(2), &record(&[], &[4, 6]));
    desk.put(&key("b"), Position(3), &record(&[], &[4]));
    assert_eq!(desk.next_timer(), Some(Timestamp(3)));
    let due = desk.timers_due(Timestamp(4));
    assert_eq!(due.iter().map(|one| one.at.0).collect::<Vec<_>>(), [3, 4]);
    desk.later(Alarm { at: Timestamp(9), ..due[0].clone() });
    let due = desk.timers_due(Timestamp(100));
    assert_eq!(due.iter().map(|one| (one.at.0, one.due.0)).collect::<Vec<_>>(), [(5, 5), (9, 3)]);
    desk.put(&key("a"), Position(4), &record(&[], &[]));
    assert_eq!((desk.next_timer(), desk.entries.len()), (None, 1));
}

#[test]
fn a_checkpoint_covers_all_that_is_outstanding_and_names_a_bounded_part() {
    let mut desk = Desk::default();
    let parked =
        Record { parked: Some(Parked { error: "no".into(), attempts: 1 }), ..record(&[1], &[]) };
    desk.put(&key("parked"), Position(3), &parked);
    assert_eq!(desk.low(Position(50)), (Position(50), vec![key("parked")]));
    for n in 0..2 * NAMED_MAX as u64 {
        desk.put(&key(n), Position(10 + n), &record(&[], &[1]));
    }
    let (after, named) = desk.low(Position(1_000_000));
    assert_eq!(named.len(), NAMED_MAX);
    let named: BTreeSet<_> = named.into_iter().collect();
    for (key, entry) in &desk.entries {
        // A step stands after `since`, and reading begins after `after`.
        assert!(named.contains(key) || entry.since >= after, "{key} is forgotten");
    }
    assert!(named.contains("parked"));
}
