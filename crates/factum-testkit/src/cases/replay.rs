//! Retries: an append whose events are stored already is answered as the first time.

use super::kit::*;

/// Appends, lets something happen, and appends again: the same answer, and nothing written.
async fn again(t: &Trial, append: Append) -> Outcome {
    let first = t.append(append.clone()).await?;
    for (stream, _) in append.events.iter().take(1) {
        t.put(stream, 2).await?;
    }
    t.put(&t.stream("noise-1"), 2).await?;
    retried(t, &first, append).await
}

/// Appends again what has this receipt.
async fn retried(t: &Trial, first: &Receipt, append: Append) -> Outcome {
    let before = t.head().await?;
    assert!(!first.replayed, "the first attempt is no replay: {first:?}");
    for attempt in 1..=3 {
        let receipt = t.append(append.clone()).await?;
        same(&format!("retry {attempt}"), receipt, replay_of(first));
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn without_a_check_a_retry_is_recognised(t: Trial) -> Outcome {
    again(&t, to(&t.stream("a-1"), t.events(1))).await
}

pub(crate) async fn under_no_stream_a_retry_is_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    again(&t, to(&stream, t.events(2)).checking(no_stream(&stream))).await
}

pub(crate) async fn under_a_number_a_retry_is_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    again(&t, to(&stream, t.events(2)).checking(at(&stream, 2))).await
}

pub(crate) async fn under_exists_a_retry_is_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 1).await?;
    again(&t, to(&stream, t.events(1)).checking(exists(&stream))).await
}

pub(crate) async fn under_a_query_check_a_retry_is_recognised(t: Trial) -> Outcome {
    let (stream, query) = (t.stream("a-1"), Query::tag(t.tag("seat:1")));
    let append = to(&stream, [t.tagged("booked", &["seat:1"])]);
    again(&t, append.checking(no_match(query, Position::START))).await
}

pub(crate) async fn of_several_streams_a_retry_is_recognised(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    let append = across([(&a, t.event("x")), (&b, t.event("y")), (&a, t.event("z"))]);
    again(&t, append.checking(no_stream(&a))).await
}

pub(crate) async fn checks_are_not_judged_again(t: Trial) -> Outcome {
    let (a, guard) = (t.stream("a-1"), t.stream("guard-1"));
    let append = to(&a, t.events(1)).checking(no_stream(&guard));
    let first = t.append(append.clone()).await?;
    t.put(&guard, 1).await?;
    retried(&t, &first, append).await
}

pub(crate) async fn other_checks_make_no_other_append(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let append = to(&stream, t.events(1));
    let first = t.append(append.clone().checking(no_stream(&stream))).await?;
    t.put(&stream, 1).await?;
    retried(&t, &first, append.clone().checking(exists(&stream))).await?;
    retried(&t, &first, append.clone().checking(at(&stream, 77))).await?;
    retried(&t, &first, append).await
}

pub(crate) async fn other_bodies_make_no_other_append(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut append = to(&stream, t.events(1));
    let first = t.append(append.clone()).await?;
    append.events[0].1.data = "\"another\"".into();
    append.events[0].1.event_type = t.event_type("another");
    retried(&t, &first, append).await?;
    same("the data", t.of(&stream).await?[0].data(), b"{}");
    Ok(())
}

pub(crate) async fn a_part_of_an_append_was_done_with_it(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let whole = to(&stream, t.events(3));
    let first = t.append(whole.clone()).await?;
    let head = Append { events: whole.events[..2].to_vec(), ..Append::default() };
    let receipt = t.append(head).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 0, 1)]);
    assert!(receipt.replayed && receipt.position < first.position, "{:?}", receipt.position);
    Ok(())
}

pub(crate) async fn two_appends_in_a_row_retried_as_one_are_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let (one, two) = (to(&stream, t.events(1)), to(&stream, t.events(2)));
    t.append(one.clone()).await?;
    let last = t.append(two.clone()).await?;
    let both = Append { events: [one.events, two.events].concat(), ..Append::default() };
    let receipt = t.append(both).await?;
    let streams = vec![written(&stream, 0, 2)];
    same("the receipt", receipt, Receipt { streams, replayed: true, ..last });
    Ok(())
}

