//! What is easiest to get wrong about appends, by number: 3 to 14, and 20.
//!
//! The numbers are those of the list in [`crate::suite`].

use super::kit::*;
use std::task::Poll;

fn seat(t: &Trial) -> Query {
    Query::tag(t.tag("seat:1"))
}

pub(crate) async fn p03_after_beyond_the_head_holds_and_hides_nothing(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let append = || to(&stream, [t.tagged("booked", &["seat:1"])]);
    let first = t.append(append()).await?.position;
    for beyond in [first.0 + 1_000_000, i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        let after = Position(beyond);
        t.append(append().checking(no_match(seat(&t), after))).await?;
        let both = append().checking(no_match(seat(&t), after));
        let refused = t.append(both.checking(no_match(seat(&t), Position::START))).await;
        same("with one that fails", refused, conflict_at(1, first));
    }
    same("events", t.of(&stream).await?.len(), 5);
    Ok(())
}

pub(crate) async fn p04_decisions_on_different_tags_of_one_event_conflict(t: Trial) -> Outcome {
    // Each event has both tags; one decision looks at the first tag only, one at the second.
    let (a, b, after) = (t.stream("a-1"), t.stream("b-1"), t.head().await?);
    let booking = || t.tagged("booked", &["seat:1", "guest:1"]);
    let by_seat = to(&a, [booking()]).checking(no_match(seat(&t), after));
    let by_guest = to(&b, [booking()]).checking(no_match(Query::tag(t.tag("guest:1")), after));
    let first = t.append(by_seat).await?.position;
    same("the second", t.append(by_guest).await, conflict_at(0, first));
    Ok(())
}

pub(crate) async fn p04_of_such_decisions_in_flight_together_one_wins(t: Trial) -> Outcome {
    for round in 0..20 {
        let after = t.head().await?;
        let tags = [format!("x:{round}"), format!("y:{round}"), format!("z:{round}")];
        let jobs: Vec<_> = (0..3)
            .map(|one| {
                let event = t.tagged("booked", &[&tags[0], &tags[1], &tags[2]]);
                let append = to(&t.stream(&format!("a-{one}")), [event]);
                let append = append.checking(no_match(Query::tag(t.tag(&tags[one])), after));
                let store = t.store().clone();
                t.spawn(async move { store.append(append).await })
            })
            .collect();
        let mut won = 0;
        for job in jobs {
            won += usize::from(job.join().await?.is_ok());
        }
        same("winners", won, 1);
    }
    Ok(())
}

pub(crate) async fn p05_a_writer_without_a_check_is_seen_by_a_query_check(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    let after = t.head().await?;
    let plain = t.append(to(&b, [t.tagged("booked", &["seat:1"])])).await?.position;
    let checked = to(&a, [t.tagged("booked", &["seat:1"])]).checking(no_match(seat(&t), after));
    same("the check", t.append(checked).await, conflict_at(0, plain));
    Ok(())
}

pub(crate) async fn p05_also_when_both_are_in_flight(t: Trial) -> Outcome {
    for round in 0..20 {
        let tag = format!("seat:{round}");
        let after = t.head().await?;
        let plain = to(&t.stream("b-1"), [t.tagged("booked", &[&tag])]);
        let store = t.store().clone();
        let plain = t.spawn(async move { store.append(plain).await });
        let checked = to(&t.stream("a-1"), [t.tagged("booked", &[&tag])]);
        let checked = t.append(checked.checking(no_match(Query::tag(t.tag(&tag)), after))).await;
        let plain = plain.join().await??.position;
        match checked {
            Ok(receipt) => assert!(receipt.position < plain, "{} was there", plain),
            refused => same("the check", refused, conflict_at(0, plain)),
        }
    }
    Ok(())
}

pub(crate) async fn p06_a_check_of_a_type_sees_events_with_tags(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    let after = t.head().await?;
    let query = Query::types([t.event_type("booked")]);
    let tagged = t.append(to(&b, [t.tagged("booked", &["seat:1"])])).await?.position;
    let refused = t.append(to(&a, t.events(1)).checking(no_match(query, after))).await;
    same("the check", refused, conflict_at(0, tagged));
    Ok(())
}

pub(crate) async fn p06_a_check_of_everything_sees_events_with_tags(t: Trial) -> Outcome {
    let after = t.head().await?;
    let tagged = to(&t.stream("b-1"), [t.tagged("booked", &["seat:1"])]);
    t.append(tagged).await?;
    let append = to(&t.stream("a-1"), t.events(1)).checking(no_match(Query::All, after));
    let refused = t.append(append).await;
    let is_conflict = matches!(refused, Err(AppendError::Conflict { index: 0, .. }));
    assert!(is_conflict, "an event came after {after}: {refused:?}");
    Ok(())
}

