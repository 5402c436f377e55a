//! What every outbox does.

use super::{
    Writing,
    shaky::Shaky,
    trial::{LONG, TOPIC, Trial, brisk, keys, message, outgoing},
};
use crate::{Failure, Outcome, run::patiently, same};
use factum_app::{
    message::Message,
    outbox::{Claim, Outcome as Became, RelayOptions, RelayState, Settled},
};
use factum_core::Timestamp;
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

fn failed(after: u64) -> Became {
    Became::Failed { error: "no".into(), after: Duration::from_nanos(after) }
}

fn dead() -> Became {
    Became::Dead { error: "never".into() }
}

pub(super) async fn what_is_committed_is_published_whole_and_what_is_not_never_is(
    t: Trial<'_>,
) -> Outcome {
    let mut feed = t.subscribe().await?;
    let relay = t.relay(brisk());
    let looks = || {
        let relay = relay.clone();
        Box::pin(async move {
            same("before the end", relay.turn().await.map(|turn| turn.claimed), Ok(0));
        })
    };
    let undone = [outgoing(message("k", 9))];
    t.write(Writing { batch: &undone, before_end: looks(), commits: false }).await?;
    same("undone", relay.turn().await?.claimed, 0);
    let sent = Message {
        subject: Some("7".into()),
        time: Some(Timestamp(1_700_000_000_123_456_789)),
        schema: Some("/schemas/1".into()),
        ..message("k", 1).with("tenant", "north").with("traceparent", "00-1-2-01")
    };
    let bytes = Message { content_type: None, ..message("\u{e4} '\"\\", 2) };
    let bytes = Message { data: (0..=255).collect::<Vec<u8>>().into(), ..bytes };
    let batch = [sent.clone(), bytes.clone()].map(outgoing);
    t.write(Writing { batch: &batch, before_end: looks(), commits: true }).await?;
    same("published", relay.turn().await?.published, 2);
    same("marked", relay.turn().await?.claimed, 0);
    for want in [sent, bytes] {
        let delivered = patiently(LONG, "a message", feed.next()).await??;
        same("it is whole", delivered.message.as_ref().ok(), Some(&want));
        delivered.ack().await?;
    }
    let traces = t.table.traceparents().await;
    let traces = traces.map_err(|error| Failure::new(error.to_string()))?;
    same("a column of its own", traces, vec![Some("00-1-2-01".to_owned()), None]);
    Ok(())
}

/// The order in which numbers came first.
fn firsts(numbers: &[u64]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    numbers.iter().copied().filter(|number| seen.insert(*number)).collect()
}

pub(super) async fn several_relays_over_a_shaky_broker_keep_the_order_of_each_key(
    t: Trial<'_>,
) -> Outcome {
    let mut feed = t.subscribe().await?;
    let mut relays = Vec::new();
    for seed in 0..3 {
        let shaky = Shaky::new(t.broker.clone(), t.world.clone(), seed);
        relays.push(t.relay_of(t.another().await?, shaky, brisk()).start());
    }
    for number in 1..=30 {
        for key in ["a", "b", "c", "d"] {
            t.put(key, [number]).await?;
        }
    }
    t.until_none_waits().await?;
    let came = t.came(&mut feed).await?;
    same("keys", came.len(), 4);
    for (key, numbers) in came {
        same(&key, firsts(&numbers), (1..=30).collect::<Vec<_>>());
    }
    // What they have published they say after it is marked.
    let published = || relays.iter().map(|relay| relay.status().published).sum::<u64>();
    t.until("each row to be marked once", async || Ok(published() == 120)).await?;
    for relay in relays {
        relay.stop().await;
    }
    Ok(())
}

