//! Limits: at each of them an append is taken, one past it is refused, and nothing is written.

use super::kit::*;

/// The first append is at the limit, the second one past it.
async fn at_and_past(t: &Trial, limit: usize, at: Append, past: Append) -> Outcome {
    let before = t.head().await?;
    match t.append(past).await {
        Err(AppendError::TooLarge { actual, limit: told, .. }) => {
            same("what the refusal tells", (actual, told), (limit + 1, limit));
        }
        other => panic!("one past the limit of {limit}: {other:?}"),
    }
    t.nothing_since(before).await?;
    let given = at.events.len();
    t.append(at).await?;
    same("events at the limit", t.since(before).await?.len(), given);
    Ok(())
}

pub(crate) async fn events_of_an_append(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().append_events_max);
    let of = |count| to(&stream, t.events(count));
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

pub(crate) async fn bytes_of_an_append(t: Trial) -> Outcome {
    let (stream, limits) = (t.stream("a-1"), t.limits());
    let of = |total: usize| filled(&t, &stream, total, limits.event_bytes_max);
    let limit = limits.append_bytes_max;
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

/// An append that weighs exactly so much: few events, the last one smaller.
fn filled(t: &Trial, stream: &StreamName, total: usize, event_bytes_max: usize) -> Append {
    let data = Bytes::from(vec![b'x'; event_bytes_max]);
    let (mut events, mut left) = (Vec::new(), total);
    while left > 0 {
        let mut event = EventData { data: Bytes::new(), ..t.event("big") };
        let names = event.weight() + stream.as_str().len();
        // What is left must hold the names of one more event, or nothing.
        let size = event_bytes_max.min(left - names);
        let rest = left - names - size;
        let size = if (1..=names).contains(&rest) { size - names } else { size };
        event.data = data.slice(..size);
        left -= names + size;
        events.push(event);
    }
    to(stream, events)
}

pub(crate) async fn bytes_of_an_event(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().event_bytes_max);
    let of = |size| to(&stream, [EventData { data: vec![b'x'; size].into(), ..t.event("big") }]);
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

pub(crate) async fn bytes_of_an_events_metadata(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().metadata_bytes_max);
    let of = |size| to(&stream, [t.event("big").with_metadata(vec![b'x'; size])]);
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

pub(crate) async fn bytes_of_a_streams_metadata(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().event_bytes_max);
    let of = |size: usize| {
        let frame = StreamMetadata {
            other: [("k".into(), "\"\"".into())].into(),
            ..StreamMetadata::default()
        };
        let filler = size - frame.to_json().len();
        let json = format!("{{\"k\":\"{}\"}}", "x".repeat(filler));
        StreamMetadata::from_json(json.as_bytes()).map(Change::SetMetadata)
    };
    let before = t.head().await?;
    let past = t.change(&stream, of(limit + 1)?).await;
    assert!(matches!(past, Err(AppendError::TooLarge { .. })), "one past: {past:?}");
    t.nothing_since(before).await?;
    t.change(&stream, of(limit)?).await?;
    same("what is told", t.store().metadata(&stream).await?.to_json().len(), limit);
    Ok(())
}

pub(crate) async fn tags_of_an_event(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().tags_max);
    let tags = |count| (0..count).map(|n| t.tag(&format!("k:{n}")));
    let of = |count| to(&stream, [t.event("marked").with_tags(tags(count))]);
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

pub(crate) async fn checks_of_an_append(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().checks_max);
    let check = |n| no_stream(&t.stream(&format!("absent-{n}")));
    let of = |count| Append { checks: (0..count).map(check).collect(), ..to(&stream, t.events(1)) };
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

/// A query with so many items, each of one type.
fn items(t: &Trial, count: usize) -> Query {
    let item = |n| item(&[t.event_type(&format!("absent{n}"))], &[]);
    Query::AnyOf((0..count).map(item).collect())
}

/// A query with so many types in one item.
fn terms(t: &Trial, count: usize) -> Query {
    Query::types((0..count).map(|n| t.event_type(&format!("absent{n}"))))
}

pub(crate) async fn items_of_a_query_check(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().query_items_max);
    let of = |n| to(&stream, t.events(1)).checking(no_match(items(&t, n), Position::START));
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

pub(crate) async fn values_of_a_query_check(t: Trial) -> Outcome {
    let (stream, limit) = (t.stream("a-1"), t.limits().query_terms_max);
    let of = |n| to(&stream, t.events(1)).checking(no_match(terms(&t, n), Position::START));
    at_and_past(&t, limit, of(limit), of(limit + 1)).await
}

pub(crate) async fn items_and_values_of_a_read(t: Trial) -> Outcome {
    t.put(&t.stream("a-1"), 1).await?;
    let limits = t.limits();
    for query in [items(&t, limits.query_items_max), terms(&t, limits.query_terms_max)] {
        same("at the limit", t.read(Read::query(query)).await?.events, Vec::new());
    }
    for query in [items(&t, limits.query_items_max + 1), terms(&t, limits.query_terms_max + 1)] {
        let refused = t.read(Read::query(query.clone())).await;
        assert!(refused.is_err(), "a read one past the limit: {refused:?}");
        let refused = t.follow(Select::Query(query), None).await;
        assert!(refused.is_err(), "a subscription one past the limit");
    }
    Ok(())
}

pub(crate) async fn of_a_refused_append_the_stream_can_go_on(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let past = t.limits().append_events_max + 1;
    for _ in 0..3 {
        assert!(t.put(&stream, past).await.is_err(), "past the limit");
        t.put(&stream, 1).await?;
    }
    same("revisions", revisions(&t.of(&stream).await?), vec![0, 1, 2]);
    Ok(())
}