pub(crate) async fn p07_a_retry_is_recognised_after_a_strangers_match(t: Trial) -> Outcome {
    let (mine, theirs) = (t.stream("a-1"), t.stream("b-1"));
    let after = t.head().await?;
    let append = to(&mine, [t.tagged("booked", &["seat:1"])]).checking(no_match(seat(&t), after));
    let first = t.append(append.clone()).await?;
    for _ in 0..3 {
        t.append(to(&theirs, [t.tagged("booked", &["seat:1"])])).await?;
        same("the retry", t.append(append.clone()).await?, replay_of(&first));
    }
    Ok(())
}

pub(crate) async fn p07_a_strangers_earlier_match_is_no_replay(t: Trial) -> Outcome {
    let after = t.head().await?;
    let theirs = to(&t.stream("b-1"), [t.tagged("booked", &["seat:1"])]);
    let theirs = t.append(theirs).await?.position;
    let mine = to(&t.stream("a-1"), [t.tagged("booked", &["seat:1"])]);
    let refused = t.append(mine.checking(no_match(seat(&t), after))).await;
    same("the append", refused, conflict_at(0, theirs));
    Ok(())
}

pub(crate) async fn p08_a_retry_is_recognised_after_a_restart(mut t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    let query = no_match(seat(&t), t.head().await?);
    let appends = [
        to(&a, t.events(2)).checking(no_stream(&a)),
        to(&a, t.events(1)).checking(at(&a, 1)),
        to(&a, [t.tagged("booked", &["seat:1"])]).checking(query),
        across([(&a, t.event("x")), (&b, t.event("y"))]).checking(no_stream(&b)),
    ];
    let mut receipts = Vec::new();
    for append in &appends {
        receipts.push(t.append(append.clone()).await?);
    }
    t.put(&a, 5).await?;
    for _ in 0..2 {
        t.reopen().await?;
        for (append, first) in appends.iter().zip(&receipts) {
            same("the retry", t.append(append.clone()).await?, replay_of(first));
        }
    }
    Ok(())
}