pub(super) async fn claims_at_the_same_time_share_no_row_and_no_key(t: Trial<'_>) -> Outcome {
    for number in 1..=10 {
        let batch = (0..8).map(|key| outgoing(message(&format!("k{key}"), number)));
        t.enqueue(&batch.collect::<Vec<_>>()).await?;
    }
    for round in 0..5 {
        let mut outboxes = Vec::new();
        for _ in 0..6 {
            outboxes.push(t.another().await?);
        }
        let now = Timestamp(1000 * (round + 1));
        let until = Timestamp(now.0 + 1000);
        let claims = outboxes.iter().enumerate().map(|(nth, outbox)| {
            outbox.claim(Claim { relay: format!("{nth}"), rows_max: 13, now, until })
        });
        let (mut rows, mut owners) = (BTreeSet::new(), BTreeMap::new());
        for (nth, claimed) in join_all(claims).await.into_iter().enumerate() {
            for row in claimed? {
                same("a row is claimed once", rows.insert(row.sequence), true);
                let key = row.outgoing.message.key.unwrap_or_default();
                same("a key has one owner", *owners.entry(key).or_insert(nth), nth);
            }
        }
        same("something is claimed", rows.is_empty(), false);
    }
    Ok(())
}

pub(super) async fn a_claim_is_nobody_elses_until_it_runs_out(t: Trial<'_>) -> Outcome {
    t.put("a", 1..=3).await?;
    t.put("b", [1]).await?;
    same("the oldest", t.claim("one", 2, (100, 200)).await?, vec![1, 2]);
    // The third is of the key of the first two.
    same("what is free", t.claim("other", 9, (150, 250)).await?, vec![4]);
    same("nothing is left", t.claim("other", 9, (199, 250)).await?, vec![]);
    same("it has run out", t.claim("other", 9, (200, 300)).await?, vec![1, 2, 3]);
    Ok(())
}

pub(super) async fn claims_take_the_oldest_first_and_no_more_than_asked_for(
    t: Trial<'_>,
) -> Outcome {
    for number in 1..=20 {
        t.enqueue(&["a", "b", "c"].map(|key| outgoing(message(key, number)))).await?;
    }
    for first in [1_u64, 18, 35] {
        let rows = t.claim("one", 17, (1, i64::MAX)).await?;
        let settled = rows.iter().map(|&sequence| Settled { sequence, outcome: Became::Published });
        t.table.outbox().settle("one", settled.collect(), Timestamp(9)).await?;
        same("of all keys, in order", rows, (first..first + 17).collect());
    }
    Ok(())
}

pub(super) async fn what_is_to_be_tried_again_holds_up_its_key_until_then(t: Trial<'_>) -> Outcome {
    t.put("a", 1..=3).await?;
    t.put("b", 1..=2).await?;
    same("all", t.claim("one", 9, (100, 200)).await?, vec![1, 2, 3, 4, 5]);
    let rest = [3, 5].map(|row| (row, Became::Untried));
    t.settle("one", [(1, Became::Published), (2, failed(100))], 110).await?;
    t.settle("one", [(4, Became::Published)], 110).await?;
    t.settle("one", rest, 110).await?;
    same("the other key", t.claim("two", 9, (209, 300)).await?, vec![5]);
    let now = Timestamp(210);
    let claim = Claim { relay: "two".into(), rows_max: 9, now, until: Timestamp(300) };
    let rows = t.table.outbox().claim(claim).await?;
    let rows = rows.iter().map(|row| (row.sequence, row.attempts)).collect::<Vec<_>>();
    same("and how often it failed", rows, vec![(2, 1), (3, 0)]);
    Ok(())
}

pub(super) async fn what_was_not_tried_is_there_at_once(t: Trial<'_>) -> Outcome {
    t.put("a", 1..=2).await?;
    t.claim("one", 9, (100, 200)).await?;
    t.settle("one", [(1, Became::Untried), (2, Became::Untried)], 110).await?;
    same("both", t.claim("two", 9, (110, 200)).await?, vec![1, 2]);
    Ok(())
}

