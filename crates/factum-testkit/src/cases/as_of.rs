//! Reads as of the past: of a position, of a recorded time, of an occurred time.

use super::{
    history::{self, Fact, With, read_every_way},
    kit::*,
};

const SECOND: i64 = 1_000_000_000;
const NOON: i64 = 1_800_000_000 * SECOND;
const PLAIN: With = With { tags: false, times: false };
const TIMED: With = With { tags: false, times: true };

/// The events that an as-of read must show.
fn by(facts: &[Fact], mut is_hit: impl FnMut(&Fact) -> bool) -> Vec<Fact> {
    facts.iter().filter(|fact| is_hit(fact)).cloned().collect()
}

pub(crate) async fn a_stream_as_of_a_position(t: Trial) -> Outcome {
    let facts = history::write(&t, PLAIN).await?;
    let select = Select::Stream(t.stream("ab-2"));
    for moment in [facts[0].position, facts[16].position, facts[17].position] {
        let expect = by(&facts, |fact| fact.stream == "ab-2" && fact.position <= moment);
        read_every_way(&t, &select, AsOf::Position(moment), &expect).await?;
    }
    Ok(())
}

pub(crate) async fn a_query_as_of_a_position(t: Trial) -> Outcome {
    let facts = history::write(&t, PLAIN).await?;
    let select = Select::Query(Query::category(&t.name("abc")));
    for moment in [facts[0].position, facts[12].position, facts[20].position] {
        let expect = by(&facts, |fact| fact.stream == "abc-1" && fact.position <= moment);
        read_every_way(&t, &select, AsOf::Position(moment), &expect).await?;
    }
    Ok(())
}

pub(crate) async fn the_store_as_of_a_position(t: Trial) -> Outcome {
    let facts = history::write(&t, PLAIN).await?;
    let moment = facts[20].position;
    let expect = by(&facts, |fact| fact.position <= moment);
    read_every_way(&t, &all(), AsOf::Position(moment), &expect).await
}

pub(crate) async fn before_the_first_position_there_is_nothing(t: Trial) -> Outcome {
    t.put(&t.stream("a-1"), 3).await?;
    for select in [Select::Stream(t.stream("a-1")), all()] {
        let read = Read { as_of: AsOf::Position(Position::START), ..Read::select(select) };
        same("events", t.read(read).await?.events, Vec::new());
    }
    Ok(())
}

pub(crate) async fn a_position_of_the_future_is_now(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    for moment in [AsOf::Position(Position(u64::MAX)), AsOf::Recorded(Timestamp(i64::MAX))] {
        let read = Read { as_of: moment, ..Read::stream(stream.clone()) };
        same("events", revisions(&t.read(read).await?.events), vec![0, 1, 2]);
    }
    Ok(())
}

pub(crate) async fn a_stream_as_of_a_recorded_time(t: Trial) -> Outcome {
    recorded(&t, &Select::Stream(t.stream("ab-2")), |fact| fact.stream == "ab-2").await
}

pub(crate) async fn a_query_as_of_a_recorded_time(t: Trial) -> Outcome {
    let select = Select::Query(Query::category(&t.name("abc")));
    recorded(&t, &select, |fact| fact.stream == "abc-1").await
}

pub(crate) async fn the_store_as_of_a_recorded_time(t: Trial) -> Outcome {
    recorded(&t, &all(), |_| true).await
}

/// Reads as of moments at, before and after events.
async fn recorded(t: &Trial, select: &Select, is_hit: fn(&Fact) -> bool) -> Outcome {
    let facts = history::write(t, PLAIN).await?;
    for nanos in [-1, 0, SECOND / 2, 7 * SECOND, 8 * SECOND - 1, 1000 * SECOND] {
        let moment = Timestamp(NOON + nanos);
        let is_then = |fact: &Fact| fact.recorded_at.is_some_and(|at| at <= moment);
        let expect = by(&facts, |fact| is_hit(fact) && is_then(fact));
        read_every_way(t, select, AsOf::Recorded(moment), &expect).await?;
    }
    Ok(())
}

