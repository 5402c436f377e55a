//! Reads of streams and of the whole store.

use super::{
    history::{self, With, read_every_way},
    kit::*,
};

pub(crate) async fn a_stream_both_ways_from_any_point_with_any_limit(t: Trial) -> Outcome {
    let mut facts = history::write(&t, With::default()).await?;
    facts.retain(|fact| fact.stream == "ab-2");
    read_every_way(&t, &Select::Stream(t.stream("ab-2")), AsOf::Now, &facts).await
}

pub(crate) async fn the_store_both_ways_from_any_point_with_any_limit(t: Trial) -> Outcome {
    let facts = history::write(&t, With::default()).await?;
    read_every_way(&t, &all(), AsOf::Now, &facts).await
}

pub(crate) async fn from_is_inclusive_both_ways(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 5).await?;
    let from = |direction| Read { direction, from: Some(2), ..Read::stream(stream.clone()) };
    let forward = t.read(from(Direction::Forward)).await?;
    same("forward", revisions(&forward.events), vec![2, 3, 4]);
    let backward = t.read(from(Direction::Backward)).await?;
    same("backward", revisions(&backward.events), vec![2, 1, 0]);
    Ok(())
}

pub(crate) async fn positions_are_inclusive_both_ways(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut at = Vec::new();
    for _ in 0..3 {
        at.push(t.put(&stream, 1).await?.position);
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let read =
            Read { direction, from: Some(at[1].0), limit: Some(1), ..Read::query(Query::All) };
        same("the first event read", positions(&t.read(read).await?.events), vec![at[1]]);
    }
    Ok(())
}

pub(crate) async fn with_limit_0_a_read_tells_the_head_and_the_state(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let receipt = t.put(&stream, 3).await?;
    let read = Read { limit: Some(0), ..Read::stream(stream.clone()) };
    for direction in [Direction::Forward, Direction::Backward] {
        let seen = t.read(Read { direction, ..read.clone() }).await?;
        same("events and state", (seen.events, seen.state), (Vec::new(), Some(live(2))));
        assert!(seen.head >= receipt.position, "the head {}", seen.head);
    }
    Ok(())
}

pub(crate) async fn an_absent_stream_is_a_state_and_no_error(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for direction in [Direction::Forward, Direction::Backward] {
        let seen = t.read(Read { direction, ..Read::stream(stream.clone()) }).await?;
        same("the read", (seen.events, seen.state), (Vec::new(), Some(StreamState::Absent)));
    }
    Ok(())
}

pub(crate) async fn the_state_tells_the_last_revision(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for last in 0..4 {
        t.put(&stream, 1).await?;
        // Whatever part is read.
        let read = Read { from: Some(0), limit: Some(1), ..Read::stream(stream.clone()) };
        same("the state", t.read(read).await?.state, Some(live(last)));
    }
    Ok(())
}

pub(crate) async fn streams_that_begin_alike_are_apart(t: Trial) -> Outcome {
    let names = ["a", "a-", "a-1", "a-10", "A-1", "a-1 ", "a-1/", "$a-1"];
    for (count, name) in (1..).zip(names) {
        t.put(&t.stream(name), count).await?;
    }
    for (count, name) in (1..).zip(names) {
        same(name, t.of(&t.stream(name)).await?.len(), count);
    }
    Ok(())
}

pub(crate) async fn a_long_stream_comes_whole_both_ways(t: Trial) -> Outcome {
    let (stream, other) = (t.stream("long-1"), t.stream("other-1"));
    for _ in 0..10 {
        t.put(&stream, 100).await?;
        t.put(&other, 10).await?;
    }
    same("forward", revisions(&t.of(&stream).await?), (0..1000).collect());
    let backward = Read { direction: Direction::Backward, ..Read::stream(stream) };
    same("backward", revisions(&t.read(backward).await?.events), (0..1000).rev().collect());
    Ok(())
}

pub(crate) async fn more_bytes_than_a_batch_holds_come_whole(t: Trial) -> Outcome {
    let stream = t.stream("bytes-1");
    let size = t.limits().event_bytes_max.min(100_000);
    let mut given = Vec::new();
    for _ in 0..12 {
        let event = EventData { data: vec![7; size].into(), ..t.event("grew") };
        given.push(event.id);
        t.append(to(&stream, [event])).await?;
    }
    let forward = t.read(Read::stream(stream.clone())).await?;
    same("forward", ids(&forward.events), given.clone());
    assert!(forward.batches > 1, "1.2 MB in {} batch", forward.batches);
    let backward = Read { direction: Direction::Backward, ..Read::stream(stream) };
    given.reverse();
    same("backward", ids(&t.read(backward).await?.events), given);
    Ok(())
}