pub(super) async fn what_is_dead_holds_up_what_is_behind_it_and_nothing_before_it(
    t: Trial<'_>,
) -> Outcome {
    t.put("a", 1..=3).await?;
    t.put("b", [1]).await?;
    t.claim("one", 9, (100, 200)).await?;
    t.settle("one", [(1, failed(50)), (2, dead()), (3, Became::Untried)], 110).await?;
    t.settle("one", [(4, Became::Untried)], 110).await?;
    same("another key", t.claim("two", 9, (120, 130)).await?, vec![4]);
    same("before it", t.claim("two", 9, (160, 170)).await?, vec![1, 4]);
    t.settle("two", [(1, Became::Published), (4, Became::Published)], 165).await?;
    same("behind it", t.claim("two", 9, (1000, 2000)).await?, vec![]);
    same("nor later", t.claim("two", 9, (i64::MAX - 1, i64::MAX)).await?, vec![]);
    let dead = t.table.outbox().dead(9).await?;
    let dead = dead.iter().map(|dead| (dead.row.sequence, &*dead.error, dead.dead_at));
    same("it is listed", dead.collect(), vec![(2, "never", Timestamp(110))]);
    Ok(())
}

pub(super) async fn rows_without_a_key_wait_for_nobody(t: Trial<'_>) -> Outcome {
    let keyless = |number| outgoing(Message { key: None, ..message("a", number) });
    t.enqueue(&[keyless(1), keyless(2), keyless(3)]).await?;
    same("one of them", t.claim("one", 1, (100, 200)).await?, vec![1]);
    same("the next", t.claim("two", 1, (110, 200)).await?, vec![2]);
    t.settle("one", [(1, dead())], 120).await?;
    t.settle("two", [(2, failed(100))], 120).await?;
    same("and the last", t.claim("two", 9, (130, 200)).await?, vec![3]);
    Ok(())
}

pub(super) async fn a_relay_that_lost_its_claim_says_only_what_it_published(
    t: Trial<'_>,
) -> Outcome {
    t.put("a", 1..=4).await?;
    same("one's", t.claim("one", 4, (100, 200)).await?, vec![1, 2, 3, 4]);
    same("another's", t.claim("two", 9, (200, 300)).await?, vec![1, 2, 3, 4]);
    t.settle("one", [(1, Became::Published), (2, failed(1000))], 210).await?;
    t.settle("one", [(3, dead()), (4, Became::Untried)], 210).await?;
    same("dead", t.table.outbox().dead(9).await?, vec![]);
    same("it is still another's", t.claim("three", 9, (299, 400)).await?, vec![]);
    same("then anybody's", t.claim("three", 9, (300, 400)).await?, vec![2, 3, 4]);
    t.settle("three", [(2, dead())], 310).await?;
    t.settle("two", [(2, Became::Published)], 320).await?;
    same("published after all", t.table.outbox().dead(9).await?, vec![]);
    Ok(())
}

pub(super) async fn poison_holds_up_its_own_key_until_somebody_decides(t: Trial<'_>) -> Outcome {
    let mut feed = t.subscribe().await?;
    let poison = message("a", 2).data("text/plain", vec![b'x'; 2_000]);
    t.put("a", [1]).await?;
    t.enqueue(&[outgoing(poison)]).await?;
    t.put("a", [3]).await?;
    t.put("b", 1..=3).await?;
    let relay = t.relay(brisk());
    let turn = relay.turn().await?;
    same("published and dead", (turn.published, turn.dead), (4, 1));
    same("the third waits behind it", relay.turn().await?.claimed, 0);
    same("came", t.came(&mut feed).await?, keys([("a", vec![1]), ("b", vec![1, 2, 3])]));
    let outbox = t.table.outbox();
    let mut dead = outbox.dead(9).await?;
    let dead = dead.pop().ok_or_else(|| Failure::new("it is not listed"))?;
    same(&format!("why: {}", dead.error), dead.error.contains("at most 1000"), true);
    same("how often", (&*dead.row.outgoing.message.id, dead.row.attempts), ("a-2", 1));
    same("it is kept as it was", dead.row.outgoing.message.data.len(), 2_000);
    same("where to", &*dead.row.outgoing.topic, TOPIC);
    let lag = outbox.lag(t.world.now()).await?;
    same("waiting and dead", (lag.waiting, lag.dead), (2, 1));
    same("replayed", outbox.replay(dead.row.sequence).await?, true);
    same("it is as large as before", relay.turn().await?.dead, 1);
    same("attempts begin anew", outbox.dead(9).await?.pop().map(|dead| dead.row.attempts), Some(1));
    same("discarded", outbox.discard(dead.row.sequence).await?, true);
    same("there is none", outbox.discard(dead.row.sequence).await?, false);
    same("the third", relay.turn().await?.published, 1);
    same("came", t.came(&mut feed).await?, keys([("a", vec![3])]));
    Ok(())
}