pub(crate) async fn the_times_that_were_told_can_be_asked_for(t: Trial) -> Outcome {
    // With whatever clock the store has.
    let stream = t.stream("a-1");
    for _ in 0..5 {
        t.put(&stream, 2).await?;
    }
    let stored = t.of(&stream).await?;
    for event in &stored {
        let moment = event.recorded_at();
        let read = Read { as_of: AsOf::Recorded(moment), ..Read::stream(stream.clone()) };
        let expect = stored.iter().filter(|event| event.recorded_at() <= moment);
        let expect = expect.map(|event| event.revision().0).collect();
        same("revisions", revisions(&t.read(read).await?.events), expect);
    }
    Ok(())
}

pub(crate) async fn a_stream_as_of_an_occurred_time(t: Trial) -> Outcome {
    occurred(&t, &Select::Stream(t.stream("ab-2")), |fact| fact.stream == "ab-2").await
}

pub(crate) async fn a_query_as_of_an_occurred_time(t: Trial) -> Outcome {
    let select = Select::Query(Query::category(&t.name("abc")));
    occurred(&t, &select, |fact| fact.stream == "abc-1").await
}

pub(crate) async fn the_store_as_of_an_occurred_time(t: Trial) -> Outcome {
    occurred(&t, &all(), |_| true).await
}

/// Reads as of moments at, before and after events: a filter, as they did not occur in order.
async fn occurred(t: &Trial, select: &Select, is_hit: fn(&Fact) -> bool) -> Outcome {
    let facts = history::write(t, TIMED).await?;
    for nanos in [-100 * SECOND, -5 * SECOND, -SECOND - 1, 0, 3 * SECOND] {
        let moment = Timestamp(NOON + nanos);
        let is_then =
            |fact: &Fact| fact.occurred_at.or(fact.recorded_at).is_some_and(|at| at <= moment);
        let expect = by(&facts, |fact| is_hit(fact) && is_then(fact));
        read_every_way(t, select, AsOf::Occurred(moment), &expect).await?;
    }
    Ok(())
}

pub(crate) async fn an_occurred_time_is_a_filter_and_no_prefix(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let events = [3, 1, 4, 2].map(|s| t.event("x").with_occurred_at(Timestamp(s * SECOND)));
    t.append(to(&stream, events)).await?;
    for (seconds, expect) in [(0, vec![]), (1, vec![1]), (2, vec![1, 3]), (3, vec![0, 1, 3])] {
        let as_of = AsOf::Occurred(Timestamp(seconds * SECOND));
        let seen = t.read(Read { as_of, ..Read::stream(stream.clone()) }).await?;
        same("revisions", revisions(&seen.events), expect);
    }
    Ok(())
}

pub(crate) async fn a_limit_counts_what_is_selected_only(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let events = [9, 1, 9, 2, 9, 3].map(|s| t.event("x").with_occurred_at(Timestamp(s * SECOND)));
    t.append(to(&stream, events)).await?;
    let as_of = AsOf::Occurred(Timestamp(5 * SECOND));
    let read = Read { as_of, limit: Some(2), ..Read::stream(stream) };
    same("forward", revisions(&t.read(read.clone()).await?.events), vec![1, 3]);
    let backward = Read { direction: Direction::Backward, ..read };
    same("backward", revisions(&t.read(backward).await?.events), vec![5, 3]);
    Ok(())
}

pub(crate) async fn the_head_told_is_that_of_now(t: Trial) -> Outcome {
    let first = t.put(&t.stream("a-1"), 1).await?.position;
    let last = t.put(&t.stream("a-1"), 1).await?.position;
    let read = Read { as_of: AsOf::Position(first), ..Read::query(Query::All) };
    let head = t.read(read).await?.head;
    assert!(head >= last, "the head {head} is that of the store, which has {last}");
    Ok(())
}
