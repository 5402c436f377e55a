//! What a store holds after it was closed and opened again.

use super::kit::*;

const SECOND: i64 = 1_000_000_000;
const NOON: i64 = 1_800_000_000 * SECOND;

pub(crate) async fn an_empty_store_is_still_empty(mut t: Trial) -> Outcome {
    t.reopen().await?;
    t.reopen().await?;
    same("the head", t.store().head().await?, Position::START);
    t.put(&t.stream("a-1"), 1).await?;
    same("events", t.of(&t.stream("a-1")).await?.len(), 1);
    Ok(())
}

pub(crate) async fn every_event_is_there_as_it_was(mut t: Trial) -> Outcome {
    let before = t.head().await?;
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    t.append(across([(&a, t.tagged("x", &["k:1"])), (&b, t.tagged("y", &["k:2"]))])).await?;
    t.append(to(&a, [t.event("z").with_occurred_at(Timestamp(5)).with_metadata("m")])).await?;
    t.put(&b, 50).await?;
    let (all, head) = (t.since(before).await?, t.head().await?);
    let by_tag = t.read(Read::query(Query::tag(t.tag("k:2")))).await?.events;
    t.reopen().await?;
    same("the head", t.head().await?, head);
    same("all events", t.since(before).await?, all.clone());
    same("by tag", t.read(Read::query(Query::tag(t.tag("k:2")))).await?.events, by_tag);
    let of_b: Vec<_> = all.into_iter().filter(|event| *event.stream() == b).collect();
    same("a stream", t.of(&b).await?, of_b);
    Ok(())
}

pub(crate) async fn the_store_goes_on_where_it_was(mut t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut last = Position::START;
    for round in 0..4 {
        let receipt = t.put(&stream, 3).await?;
        same("the receipt", receipt.streams, vec![written(&stream, round * 3, round * 3 + 2)]);
        assert!(receipt.position > last, "{} after {last}", receipt.position);
        last = receipt.position;
        t.reopen().await?;
    }
    same("revisions", revisions(&t.of(&stream).await?), (0..12).collect());
    Ok(())
}

pub(crate) async fn positions_go_on_without_a_gap(mut t: Trial) -> Outcome {
    for _ in 0..3 {
        t.put(&t.stream("a-1"), 2).await?;
        t.reopen().await?;
    }
    let stored = t.read(Read::query(Query::All)).await?.events;
    same("positions", positions(&stored), (1..=6).map(Position).collect());
    Ok(())
}

pub(crate) async fn metadata_and_deletes_are_still_in_force(mut t: Trial) -> Outcome {
    let (kept, gone, ended) = (t.stream("kept-1"), t.stream("gone-1"), t.stream("ended-1"));
    for stream in [&kept, &gone, &ended] {
        t.put(stream, 3).await?;
    }
    t.set_metadata(&kept, r#"{"$maxCount":1,"team":"a"}"#).await?;
    t.change(&gone, Change::Delete).await?;
    t.change(&ended, Change::Tombstone).await?;
    let metadata = t.store().metadata(&kept).await?;
    t.reopen().await?;
    same("metadata", t.store().metadata(&kept).await?, metadata);
    same("visible", revisions(&t.of(&kept).await?), vec![2]);
    same("deleted", t.state(&gone).await?, deleted(2));
    same("tombstoned", t.state(&ended).await?, StreamState::Tombstoned);
    let refused = Err(AppendError::Tombstoned { stream: ended.clone() });
    same("an append", t.put(&ended, 1).await, refused);
    same("reopened", t.put(&gone, 1).await?.streams, vec![written(&gone, 3, 3)]);
    t.reopen().await?;
    same("visible", revisions(&t.of(&gone).await?), vec![3]);
    Ok(())
}

pub(crate) async fn conditions_know_what_was_before(mut t: Trial) -> Outcome {
    let (stream, query) = (t.stream("a-1"), Query::tag(t.tag("seat:1")));
    let booked = t.append(to(&stream, [t.tagged("booked", &["seat:1"])])).await?.position;
    t.reopen().await?;
    let append = || to(&t.stream("w-1"), t.events(1));
    let refused = t.append(append().checking(no_match(query.clone(), Position::START))).await;
    same("a query", refused, conflict_at(0, booked));
    t.append(append().checking(no_match(query, booked))).await?;
    same("a stream", t.append(append().checking(no_stream(&stream))).await, conflict(0, live(0)));
    t.append(append().checking(at(&stream, 0))).await?;
    Ok(())
}

pub(crate) async fn tracked_positions_are_kept(mut t: Trial) -> Outcome {
    let (a, b) = (t.name("a"), t.name("b"));
    t.append(to(&t.stream("a-1"), t.events(1)).tracking(&a, 7)).await?;
    t.append(Append::default().tracking(&b, 3)).await?;
    t.append(Append::default().tracking(&b, 9)).await?;
    t.reopen().await?;
    same("with events", t.store().tracked(&a).await?, Some(7));
    same("alone", t.store().tracked(&b).await?, Some(9));
    let behind = t.append(Append::default().tracking(&b, 9)).await;
    same("behind", behind, Err(AppendError::Tracked { source_name: b.into(), stored: 9 }));
    Ok(())
}

pub(crate) async fn a_subscription_goes_on_from_its_checkpoint(mut t: Trial) -> Outcome {
    let (stream, start) = (t.stream("a-1"), t.head().await?);
    let select = Select::Query(Query::types([t.event_type("happened")]));
    t.put(&stream, 40).await?;
    let mut feed = t.follow(select.clone(), Some(start.0)).await?;
    let mut seen = feed.next().await?.events;
    let after = feed.through();
    drop(feed);
    t.reopen().await?;
    let last = t.put(&stream, 2).await?.position;
    seen.extend(t.follow(select, Some(after.0)).await?.up_to(last).await?);
    same("revisions", revisions(&seen), (0..42).collect());
    Ok(())
}

pub(crate) async fn recorded_at_does_not_go_back(mut t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.set_clock(Timestamp(NOON + 10 * SECOND));
    t.put(&stream, 1).await?;
    t.reopen().await?;
    t.set_clock(Timestamp(NOON));
    t.put(&stream, 1).await?;
    let at: Vec<_> = t.of(&stream).await?.iter().map(|event| event.recorded_at().0).collect();
    same("recorded", at, vec![NOON + 10 * SECOND; 2]);
    Ok(())
}

pub(crate) async fn what_was_refused_is_not_there(mut t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let append = to(&stream, t.events(2)).tracking(&t.name("upstream"), 1);
    let refused = t.append(append.checking(exists(&stream))).await;
    same("the append", refused, conflict(0, StreamState::Absent));
    t.reopen().await?;
    t.nothing_since(before).await?;
    same("tracked", t.store().tracked(&t.name("upstream")).await?, None);
    Ok(())
}
