//! Stream checks: of streams that an append writes, and of others.

use super::kit::*;

/// Appends an event to a stream of its own, under these checks.
async fn under(t: &Trial, checks: impl IntoIterator<Item = Check>) -> Result<Receipt, AppendError> {
    let append = to(&t.stream("witness-1"), [t.event("tried")]);
    t.append(Append { checks: checks.into_iter().collect(), ..append }).await
}

/// Appends an event to a stream under a check of that stream.
async fn on(t: &Trial, stream: &StreamName, check: Check) -> Result<Receipt, AppendError> {
    t.append(to(stream, [t.event("tried")]).checking(check)).await
}

pub(crate) async fn no_stream_holds_for_an_absent_stream(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let receipt = on(&t, &stream, no_stream(&stream)).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 0, 0)]);
    Ok(())
}

pub(crate) async fn no_stream_fails_for_a_live_stream(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let before = t.put(&stream, 2).await?.position;
    same("the append", on(&t, &stream, no_stream(&stream)).await, conflict(0, live(1)));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn exists_holds_for_a_live_stream(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 1).await?;
    let receipt = on(&t, &stream, exists(&stream)).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 1, 1)]);
    Ok(())
}

pub(crate) async fn exists_fails_for_an_absent_stream(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let refused = on(&t, &stream, exists(&stream)).await;
    same("the append", refused, conflict(0, StreamState::Absent));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_number_holds_at_the_last_revision_only(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let before = t.put(&stream, 3).await?.position;
    for wrong in [0, 1, 3, 4, u64::MAX - 1, u64::MAX] {
        same("a wrong number", on(&t, &stream, at(&stream, wrong)).await, conflict(0, live(2)));
    }
    t.nothing_since(before).await?;
    let receipt = on(&t, &stream, at(&stream, 2)).await?;
    same("the right one", receipt.streams, vec![written(&stream, 3, 3)]);
    Ok(())
}

pub(crate) async fn a_number_fails_for_an_absent_stream(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for number in [0, 1, u64::MAX] {
        let refused = on(&t, &stream, at(&stream, number)).await;
        same("the append", refused, conflict(0, StreamState::Absent));
    }
    Ok(())
}

pub(crate) async fn no_stream_is_checked_for_a_stream_not_written(t: Trial) -> Outcome {
    let guard = t.stream("guard-1");
    under(&t, [no_stream(&guard)]).await?;
    t.put(&guard, 1).await?;
    same("the append", under(&t, [no_stream(&guard)]).await, conflict(0, live(0)));
    Ok(())
}

pub(crate) async fn exists_is_checked_for_a_stream_not_written(t: Trial) -> Outcome {
    let guard = t.stream("guard-1");
    let refused = under(&t, [exists(&guard)]).await;
    same("the append", refused, conflict(0, StreamState::Absent));
    t.put(&guard, 1).await?;
    under(&t, [exists(&guard)]).await?;
    Ok(())
}

pub(crate) async fn a_number_is_checked_for_a_stream_not_written(t: Trial) -> Outcome {
    let guard = t.stream("guard-1");
    t.put(&guard, 2).await?;
    same("the append", under(&t, [at(&guard, 0)]).await, conflict(0, live(1)));
    under(&t, [at(&guard, 1)]).await?;
    Ok(())
}

pub(crate) async fn a_check_does_not_create_its_stream(t: Trial) -> Outcome {
    let guard = t.stream("guard-1");
    under(&t, [no_stream(&guard)]).await?;
    same("the stream checked", t.state(&guard).await?, StreamState::Absent);
    same("its events", t.of(&guard).await?, Vec::new());
    Ok(())
}

pub(crate) async fn the_first_check_that_fails_is_named(t: Trial) -> Outcome {
    let (a, b, c) = (t.stream("a-1"), t.stream("b-1"), t.stream("c-1"));
    t.put(&a, 1).await?;
    t.put(&b, 1).await?;
    let holds_fails_fails = [at(&a, 0), no_stream(&b), exists(&c)];
    same("the append", under(&t, holds_fails_fails).await, conflict(1, live(0)));
    let holds_holds_fails = [at(&a, 0), exists(&b), exists(&c)];
    same("the append", under(&t, holds_holds_fails).await, conflict(2, StreamState::Absent));
    under(&t, [at(&a, 0), exists(&b), no_stream(&c)]).await?;
    Ok(())
}

pub(crate) async fn checks_see_the_state_before_the_append(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    let append = across([(&a, t.event("x")), (&b, t.event("y")), (&a, t.event("z"))]);
    let receipt = t.append(append.checking(no_stream(&b)).checking(no_stream(&a))).await?;
    same("the receipt", receipt.streams, vec![written(&a, 0, 1), written(&b, 0, 0)]);
    Ok(())
}

pub(crate) async fn two_checks_of_one_stream_are_invalid(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let append = to(&stream, [t.event("x")]).checking(no_stream(&stream));
    let twice = t.append(append.checking(no_stream(&stream))).await;
    invalid(twice, |why| matches!(why, Invalid::DuplicateCheck { .. }));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_metadata_stream_can_be_checked(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let metadata = stream.metadata_stream();
    under(&t, [no_stream(&metadata)]).await?;
    t.set_metadata(&stream, r#"{"$maxCount":5}"#).await?;
    same("the append", under(&t, [no_stream(&metadata)]).await, conflict(0, live(0)));
    under(&t, [at(&metadata, 0)]).await?;
    Ok(())
}

pub(crate) async fn hidden_events_count_for_numbers(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 5).await?;
    t.set_metadata(&stream, r#"{"$tb":100,"$maxCount":1}"#).await?;
    same("visible events", t.of(&stream).await?, Vec::new());
    same("the state", t.state(&stream).await?, live(4));
    let receipt = on(&t, &stream, at(&stream, 4)).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 5, 5)]);
    Ok(())
}

