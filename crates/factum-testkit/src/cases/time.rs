//! When events were recorded, and when they happened.

use super::kit::*;

const SECOND: i64 = 1_000_000_000;
const NOON: i64 = 1_800_000_000 * SECOND;

pub(crate) async fn recorded_at_never_goes_back(t: Trial) -> Outcome {
    let before = t.head().await?;
    for n in 0..20 {
        t.put(&t.stream(&format!("a-{}", n % 3)), 2).await?;
    }
    let at: Vec<_> = t.since(before).await?.iter().map(RecordedEvent::recorded_at).collect();
    assert!(at.is_sorted(), "recorded times in the order of the store: {at:?}");
    Ok(())
}

pub(crate) async fn recorded_at_is_the_stores_clock(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for seconds in [0, 1, 60] {
        t.set_clock(Timestamp(NOON + seconds * SECOND));
        t.put(&stream, 1).await?;
    }
    let at: Vec<_> = t.of(&stream).await?.iter().map(|event| event.recorded_at().0).collect();
    same("recorded", at, [0, 1, 60].map(|s| NOON + s * SECOND).to_vec());
    Ok(())
}

pub(crate) async fn a_clock_that_steps_back_does_not_take_events_with_it(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for seconds in [10, 5, 7, 11] {
        t.set_clock(Timestamp(NOON + seconds * SECOND));
        t.put(&stream, 1).await?;
    }
    let at: Vec<_> = t.of(&stream).await?.iter().map(|event| event.recorded_at().0).collect();
    same("recorded", at, [10, 10, 10, 11].map(|s| NOON + s * SECOND).to_vec());
    Ok(())
}

pub(crate) async fn nanoseconds_are_kept(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let moment = Timestamp(NOON + 123_456_789);
    t.append(to(&stream, [t.event("x").with_occurred_at(moment)])).await?;
    same("occurred", t.of(&stream).await?[0].occurred_at(), moment);
    Ok(())
}

pub(crate) async fn occurred_at_comes_back_as_given(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let moments = [NOON, 0, -1, NOON * 2, i64::MIN, i64::MAX].map(Timestamp);
    let events = moments.map(|moment| t.event("x").with_occurred_at(moment));
    t.append(to(&stream, events)).await?;
    let stored = t.of(&stream).await?;
    let given: Vec<_> = stored.iter().map(RecordedEvent::occurred_at_given).collect();
    same("given", given, moments.map(Some).to_vec());
    let told: Vec<_> = stored.iter().map(RecordedEvent::occurred_at).collect();
    same("told", told, moments.to_vec());
    Ok(())
}

pub(crate) async fn without_it_an_event_occurred_when_it_was_recorded(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 1).await?;
    let event = &t.of(&stream).await?[0];
    same("given", event.occurred_at_given(), None);
    same("told", event.occurred_at(), event.recorded_at());
    Ok(())
}

pub(crate) async fn occurred_at_changes_no_order(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let events = [3, 1, 2].map(|s| t.event("x").with_occurred_at(Timestamp(NOON + s * SECOND)));
    let append = to(&stream, events);
    let given = ids_of(&append);
    t.append(append).await?;
    same("ids in the stream", ids(&t.of(&stream).await?), given.clone());
    same("ids in the store", ids(&t.since(before).await?), given);
    Ok(())
}
