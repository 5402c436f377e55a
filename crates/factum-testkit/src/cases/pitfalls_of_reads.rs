//! What is easiest to get wrong about reads and subscriptions, by number: 1, 2, and 15 to 19.
//!
//! The numbers are those of the list in [`crate::suite`].

use super::kit::*;

const SECOND: i64 = 1_000_000_000;
const NOON: i64 = 1_800_000_000 * SECOND;

/// Starts writers that append so many times each, two events at once.
fn writers(t: &Trial, count: usize, times: usize) -> Vec<Job<Result<(), AppendError>>> {
    let writer = |writer: usize| {
        let stream = t.stream(&format!("w-{writer}"));
        let appends: Vec<_> = (0..times).map(|_| to(&stream, t.events(2))).collect();
        let store = t.store().clone();
        t.spawn(async move {
            for append in appends {
                store.append(append).await?;
            }
            Ok(())
        })
    };
    (0..count).map(writer).collect()
}

pub(crate) async fn p01_nothing_comes_late_below_a_head_already_read(t: Trial) -> Outcome {
    let start = t.head().await?;
    let writers = writers(&t, 4, 40);
    // Reads on from the head of the read before: what lies below it is never looked at again.
    let (mut seen, mut after) = (Vec::new(), start);
    while seen.len() < 320 {
        let read = Read { from: Some(after.0), ..Read::query(Query::All) };
        let answer = t.read(read).await?;
        assert!(answer.head >= after, "the head went back from {after} to {}", answer.head);
        let new = answer.events.iter().filter(|event| event.position() > after);
        seen.extend(new.filter(|event| t.is_own(event.stream())).map(RecordedEvent::position));
        after = answer.head;
        let done = t.since(start).await?.len() == 320;
        assert!(!done || seen.len() == 320 || t.head().await? > after, "{} of 320", seen.len());
    }
    for writer in writers {
        writer.join().await??;
    }
    same("positions", seen, positions(&t.since(start).await?));
    Ok(())
}

pub(crate) async fn p02_the_head_of_a_filtered_read_lies_past_its_last_match(t: Trial) -> Outcome {
    let (stream, query) = (t.stream("a-1"), Query::types([t.event_type("rare")]));
    let hit = t.append(to(&stream, [t.event("rare")])).await?.position;
    let last = t.put(&t.stream("noise-1"), 5).await?.position;
    for direction in [Direction::Forward, Direction::Backward] {
        let seen = t.read(Read { direction, ..Read::query(query.clone()) }).await?;
        same("positions", positions(&seen.events), vec![hit]);
        assert!(seen.head >= last, "the head {}, though {last} is stored", seen.head);
    }
    let seen = t.read(Read::stream(stream)).await?;
    assert!(seen.head >= last, "the head {} of a stream's read", seen.head);
    Ok(())
}

pub(crate) async fn p02_such_a_head_serves_as_after(t: Trial) -> Outcome {
    let (stream, query) = (t.stream("a-1"), Query::tag(t.tag("seat:1")));
    t.append(to(&stream, [t.tagged("booked", &["seat:1"])])).await?;
    t.put(&t.stream("noise-1"), 5).await?;
    let after = t.read(Read::query(query.clone())).await?.head;
    t.append(to(&stream, [t.tagged("freed", &["seat:1"])]).checking(no_match(query, after)))
        .await?;
    Ok(())
}