pub(crate) async fn of_many_appends_at_one_number_exactly_one_wins(t: Trial) -> Outcome {
    let stream = t.stream("race-1");
    t.put(&stream, 1).await?;
    for round in 0..20 {
        let jobs: Vec<_> = (0..4)
            .map(|_| {
                let append = to(&stream, [t.event("tried")]).checking(at(&stream, round));
                let store = t.store().clone();
                t.spawn(async move { store.append(append).await })
            })
            .collect();
        let mut won = 0;
        for job in jobs {
            match job.join().await? {
                Ok(_) => won += 1,
                lost => same("a loser", lost, conflict(0, live(round + 1))),
            }
        }
        same("winners of a round", won, 1);
    }
    same("revisions", revisions(&t.of(&stream).await?), (0..=20).collect());
    Ok(())
}

pub(crate) async fn checks_of_a_stream_and_of_a_query_must_both_hold(t: Trial) -> Outcome {
    let (stream, taken) = (t.stream("a-1"), Query::tag(t.tag("seat:1")));
    let append = || {
        let append = to(&stream, [t.tagged("booked", &["seat:1"])]);
        append.checking(no_stream(&stream)).checking(no_match(taken.clone(), Position::START))
    };
    let first = t.append(append()).await?;
    same("both fail", t.append(append()).await, conflict(0, live(0)));
    t.change(&stream, Change::Delete).await?;
    same("the query fails", t.append(append()).await, conflict_at(1, first.position));
    let after = t.head().await?;
    t.put(&stream, 1).await?;
    let later = to(&stream, t.events(1)).checking(no_match(taken.clone(), after));
    same(
        "the stream fails",
        t.append(later.checking(no_stream(&stream))).await,
        conflict(1, live(1)),
    );
    let later = to(&stream, t.events(1)).checking(no_match(taken, after));
    t.append(later.checking(at(&stream, 1))).await?;
    Ok(())
}
