//! Soft deletes, which hide and let go on, and tombstones, which end.

use super::kit::*;

/// A stream with three events, deleted.
async fn gone(t: &Trial) -> Result<StreamName, Failure> {
    let stream = t.stream("gone-1");
    t.put(&stream, 3).await?;
    t.change(&stream, Change::Delete).await?;
    Ok(stream)
}

/// A stream with three events, tombstoned.
async fn ended(t: &Trial) -> Result<StreamName, Failure> {
    let stream = t.stream("ended-1");
    t.put(&stream, 3).await?;
    t.change(&stream, Change::Tombstone).await?;
    Ok(stream)
}

async fn append_if(t: &Trial, stream: &StreamName, check: Check) -> Result<Receipt, AppendError> {
    t.append(to(stream, t.events(1)).checking(check)).await
}

pub(crate) async fn a_deleted_stream_shows_nothing_and_says_so(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    for direction in [Direction::Forward, Direction::Backward] {
        let seen = t.read(Read { direction, ..Read::stream(stream.clone()) }).await?;
        same("events and state", (seen.events, seen.state), (Vec::new(), Some(deleted(2))));
    }
    Ok(())
}

pub(crate) async fn a_deleted_streams_events_stay_in_the_store(t: Trial) -> Outcome {
    let before = t.head().await?;
    let stream = gone(&t).await?;
    let stored = t.since(before).await?;
    let of_stream = stored.iter().filter(|event| *event.stream() == stream).count();
    same("events", of_stream, 3);
    let found = t.read(Read::query(Query::category(&t.name("gone")))).await?;
    same("by query", found.events.len(), 3);
    Ok(())
}

pub(crate) async fn no_stream_holds_for_a_deleted_stream(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    let receipt = append_if(&t, &stream, no_stream(&stream)).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 3, 3)]);
    Ok(())
}

pub(crate) async fn its_last_number_holds_for_a_deleted_stream(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    for wrong in [0, 1, 3] {
        same(
            "a wrong number",
            append_if(&t, &stream, at(&stream, wrong)).await,
            conflict(0, deleted(2)),
        );
    }
    let receipt = append_if(&t, &stream, at(&stream, 2)).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 3, 3)]);
    Ok(())
}

