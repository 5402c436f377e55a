//! Query checks: "no event matches QUERY after POSITION".

use super::kit::*;

/// Checks a query after a position, by an append that does not match it.
async fn none(t: &Trial, query: Query, after: Position) -> Result<Receipt, AppendError> {
    t.append(to(&t.stream("witness-1"), [t.event("tried")]).checking(no_match(query, after))).await
}

/// The query must match the event, and not a neighbour.
async fn selects(t: &Trial, query: Query, hit: Append, miss: Append) -> Outcome {
    let before = t.head().await?;
    t.append(miss).await?;
    none(t, query.clone(), before).await?;
    let position = t.append(hit).await?.position;
    same("the append", none(t, query.clone(), before).await, conflict_at(0, position));
    none(t, query, position).await?;
    Ok(())
}

fn of(t: &Trial, stream: &str, event_type: &str) -> Append {
    to(&t.stream(stream), [t.event(event_type)])
}

pub(crate) async fn a_type_is_matched(t: Trial) -> Outcome {
    let query = Query::types([t.event_type("booked"), t.event_type("freed")]);
    selects(&t, query, of(&t, "a-1", "freed"), of(&t, "a-1", "booked.late")).await
}

pub(crate) async fn all_tags_of_an_item_are_matched(t: Trial) -> Outcome {
    let query = Query::tags([t.tag("seat:1"), t.tag("day:2")]);
    let hit = to(&t.stream("a-1"), [t.tagged("x", &["day:2", "other", "seat:1"])]);
    let miss = to(&t.stream("a-1"), [t.tagged("x", &["seat:1"]), t.tagged("x", &["day:2"])]);
    selects(&t, query, hit, miss).await
}

pub(crate) async fn a_type_and_a_tag_are_matched_on_one_event(t: Trial) -> Outcome {
    let query = item(&[t.event_type("booked")], &[t.tag("seat:1")]).into();
    let hit = to(&t.stream("a-1"), [t.tagged("booked", &["seat:1"])]);
    let miss = [t.tagged("booked", &["seat:2"]), t.tagged("freed", &["seat:1"])];
    let miss = to(&t.stream("a-1"), miss);
    selects(&t, query, hit, miss).await
}

pub(crate) async fn any_item_is_matched(t: Trial) -> Outcome {
    let items = [item(&[t.event_type("booked")], &[]), item(&[], &[t.tag("seat:1")])];
    let hit = to(&t.stream("a-1"), [t.tagged("freed", &["seat:1"])]);
    selects(&t, Query::AnyOf(items.to_vec()), hit, of(&t, "a-1", "freed")).await
}

pub(crate) async fn a_category_is_matched(t: Trial) -> Outcome {
    let query = Query::category(&t.name("seat"));
    selects(&t, query, of(&t, "seat-1", "x"), of(&t, "seats-1", "x")).await
}

pub(crate) async fn a_prefix_of_the_stream_is_matched(t: Trial) -> Outcome {
    let item = Item { stream_prefixes: vec![t.name("seat-1").into()], ..Item::default() };
    selects(&t, item.into(), of(&t, "seat-12", "x"), of(&t, "seat-2", "x")).await
}

pub(crate) async fn a_prefix_of_the_type_is_matched(t: Trial) -> Outcome {
    let item = Item { type_prefixes: vec![t.name("seat.").into()], ..Item::default() };
    selects(&t, item.into(), of(&t, "a-1", "seat.booked"), of(&t, "a-1", "seat")).await
}