pub(crate) async fn a_read_holds_nothing_past_the_head_it_told(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 40).await?;
    let read = Read { freshness: Freshness::Current, ..Read::stream(stream.clone()) };
    let mut reading = t.store().read(read).await?;
    let mut seen = Vec::new();
    while let Some(batch) = next_batch(&mut reading.batches).await {
        seen.extend(batch?.events);
        t.put(&stream, 5).await?;
    }
    same("revisions", revisions(&seen), (0..40).collect());
    Ok(())
}

pub(crate) async fn a_read_dropped_half_way_harms_nobody(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 100).await?;
    for _ in 0..10 {
        let mut reading = t.store().read(Read::stream(stream.clone())).await?;
        let _ = next_batch(&mut reading.batches).await;
    }
    same("events", t.of(&stream).await?.len(), 100);
    Ok(())
}

pub(crate) async fn reads_beside_each_other_do_not_disturb(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    t.put(&a, 60).await?;
    t.put(&b, 60).await?;
    let mut one = t.store().read(Read::stream(a)).await?.batches;
    let back = Read { direction: Direction::Backward, ..Read::stream(b) };
    let mut two = t.store().read(back).await?.batches;
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    loop {
        let (next_a, next_b) = (next_batch(&mut one).await, next_batch(&mut two).await);
        if next_a.is_none() && next_b.is_none() {
            break;
        }
        of_a.extend(next_a.transpose()?.into_iter().flat_map(|batch| batch.events));
        of_b.extend(next_b.transpose()?.into_iter().flat_map(|batch| batch.events));
    }
    same("one", revisions(&of_a), (0..60).collect());
    same("the other", revisions(&of_b), (0..60).rev().collect());
    Ok(())
}

pub(crate) async fn the_store_holds_the_systems_events_too(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    t.put(&stream, 1).await?;
    t.set_metadata(&stream, r#"{"$maxCount":9}"#).await?;
    t.change(&stream, Change::Tombstone).await?;
    let stored = t.since(before).await?;
    let types: Vec<_> = stored.iter().map(|event| event.event_type().to_string()).collect();
    let own = t.name("happened");
    same("types", types, vec![own, system::METADATA.into(), system::STREAM_DELETED.into()]);
    let streams: Vec<_> = stored.iter().map(|event| event.stream().clone()).collect();
    same("streams", streams, vec![stream.clone(), stream.metadata_stream(), stream]);
    Ok(())
}

pub(crate) async fn an_event_is_the_same_however_it_is_read(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    t.append(to(&stream, t.events(3).into_iter().map(|e| e.with_metadata("{}")))).await?;
    let of_stream = t.of(&stream).await?;
    same("by position", t.since(before).await?, of_stream.clone());
    let backward = Read { direction: Direction::Backward, ..Read::stream(stream.clone()) };
    let mut back = t.read(backward).await?.events;
    back.reverse();
    same("backward", back, of_stream.clone());
    let mut feed = t.follow(Select::Stream(stream), None).await?;
    same("followed", feed.first(3).await?, of_stream);
    Ok(())
}

pub(crate) async fn statistics_are_told_and_have_names(t: Trial) -> Outcome {
    t.put(&t.stream("a-1"), 1).await?;
    let told = t.store().statistics().await?;
    let statistics = told.numbers;
    let mut names: Vec<_> = statistics.iter().map(|one| one.name.as_str()).collect();
    let proper = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(names.iter().all(|name| !name.is_empty() && name.chars().all(proper)), "{names:?}");
    assert!(statistics.iter().all(|one| !one.help.is_empty() && one.value.is_finite()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    same("each name once", names.len(), count);
    for histogram in &told.histograms {
        assert!(!histogram.help.is_empty() && histogram.name.chars().all(proper), "{histogram:?}");
        assert!(histogram.buckets.is_sorted_by(|one, next| one.up_to < next.up_to));
        assert!(histogram.buckets.iter().all(|bucket| bucket.count > 0));
    }
    Ok(())
}