pub(crate) async fn exists_fails_for_a_deleted_stream(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    let before = t.head().await?;
    same("the append", append_if(&t, &stream, exists(&stream)).await, conflict(0, deleted(2)));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_deleted_stream_that_is_not_written_is_checked_alike(t: Trial) -> Outcome {
    let (stream, witness) = (gone(&t).await?, t.stream("w-1"));
    append_if(&t, &witness, no_stream(&stream)).await?;
    append_if(&t, &witness, at(&stream, 2)).await?;
    same("exists", append_if(&t, &witness, exists(&stream)).await, conflict(0, deleted(2)));
    same("it stays deleted", t.state(&stream).await?, deleted(2));
    Ok(())
}

pub(crate) async fn an_append_reopens_and_shows_only_itself(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    t.put(&stream, 2).await?;
    same("visible", revisions(&t.of(&stream).await?), vec![3, 4]);
    same("the state", t.state(&stream).await?, live(4));
    same("metadata", t.store().metadata(&stream).await?.truncate_before, Some(3));
    Ok(())
}

pub(crate) async fn the_receipt_that_reopens_tells_the_callers_events_only(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    let append = to(&stream, t.events(2));
    let last = ids_of(&append)[1];
    let receipt = t.append(append).await?;
    same("its streams", receipt.streams, vec![written(&stream, 3, 4)]);
    let read = Read { from: Some(receipt.position.0), limit: Some(1), ..Read::query(Query::All) };
    same("the event at its position", ids(&t.read(read).await?.events), vec![last]);
    Ok(())
}

pub(crate) async fn an_append_may_reopen_several_streams(t: Trial) -> Outcome {
    let (a, b, c) = (t.stream("a-1"), t.stream("b-1"), t.stream("c-1"));
    for (count, stream) in [(1, &a), (2, &b), (3, &c)] {
        t.put(stream, count).await?;
    }
    t.change(&a, Change::Delete).await?;
    t.change(&c, Change::Delete).await?;
    let order = [&c, &b, &a, &c];
    let receipt = t.append(across(order.map(|stream| (stream, t.event("x"))))).await?;
    let streams = vec![written(&c, 3, 4), written(&b, 2, 2), written(&a, 1, 1)];
    same("the receipt", receipt.streams, streams);
    for (stream, expect) in [(&a, vec![1]), (&b, vec![0, 1, 2]), (&c, vec![3, 4])] {
        same("visible", revisions(&t.of(stream).await?), expect);
    }
    Ok(())
}

pub(crate) async fn other_metadata_survives_delete_and_reopening(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 2).await?;
    t.set_metadata(&stream, r#"{"$maxCount":7,"team":"a"}"#).await?;
    t.change(&stream, Change::Delete).await?;
    let told = t.store().metadata(&stream).await?;
    same("deleted", (told.max_count, told.other.len()), (Some(7), 1));
    assert!(told.is_deleted(), "`$tb` of a deleted stream: {told:?}");
    t.put(&stream, 1).await?;
    let told = t.store().metadata(&stream).await?;
    same("reopened", (told.max_count, told.other["team"].as_str()), (Some(7), "\"a\""));
    same("reopened", told.truncate_before, Some(2));
    Ok(())
}

pub(crate) async fn deleting_twice_writes_nothing_the_second_time(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    let before = t.head().await?;
    let again = t.change(&stream, Change::Delete).await?;
    assert!(again.replayed && again.position >= before, "{again:?}");
    t.nothing_since(before).await?;
    same("the state", t.state(&stream).await?, deleted(2));
    Ok(())
}

pub(crate) async fn a_reopened_stream_can_be_deleted_again(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    for last in 3..6 {
        t.put(&stream, 1).await?;
        same("visible", revisions(&t.of(&stream).await?), vec![last]);
        let receipt = t.change(&stream, Change::Delete).await?;
        assert!(!receipt.replayed, "a delete of a live stream is no replay");
        same("the state", t.state(&stream).await?, deleted(last));
    }
    Ok(())
}

pub(crate) async fn a_delete_expects_what_it_is_told_to(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    let before = t.head().await?;
    for wrong in [Expected::NoStream, Expected::At(Revision(1)), Expected::At(Revision(3))] {
        let refused = t.change_if(&stream, Change::Delete, wrong).await;
        same("the delete", refused, conflict(0, live(2)));
    }
    t.nothing_since(before).await?;
    t.change_if(&stream, Change::Delete, Expected::At(Revision(2))).await?;
    same("the state", t.state(&stream).await?, deleted(2));
    let refused = t.change_if(&stream, Change::Delete, Expected::Exists).await;
    same("of a deleted one", refused, conflict(0, deleted(2)));
    Ok(())
}

pub(crate) async fn a_stream_that_never_was_is_not_deleted(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let before = t.head().await?;
    let refused = t.change_if(&stream, Change::Delete, Expected::Exists).await;
    same("expected to exist", refused, conflict(0, StreamState::Absent));
    let refused = t.change_if(&stream, Change::Delete, Expected::NoStream).await;
    same("expected not to exist", refused, conflict(0, StreamState::Absent));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn deleting_a_stream_with_metadata_only_lets_it_begin_at_0(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.set_metadata(&stream, r#"{"kept":1}"#).await?;
    t.change(&stream, Change::Delete).await?;
    same("the state", t.state(&stream).await?, StreamState::Absent);
    let receipt = append_if(&t, &stream, no_stream(&stream)).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 0, 0)]);
    same("visible", revisions(&t.of(&stream).await?), vec![0]);
    Ok(())
}