pub(super) async fn only_what_is_dead_is_replayed_or_discarded(t: Trial<'_>) -> Outcome {
    t.put("a", 1..=2).await?;
    let outbox = t.table.outbox();
    t.claim("one", 1, (100, 200)).await?;
    t.settle("one", [(1, Became::Published)], 110).await?;
    for row in 1..=3 {
        same("replayed", outbox.replay(row).await?, false);
        same("discarded", outbox.discard(row).await?, false);
    }
    same("it waits", t.claim("one", 9, (110, 200)).await?, vec![2]);
    Ok(())
}

pub(super) async fn an_outage_costs_nothing_and_is_told(t: Trial<'_>) -> Outcome {
    let mut feed = t.subscribe().await?;
    t.broker.go_away();
    let relay = t.relay(brisk()).start();
    t.put("a", 1..=30).await?;
    let is_away = || matches!(relay.status().state, RelayState::Away { .. });
    t.until("the relay to say so", async || Ok(is_away())).await?;
    let oldest = t.table.outbox().lag(t.world.now()).await?.oldest;
    same("how far behind it is", oldest > Duration::ZERO, true);
    t.broker.come_back();
    t.until_none_waits().await?;
    same("came", t.came(&mut feed).await?, keys([("a", (1..=30).collect())]));
    same("dead", t.table.outbox().dead(1).await?, vec![]);
    relay.stop().await;
    Ok(())
}

pub(super) async fn a_wake_up_is_quicker_than_looking_and_looking_covers_a_lost_one(
    t: Trial<'_>,
) -> Outcome {
    let mut feed = t.subscribe().await?;
    let seldom = RelayOptions { poll: LONG * 10, ..brisk() };
    let relay = t.relay(seldom).start();
    // It has looked, and found nothing.
    t.world.sleep(Duration::from_millis(50)).await;
    t.put("a", [1]).await?;
    t.table.wake();
    patiently(LONG, "what it is woken for", feed.next()).await??.ack().await?;
    relay.stop().await;
    let relay = t.relay(brisk()).start();
    t.world.sleep(Duration::from_millis(50)).await;
    t.put("a", [2]).await?;
    patiently(LONG, "what it looks for", feed.next()).await??.ack().await?;
    relay.stop().await;
    Ok(())
}

pub(super) async fn published_rows_are_deleted_when_they_are_old(t: Trial<'_>) -> Outcome {
    let _feed = t.subscribe().await?;
    t.put("a", 1..=5).await?;
    same("published", t.relay(brisk()).turn().await?.published, 5);
    t.put("a", [6]).await?;
    let (outbox, now) = (t.table.outbox(), t.world.now());
    same("too young", outbox.sweep(Timestamp(now.0 - 60_000_000_000), 9).await?, 0);
    same("some", outbox.sweep(Timestamp(now.0 + 1), 3).await?, 3);
    same("the rest", outbox.sweep(Timestamp(now.0 + 1), 3).await?, 2);
    same("what is not published stays, however old", t.waiting().await?, 1);
    let relay = t.relay(RelayOptions { keep: Duration::ZERO, ..brisk() }).start();
    let is_gone = async || {
        let rows = t.table.traceparents().await;
        Ok(rows.map_err(|error| Failure::new(error.to_string()))?.is_empty())
    };
    t.until("the relay to delete it", is_gone).await?;
    relay.stop().await;
    Ok(())
}