pub(crate) async fn more_than_was_stored_is_refused(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut append = to(&stream, t.events(2));
    let before = t.append(append.clone()).await?.position;
    append.events.push((stream.clone(), t.event("more")));
    reused(&t.append(append.clone()).await);
    append.events.rotate_right(1);
    reused(&t.append(append).await);
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn events_with_others_between_them_are_refused(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut append = to(&stream, t.events(3));
    let before = t.append(append.clone()).await?.position;
    append.events.remove(1);
    reused(&t.append(append).await);
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_part_stored_in_another_stream_is_refused(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    let stored = to(&a, t.events(1));
    let before = t.append(stored.clone()).await?.position;
    let mut more = stored;
    more.events.push((b.clone(), t.event("more")));
    reused(&t.append(more).await);
    t.nothing_since(before).await?;
    same("the other stream", t.state(&b).await?, StreamState::Absent);
    Ok(())
}

pub(crate) async fn a_refusal_names_the_used_id_and_where_it_stands(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut append = to(&stream, t.events(1));
    let at = t.append(append.clone()).await?.position;
    let id = append.events[0].1.id;
    append.events.insert(0, (stream.clone(), t.event("new")));
    same("the append", t.append(append).await, Err(AppendError::IdReused { id, at }));
    Ok(())
}

pub(crate) async fn a_refused_append_leaves_its_ids_unused(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 1).await?;
    let append = to(&stream, t.events(2));
    let refused = t.append(append.clone().checking(no_stream(&stream))).await;
    same("the refusal", refused, conflict(0, live(0)));
    let receipt = t.append(append.checking(at(&stream, 0))).await?;
    same(
        "the second attempt",
        (receipt.replayed, receipt.streams),
        (false, vec![written(&stream, 1, 2)]),
    );
    Ok(())
}

pub(crate) async fn hidden_events_are_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let append = to(&stream, t.events(1)).checking(no_stream(&stream));
    let first = t.append(append.clone()).await?;
    t.put(&stream, 3).await?;
    t.set_metadata(&stream, r#"{"$maxCount":1}"#).await?;
    retried(&t, &first, append.clone()).await?;
    t.set_metadata(&stream, r#"{"$tb":4}"#).await?;
    retried(&t, &first, append).await
}

pub(crate) async fn a_deleted_streams_events_are_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let append = to(&stream, t.events(2)).checking(no_stream(&stream));
    let first = t.append(append.clone()).await?;
    t.change(&stream, Change::Delete).await?;
    retried(&t, &first, append).await?;
    same("the stream", t.state(&stream).await?, deleted(1));
    Ok(())
}

pub(crate) async fn a_tombstoned_streams_events_are_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let append = to(&stream, t.events(2)).checking(no_stream(&stream));
    let first = t.append(append.clone()).await?;
    t.change(&stream, Change::Tombstone).await?;
    retried(&t, &first, append).await
}

pub(crate) async fn the_append_that_reopened_a_stream_is_recognised(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 2).await?;
    t.change(&stream, Change::Delete).await?;
    let append = to(&stream, t.events(2)).checking(at(&stream, 1));
    let first = t.append(append.clone()).await?;
    same("the first receipt", first.streams.clone(), vec![written(&stream, 2, 3)]);
    retried(&t, &first, append).await?;
    same("visible", revisions(&t.of(&stream).await?), vec![2, 3]);
    Ok(())
}

pub(crate) async fn every_written_stream_needs_its_right_number_to_write_again(
    t: Trial,
) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    let append = across([(&a, t.event("x")), (&b, t.event("y"))]);
    let first = t.append(append.clone()).await?;
    retried(&t, &first, append.clone().checking(at(&a, 0))).await?;
    retried(&t, &first, append.clone().checking(at(&a, 0)).checking(at(&b, 5))).await?;
    let both = append.checking(at(&a, 0)).checking(at(&b, 0));
    let receipt = t.append(both).await?;
    same("written again", receipt.streams, vec![written(&a, 1, 1), written(&b, 1, 1)]);
    assert!(!receipt.replayed, "written again is no replay");
    Ok(())
}

pub(crate) async fn a_number_says_which_of_two_equal_appends_is_meant(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let append = to(&stream, t.events(2));
    let first = t.append(append.clone().checking(no_stream(&stream))).await?;
    let second = t.append(append.clone().checking(at(&stream, 1))).await?;
    t.put(&stream, 1).await?;
    retried(&t, &second, append.clone().checking(at(&stream, 1))).await?;
    retried(&t, &first, append.checking(no_stream(&stream))).await
}