pub(crate) async fn new_metadata_does_not_bring_deleted_events_back(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    t.set_metadata(&stream, r#"{"$maxCount":100}"#).await?;
    same("the state", t.state(&stream).await?, live(2));
    same("visible", revisions(&t.of(&stream).await?), Vec::<u64>::new());
    let metadata = t.store().metadata(&stream).await?;
    let said = (metadata.truncate_before, metadata.max_count);
    same("the metadata", said, (Some(3), Some(100)));
    t.put(&stream, 1).await?;
    same("visible after an append", revisions(&t.of(&stream).await?), vec![3]);
    Ok(())
}

pub(crate) async fn metadata_of_a_deleted_and_tombstoned_stream_is_one_event(t: Trial) -> Outcome {
    let stream = gone(&t).await?;
    t.change(&stream, Change::Tombstone).await?;
    let before = t.head().await?;
    t.set_metadata(&stream, "{}").await?;
    same("events written", t.since(before).await?.len(), 1);
    Ok(())
}

pub(crate) async fn a_tombstoned_stream_shows_nothing_and_says_so(t: Trial) -> Outcome {
    let stream = ended(&t).await?;
    for direction in [Direction::Forward, Direction::Backward] {
        let seen = t.read(Read { direction, ..Read::stream(stream.clone()) }).await?;
        let ended = Some(StreamState::Tombstoned);
        same("events and state", (seen.events, seen.state), (Vec::new(), ended));
    }
    Ok(())
}

pub(crate) async fn a_tombstoned_stream_takes_nothing_whatever_is_expected(t: Trial) -> Outcome {
    let stream = ended(&t).await?;
    let before = t.head().await?;
    let refused = Err(AppendError::Tombstoned { stream: stream.clone() });
    same("no check", t.put(&stream, 1).await, refused.clone());
    for check in [no_stream(&stream), exists(&stream), at(&stream, 2), at(&stream, 3)] {
        same("under a check", append_if(&t, &stream, check).await, refused.clone());
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn one_tombstoned_stream_refuses_the_whole_append(t: Trial) -> Outcome {
    let (stream, other) = (ended(&t).await?, t.stream("other-1"));
    let before = t.head().await?;
    let append = across([(&other, t.event("x")), (&stream, t.event("y"))]);
    // Judged before the checks, which fail too.
    let refused = t.append(append.checking(exists(&other))).await;
    same("the append", refused, Err(AppendError::Tombstoned { stream }));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_tombstoned_stream_fails_every_check_of_another_append(t: Trial) -> Outcome {
    let (stream, witness) = (ended(&t).await?, t.stream("w-1"));
    for check in [no_stream(&stream), exists(&stream), at(&stream, 2), at(&stream, 3)] {
        let refused = append_if(&t, &witness, check).await;
        same("the append", refused, conflict(0, StreamState::Tombstoned));
    }
    Ok(())
}

pub(crate) async fn a_tombstone_is_an_event_at_the_next_revision(t: Trial) -> Outcome {
    let before = t.head().await?;
    let stream = t.stream("ended-1");
    t.put(&stream, 3).await?;
    let receipt = t.change(&stream, Change::Tombstone).await?;
    same("the receipt", receipt.streams, vec![written(&stream, 3, 3)]);
    let last = t.since(before).await?.pop();
    let told = last.as_ref().map(|event| (event.event_type().as_str(), event.position()));
    same("the last event", told, Some((system::STREAM_DELETED, receipt.position)));
    Ok(())
}

pub(crate) async fn a_tombstoned_stream_is_neither_deleted_nor_tombstoned_again(
    t: Trial,
) -> Outcome {
    let stream = ended(&t).await?;
    let before = t.head().await?;
    for change in [Change::Delete, Change::Tombstone] {
        let refused = t.change(&stream, change).await;
        same("the change", refused, Err(AppendError::Tombstoned { stream: stream.clone() }));
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_tombstone_expects_what_it_is_told_to(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    for wrong in [Expected::NoStream, Expected::At(Revision(1))] {
        let refused = t.change_if(&stream, Change::Tombstone, wrong).await;
        same("the tombstone", refused, conflict(0, live(2)));
    }
    t.change_if(&stream, Change::Tombstone, Expected::At(Revision(2))).await?;
    same("the state", t.state(&stream).await?, StreamState::Tombstoned);
    Ok(())
}

pub(crate) async fn absent_and_deleted_streams_can_be_tombstoned(t: Trial) -> Outcome {
    let (absent, gone) = (t.stream("absent-1"), gone(&t).await?);
    for (stream, revision) in [(&absent, 0), (&gone, 3)] {
        let receipt = t.change_if(stream, Change::Tombstone, Expected::NoStream).await?;
        same("the receipt", receipt.streams, vec![written(stream, revision, revision)]);
        same("the state", t.state(stream).await?, StreamState::Tombstoned);
        let refused = Err(AppendError::Tombstoned { stream: stream.clone() });
        same("an append", t.put(stream, 1).await, refused);
    }
    Ok(())
}

pub(crate) async fn a_tombstone_cannot_be_appended_by_hand(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let event_type = EventType::new(system::STREAM_DELETED)?;
    let refused = t.append(to(&stream, [EventData { event_type, ..t.event("x") }])).await;
    invalid(refused, |why| matches!(why, Invalid::ReservedType));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_tombstoned_streams_metadata_can_be_set(t: Trial) -> Outcome {
    let stream = ended(&t).await?;
    t.set_metadata(&stream, r#"{"$maxCount":5}"#).await?;
    same("the state", t.state(&stream).await?, StreamState::Tombstoned);
    same("visible", t.of(&stream).await?, Vec::new());
    Ok(())
}

pub(crate) async fn a_delete_and_an_append_race_to_one_of_two_ends(t: Trial) -> Outcome {
    for round in 0..20 {
        let stream = t.stream(&format!("race-{round}"));
        t.put(&stream, 1).await?;
        let (store, of) = (t.store().clone(), stream.clone());
        let deleting = t.spawn(async move { store.change(&of, Change::Delete, None).await });
        let append = to(&stream, t.events(1)).checking(exists(&stream));
        let appended = t.append(append).await;
        deleting.join().await??;
        let state = t.state(&stream).await?;
        match appended {
            // The append was first, and is hidden too.
            Ok(_) => same("the state", state, deleted(1)),
            Err(_) => same("the state", (appended, state), (conflict(0, deleted(0)), deleted(0))),
        }
    }
    Ok(())
}