pub(crate) async fn p15_hidden_by_max_count_and_still_in_all_and_checks(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    t.set_metadata(&stream, r#"{"$maxCount":1}"#).await?;
    let hidden = t.append(to(&stream, [t.event("rare")])).await?.position;
    t.put(&stream, 1).await?;
    same("the stream", revisions(&t.of(&stream).await?), vec![1]);
    let all = positions(&t.since(before).await?);
    assert!(all.contains(&hidden), "{hidden} is still in the store: {all:?}");
    let rare = Query::types([t.event_type("rare")]);
    same("by type", positions(&t.read(Read::query(rare.clone())).await?.events), vec![hidden]);
    let append = to(&t.stream("b-1"), t.events(1)).checking(no_match(rare, Position::START));
    same("a check", t.append(append).await, conflict_at(0, hidden));
    Ok(())
}

pub(crate) async fn p16_as_of_recorded_is_a_prefix_though_the_clock_steps_back(
    t: Trial,
) -> Outcome {
    let stream = t.stream("a-1");
    for seconds in [10, 30, 20, 40] {
        t.set_clock(Timestamp(NOON + seconds * SECOND));
        t.put(&stream, 1).await?;
    }
    // The third was written at 20 by the clock, but after what was recorded at 30.
    let steps =
        [(9, vec![]), (10, vec![0]), (25, vec![0]), (30, vec![0, 1, 2]), (40, vec![0, 1, 2, 3])];
    for (seconds, expect) in steps {
        let as_of = AsOf::Recorded(Timestamp(NOON + seconds * SECOND));
        let seen = t.read(Read { as_of, ..Read::stream(stream.clone()) }).await?;
        same(&format!("as of {seconds} s"), revisions(&seen.events), expect.clone());
        let back = Direction::Backward;
        let read = Read { as_of, direction: back, ..Read::stream(stream.clone()) };
        let expect = expect.into_iter().rev().collect();
        same("backward", revisions(&t.read(read).await?.events), expect);
    }
    Ok(())
}

/// The stream's revisions, read backwards.
async fn backward(
    t: &Trial,
    stream: &StreamName,
    from: Option<u64>,
) -> Result<Vec<u64>, ReadError> {
    let direction = Direction::Backward;
    Ok(revisions(&t.read(Read { direction, from, ..Read::stream(stream.clone()) }).await?.events))
}

pub(crate) async fn p17_backward_from_0(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    same("a stream from 0", backward(&t, &stream, Some(0)).await?, vec![0]);
    let read = Read { direction: Direction::Backward, from: Some(0), ..Read::query(Query::All) };
    same("the store from 0", t.read(read).await?.events, Vec::new());
    Ok(())
}

pub(crate) async fn p17_backward_from_past_the_end(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let last = t.put(&stream, 3).await?.position;
    for past in [3, 4, 1_000_000, u64::MAX] {
        same("a stream", backward(&t, &stream, Some(past)).await?, vec![2, 1, 0]);
    }
    for past in [last.0 + 1_000_000_000, u64::MAX] {
        let query = Query::types([t.event_type("happened")]);
        let direction = Direction::Backward;
        let seen = t.read(Read { direction, from: Some(past), ..Read::query(query) }).await?;
        same("the store", revisions(&seen.events), vec![2, 1, 0]);
    }
    Ok(())
}

pub(crate) async fn p17_backward_while_others_append(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 50).await?;
    let writers = writers(&t, 2, 40);
    for round in 1..20 {
        let read = Read { direction: Direction::Backward, ..Read::stream(stream.clone()) };
        let mut reading = t.store().read(Read { freshness: Freshness::Current, ..read }).await?;
        let mut seen = Vec::new();
        while let Some(batch) = next_batch(&mut reading.batches).await {
            seen.extend(batch?.events);
            t.put(&stream, 1).await?;
        }
        let count = seen.len() as u64;
        assert!(count >= 50 + round - 1, "{count} events in round {round}");
        same("revisions", revisions(&seen), (0..count).rev().collect());
    }
    for writer in writers {
        writer.join().await??;
    }
    Ok(())
}

pub(crate) async fn p18_a_filter_without_matches_moves_its_checkpoint(t: Trial) -> Outcome {
    let absent = Query::types([t.event_type("absent")]);
    let start = t.head().await?;
    let before = t.put(&t.stream("noise-1"), 50).await?.position;
    let mut feed = t.follow(Select::Query(absent), Some(start.0)).await?;
    // What was there before.
    same("events", feed.up_to(before).await?, Vec::new());
    for _ in 0..5 {
        // What comes live.
        let live = t.put(&t.stream("noise-1"), 5).await?.position;
        same("events", feed.up_to(live).await?, Vec::new());
    }
    Ok(())
}

pub(crate) async fn p18_so_does_a_stream_without_events(t: Trial) -> Outcome {
    let mut feed = t.follow(Select::Stream(t.stream("absent-1")), None).await?;
    for _ in 0..3 {
        let live = t.put(&t.stream("noise-1"), 5).await?.position;
        same("events", feed.up_to(live).await?, Vec::new());
    }
    Ok(())
}

pub(crate) async fn p18_the_checkpoint_between_matches_passes_the_rest(t: Trial) -> Outcome {
    let rare = Query::types([t.event_type("rare")]);
    let mut feed = t.follow(Select::Query(rare), Some(t.head().await?.0)).await?;
    for _ in 0..5 {
        let hit = t.append(to(&t.stream("a-1"), [t.event("rare")])).await?.position;
        let last = t.put(&t.stream("noise-1"), 20).await?.position;
        same("events", positions(&feed.up_to(last).await?), vec![hit]);
    }
    Ok(())
}

pub(crate) async fn p19_from_catch_up_to_live_nothing_is_missed(t: Trial) -> Outcome {
    // Subscribes again and again while events come: each meets the seam at another place.
    let start = t.head().await?;
    let select = Select::Query(Query::types([t.event_type("happened")]));
    let writers = writers(&t, 2, 60);
    let mut feeds = Vec::new();
    for _ in 0..10 {
        let mut feed = t.follow(select.clone(), Some(start.0)).await?;
        let early = feed.caught_up().await?;
        feeds.push((feed, early));
    }
    for writer in writers {
        writer.join().await??;
    }
    // Should all of them have been slower than the writers, this one is live for certain.
    let last = t.put(&t.stream("w-0"), 2).await?.position;
    let all = positions(&t.since(start).await?);
    for (mut feed, early) in feeds {
        let late = feed.up_to(last).await?;
        same("positions", [positions(&early), positions(&late)].concat(), all.clone());
    }
    Ok(())
}

pub(crate) async fn p19_a_stalled_subscriber_resumes_without_a_gap(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 10).await?;
    let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
    let mut seen = feed.next().await?.events;
    for round in 0..5 {
        // It stalls, in turn while it lags and while it waits, and far more comes than a batch.
        for _ in 0..10 {
            t.put(&stream, 40).await?;
        }
        let last = t.head().await?;
        if round % 2 == 0 {
            seen.extend(feed.up_to(last).await?);
        } else {
            seen.extend(feed.next().await?.events);
        }
    }
    seen.extend(feed.up_to(t.head().await?).await?);
    same("revisions", revisions(&seen), (0..2010).collect());
    Ok(())
}