pub(crate) async fn everything_is_matched_the_systems_events_too(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let before = t.put(&stream, 1).await?.position;
    let set = t.set_metadata(&stream, r#"{"$maxCount":9}"#).await?.position;
    let refused = none(&t, Query::All, before).await;
    same("the append", refused, conflict_at(0, set));
    none(&t, Query::All, set).await?;
    Ok(())
}

pub(crate) async fn after_is_exclusive(t: Trial) -> Outcome {
    let (stream, taken) = (t.stream("a-1"), Query::tag(t.tag("seat:1")));
    let first = t.append(to(&stream, [t.tagged("booked", &["seat:1"])])).await?.position;
    none(&t, taken.clone(), first).await?;
    let before = Position(first.0 - 1);
    same("the append", none(&t, taken, before).await, conflict_at(0, first));
    Ok(())
}

pub(crate) async fn the_first_match_after_is_named(t: Trial) -> Outcome {
    let (stream, taken) = (t.stream("a-1"), Query::tag(t.tag("seat:1")));
    let mut at = Vec::new();
    for _ in 0..3 {
        at.push(t.append(to(&stream, [t.tagged("booked", &["seat:1"])])).await?.position);
        t.put(&stream, 1).await?;
    }
    same("from 0", none(&t, taken.clone(), Position::START).await, conflict_at(0, at[0]));
    same("after the first", none(&t, taken.clone(), at[0]).await, conflict_at(0, at[1]));
    same("after the second", none(&t, taken.clone(), at[1]).await, conflict_at(0, at[2]));
    none(&t, taken, at[2]).await?;
    Ok(())
}

pub(crate) async fn existence_is_asked_with_after_0(t: Trial) -> Outcome {
    let stream = t.stream("user-1");
    let named = || {
        let taken = Query::tag(t.tag("name:ann"));
        let append = to(&stream, [t.tagged("named", &["name:ann"])]);
        append.checking(no_match(taken, Position::START))
    };
    let first = t.append(named()).await?;
    t.put(&stream, 3).await?;
    same("a second of the name", t.append(named()).await, conflict_at(0, first.position));
    Ok(())
}

pub(crate) async fn existence_and_decision_stand_in_one_append(t: Trial) -> Outcome {
    let (stream, name) = (t.stream("a-1"), Query::tag(t.tag("name:ann")));
    let closed = Query::types([t.event_type("closed")]);
    t.append(to(&stream, [t.event("closed")])).await?;
    let after = t.head().await?;
    let append = || {
        let append = to(&stream, [t.tagged("named", &["name:ann"])]);
        let append = append.checking(no_match(closed.clone(), after));
        append.checking(no_match(name.clone(), Position::START))
    };
    let first = t.append(append()).await?.position;
    same("the existence fails", t.append(append()).await, conflict_at(1, first));
    let second = t.append(to(&stream, [t.event("closed")])).await?.position;
    same("the decision fails", t.append(append()).await, conflict_at(0, second));
    Ok(())
}

pub(crate) async fn an_append_does_not_match_itself(t: Trial) -> Outcome {
    let query = Query::types([t.event_type("booked")]);
    let append = to(&t.stream("a-1"), [t.event("booked"), t.event("booked")]);
    t.append(append.checking(no_match(query, Position::START))).await?;
    Ok(())
}

pub(crate) async fn deleted_streams_still_match(t: Trial) -> Outcome {
    let (stream, taken) = (t.stream("a-1"), Query::tag(t.tag("seat:1")));
    let first = t.append(to(&stream, [t.tagged("booked", &["seat:1"])])).await?.position;
    t.change(&stream, Change::Delete).await?;
    let deleted = none(&t, taken.clone(), Position::START).await;
    same("deleted", deleted, conflict_at(0, first));
    t.change(&stream, Change::Tombstone).await?;
    same("tombstoned", none(&t, taken, Position::START).await, conflict_at(0, first));
    Ok(())
}

pub(crate) async fn of_many_decisions_on_one_seat_exactly_one_wins(t: Trial) -> Outcome {
    for round in 0..10 {
        let seat = format!("seat:{round}");
        let after = t.head().await?;
        let jobs: Vec<_> = (0..4)
            .map(|guest| {
                let append =
                    to(&t.stream(&format!("guest-{guest}")), [t.tagged("booked", &[&seat])]);
                let append = append.checking(no_match(Query::tag(t.tag(&seat)), after));
                let store = t.store().clone();
                t.spawn(async move { store.append(append).await })
            })
            .collect();
        let mut won = 0;
        for job in jobs {
            match job.join().await? {
                Ok(_) => won += 1,
                Err(AppendError::Conflict { index: 0, found: Found::Match(_) }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        same("winners of a seat", won, 1);
    }
    Ok(())
}

pub(crate) async fn what_was_read_is_what_is_decided_on(t: Trial) -> Outcome {
    // Read, decide, append, again and again, from several threads: no two decisions on one count.
    let (stream, query) = (t.stream("counter-1"), Query::tag(t.tag("count")));
    let jobs: Vec<_> = (0..3)
        .map(|_| {
            let (store, query, stream) = (t.store().clone(), query.clone(), stream.clone());
            let events: Vec<_> = (0..10).map(|_| t.tagged("counted", &["count"])).collect();
            t.spawn(async move {
                for event in events {
                    count(&store, &query, &stream, event).await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for job in jobs {
        job.join().await??;
    }
    let stored = t.of(&stream).await?;
    let counts: Vec<_> = stored.iter().map(|event| event.data().to_vec()).collect();
    same("counts", counts, (0..30).map(|n: usize| n.to_string().into_bytes()).collect());
    Ok(())
}

/// Appends the number of events there are, once nobody was quicker.
async fn count(
    store: &impl EventStore,
    query: &Query,
    stream: &StreamName,
    event: EventData,
) -> Result<(), Failure> {
    loop {
        let read = Read { freshness: Freshness::Current, ..Read::query(query.clone()) };
        let reading = store.read(read).await?;
        let after = reading.head;
        let data = reading.events().await?.len().to_string();
        let event = EventData { data: data.into(), ..event.clone() };
        let append = to(stream, [event]).checking(no_match(query.clone(), after));
        match store.append(append).await {
            Ok(_) => return Ok(()),
            Err(AppendError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
}