pub(crate) async fn p08_a_retry_in_part_or_reordered_is_refused(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let stored = to(&stream, t.events(2));
    let before = t.append(stored.clone()).await?.position;
    let mut more = stored.clone();
    more.events.push((stream.clone(), t.event("new")));
    reused(&t.append(more).await);
    let mut reordered = stored;
    reordered.events.reverse();
    reused(&t.append(reordered).await);
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn p08_so_it_is_after_a_restart(mut t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let stored = to(&stream, t.events(2)).checking(no_stream(&stream));
    let before = t.append(stored.clone()).await?.position;
    t.reopen().await?;
    let mut more = stored.clone();
    more.events.push((stream.clone(), t.event("new")));
    reused(&t.append(more).await);
    let mut reordered = stored;
    reordered.events.reverse();
    reused(&t.append(reordered).await);
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn p09_equal_appends_in_flight_together_are_one(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for round in 0..20 {
        let append = to(&stream, t.events(2));
        let jobs: Vec<_> = (0..4)
            .map(|_| {
                let (store, append) = (t.store().clone(), append.clone());
                t.spawn(async move { store.append(append).await })
            })
            .collect();
        let mut replays = 0;
        for job in jobs {
            let receipt = job.join().await??;
            same("a receipt", receipt.streams, vec![written(&stream, round * 2, round * 2 + 1)]);
            replays += usize::from(receipt.replayed);
        }
        same("replays", replays, 3);
    }
    same("revisions", revisions(&t.of(&stream).await?), (0..40).collect());
    Ok(())
}

pub(crate) async fn p10_an_id_at_its_right_number_is_stored_twice(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let append = to(&stream, t.events(1));
    t.append(append.clone()).await?;
    let again = t.append(append.clone().checking(at(&stream, 0))).await?;
    same("written again", (again.replayed, &again.streams), (false, &vec![written(&stream, 1, 1)]));
    same("the stream", ids(&t.of(&stream).await?), [ids_of(&append), ids_of(&append)].concat());
    // Now the number is behind the head, and says which of the two is meant.
    same("its retry", t.append(append.checking(at(&stream, 0))).await?, replay_of(&again));
    Ok(())
}

pub(crate) async fn p11_one_stream_twice_and_interleaved(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    t.put(&a, 1).await?;
    let order = [&a, &b, &a, &b, &b, &a];
    let append = across(order.map(|stream| (stream, t.event("x"))));
    let append = append.checking(at(&a, 0)).checking(no_stream(&b));
    let (given, before) = (ids_of(&append), t.head().await?);
    let receipt = t.append(append.clone()).await?;
    same("the receipt", &receipt.streams, &vec![written(&a, 1, 3), written(&b, 0, 2)]);
    same("the store's order", ids(&t.since(before).await?), given.clone());
    let of_a = [given[0], given[2], given[5]].to_vec();
    same("one", ids(&t.of(&a).await?)[1..].to_vec(), of_a);
    same("the other", ids(&t.of(&b).await?), [given[1], given[3], given[4]].to_vec());
    same("the retry", t.append(append).await?, replay_of(&receipt));
    Ok(())
}

pub(crate) async fn p12_a_check_of_an_unwritten_stream_races_its_writer(t: Trial) -> Outcome {
    for round in 0..20 {
        let (guard, stream) = (t.stream(&format!("guard-{round}")), t.stream("a-1"));
        let (store, writing) = (t.store().clone(), to(&guard, t.events(1)));
        let writer = t.spawn(async move { store.append(writing).await });
        let checked = t.append(to(&stream, t.events(1)).checking(no_stream(&guard))).await;
        let written = writer.join().await??.position;
        match checked {
            Ok(receipt) => {
                assert!(receipt.position < written, "the stream was there: {receipt:?}");
            }
            refused => same("the check", refused, conflict(0, live(0))),
        }
    }
    Ok(())
}

pub(crate) async fn p13_an_append_of_nothing_is_invalid(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let nothing = Append::default();
    invalid(t.append(nothing.clone()).await, |why| matches!(why, Invalid::Empty));
    let checked = nothing.checking(no_stream(&stream));
    invalid(t.append(checked).await, |why| matches!(why, Invalid::Empty));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn p13_equal_tracking_is_refused(t: Trial) -> Outcome {
    let source = t.name("upstream");
    t.append(Append::default().tracking(&source, 5)).await?;
    let refused = t.append(Append::default().tracking(&source, 5)).await;
    let expect = AppendError::Tracked { source_name: source.into(), stored: 5 };
    same("the append", refused, Err(expect));
    Ok(())
}

pub(crate) async fn p13_a_refused_append_leaves_tracking(t: Trial) -> Outcome {
    let (stream, source) = (t.stream("a-1"), t.name("upstream"));
    t.append(to(&stream, t.events(1)).tracking(&source, 5)).await?;
    let refused = to(&stream, t.events(1)).checking(no_stream(&stream)).tracking(&source, 9);
    same("the append", t.append(refused).await, conflict(0, live(0)));
    same("tracked", t.store().tracked(&source).await?, Some(5));
    t.append(to(&stream, t.events(1)).tracking(&source, 9)).await?;
    Ok(())
}

pub(crate) async fn p14_after_a_delete_no_stream_holds_and_revisions_go_on(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.append(to(&stream, t.events(3)).checking(no_stream(&stream))).await?;
    t.change(&stream, Change::Delete).await?;
    let receipt = t.append(to(&stream, t.events(2)).checking(no_stream(&stream))).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 3, 4)]);
    same("visible", revisions(&t.of(&stream).await?), vec![3, 4]);
    Ok(())
}

pub(crate) async fn p20_an_append_polled_and_dropped_is_retried_exactly(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut given = Vec::new();
    for round in 0..20 {
        let append = to(&stream, t.events(2));
        given.extend(ids_of(&append));
        let mut attempt = Box::pin(t.append(append.clone()));
        let early: Poll<Result<Receipt, AppendError>> = poll_once(&mut attempt).await;
        drop(attempt);
        let receipt = t.append(append).await?;
        same("the receipt", &receipt.streams, &vec![written(&stream, round * 2, round * 2 + 1)]);
        if let Poll::Ready(first) = early {
            same("the retry", receipt, replay_of(&first?));
        }
    }
    same("ids", ids(&t.of(&stream).await?), given);
    Ok(())
}

pub(crate) async fn p20_a_change_polled_and_dropped_is_done_once_or_not(t: Trial) -> Outcome {
    for round in 0..10 {
        let stream = t.stream(&format!("a-{round}"));
        t.put(&stream, 1).await?;
        let mut attempt = Box::pin(t.change(&stream, Change::Delete));
        let _ = poll_once(&mut attempt).await;
        drop(attempt);
        t.change(&stream, Change::Delete).await?;
        same("the stream", t.state(&stream).await?, deleted(0));
        same("deletes", t.state(&stream.metadata_stream()).await?, live(0));
    }
    Ok(())
}
