//! Appends without conditions: what goes in comes out, in its place.

use super::kit::*;

pub(crate) async fn an_event_comes_back_as_it_was_given(t: Trial) -> Outcome {
    let stream = t.stream("order-1");
    let event = t.event("placed").with_metadata(r#"{"actor": "me"}"#);
    let event = EventData { data: r#"{"total":  12}"#.into(), ..event };
    let receipt = t.append(to(&stream, [event.clone()])).await?;
    let stored = t.of(&stream).await?;
    same("the event", stored[0].to_data(), event);
    same("its stream", stored[0].stream(), &stream);
    same("its position", stored[0].position(), receipt.position);
    Ok(())
}

pub(crate) async fn binary_data_and_metadata_come_back_unchanged(t: Trial) -> Outcome {
    let stream = t.stream("blob-1");
    let bytes: Bytes = (0..=255u8).cycle().take(1000).collect::<Vec<_>>().into();
    let event = EventData {
        content_type: ContentType::Binary,
        data: bytes.clone(),
        ..t.event("kept").with_metadata(bytes)
    };
    t.append(to(&stream, [event.clone()])).await?;
    same("the event", t.of(&stream).await?[0].to_data(), event);
    Ok(())
}

pub(crate) async fn json_is_neither_checked_nor_reformatted(t: Trial) -> Outcome {
    let stream = t.stream("odd-1");
    let odd = ["{ \"a\" : 1e0 }\n", "{", "\u{0}", "{\"a\":1,\"a\":2}"];
    let events = odd.map(|data| EventData { data: data.into(), ..t.event("said") });
    t.append(to(&stream, events)).await?;
    let stored = t.of(&stream).await?;
    let data: Vec<&[u8]> = stored.iter().map(RecordedEvent::data).collect();
    same("the data", data, odd.map(str::as_bytes).to_vec());
    Ok(())
}

pub(crate) async fn empty_data_and_metadata_stay_empty(t: Trial) -> Outcome {
    let stream = t.stream("empty-1");
    let event = EventData { data: Bytes::new(), ..t.event("nothing") };
    t.append(to(&stream, [event])).await?;
    let stored = t.of(&stream).await?;
    same("data and metadata", (stored[0].data(), stored[0].metadata()), (&[][..], &[][..]));
    Ok(())
}

pub(crate) async fn tags_come_back_in_their_order_and_a_key_may_repeat(t: Trial) -> Outcome {
    let stream = t.stream("tagged-1");
    let event = t.tagged("marked", &["seat:2", "seat:1", "plain", "seat:2:b"]);
    t.append(to(&stream, [event.clone()])).await?;
    same("the tags", t.of(&stream).await?[0].tags(), &event.tags[..]);
    Ok(())
}

pub(crate) async fn a_large_event_comes_back_whole(t: Trial) -> Outcome {
    let stream = t.stream("large-1");
    let size = t.limits().event_bytes_max.min(1 << 20);
    let data: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let event = EventData { data: data.into(), ..t.event("grew") };
    t.append(to(&stream, [event.clone()])).await?;
    assert!(t.of(&stream).await?[0].data() == event.data, "a MiB of data came back changed");
    Ok(())
}

pub(crate) async fn revisions_count_from_0_without_gaps(t: Trial) -> Outcome {
    let (stream, other) = (t.stream("count-1"), t.stream("count-2"));
    for count in [1, 3, 2] {
        t.put(&stream, count).await?;
        t.put(&other, 1).await?;
    }
    same("revisions", revisions(&t.of(&stream).await?), (0..6).collect());
    same("revisions of the other", revisions(&t.of(&other).await?), (0..3).collect());
    Ok(())
}

pub(crate) async fn positions_ascend_over_all_streams(t: Trial) -> Outcome {
    let before = t.head().await?;
    let mut told = Vec::new();
    for stream in ["a-1", "b-1", "a-1", "c-1"] {
        told.push(t.put(&t.stream(stream), 1).await?.position);
    }
    assert!(told.is_sorted_by(|a, b| a < b), "positions ascend: {told:?}");
    same("positions in the order of the store", positions(&t.since(before).await?), told);
    Ok(())
}

pub(crate) async fn an_empty_store_has_head_0_and_no_event(t: Trial) -> Outcome {
    same("the head", t.store().head().await?, Position::START);
    for direction in [Direction::Forward, Direction::Backward] {
        let seen = t.read(Read { direction, ..Read::query(Query::All) }).await?;
        same("the read", (seen.head, seen.events), (Position::START, Vec::new()));
    }
    Ok(())
}

pub(crate) async fn positions_have_no_gaps_and_begin_at_1(t: Trial) -> Outcome {
    t.put(&t.stream("a-1"), 3).await?;
    t.put(&t.stream("b-1"), 1).await?;
    // What is refused takes no position.
    let refused = to(&t.stream("a-1"), t.events(2)).checking(no_stream(&t.stream("a-1")));
    same("a refused append", t.append(refused).await, conflict(0, live(2)));
    t.put(&t.stream("a-1"), 2).await?;
    let stored = t.read(Read::query(Query::All)).await?.events;
    same("positions", positions(&stored), (1..=6).map(Position).collect());
    Ok(())
}

pub(crate) async fn the_events_of_an_append_stand_in_the_order_given(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("many-1"), t.head().await?);
    let count = t.limits().append_events_max.min(1000);
    let append = to(&stream, t.events(count));
    let given = ids_of(&append);
    t.append(append).await?;
    same("ids in the stream", ids(&t.of(&stream).await?), given.clone());
    same("ids in the store", ids(&t.since(before).await?), given);
    Ok(())
}

pub(crate) async fn an_append_may_write_several_streams(t: Trial) -> Outcome {
    let (a, b, before) = (t.stream("a-1"), t.stream("b-1"), t.head().await?);
    t.put(&b, 2).await?;
    let append = across([(&a, t.event("x")), (&b, t.event("y"))]);
    let given = ids_of(&append);
    let receipt = t.append(append).await?;
    same("the receipt", receipt.streams, vec![written(&a, 0, 0), written(&b, 2, 2)]);
    same("the store's order", ids(&t.since(before).await?)[2..].to_vec(), given);
    Ok(())
}

pub(crate) async fn without_a_check_any_stream_takes_events(t: Trial) -> Outcome {
    let stream = t.stream("any-1");
    same("absent", t.put(&stream, 1).await?.streams, vec![written(&stream, 0, 0)]);
    same("live", t.put(&stream, 1).await?.streams, vec![written(&stream, 1, 1)]);
    t.change(&stream, Change::Delete).await?;
    same("deleted", t.put(&stream, 1).await?.streams, vec![written(&stream, 2, 2)]);
    Ok(())
}

pub(crate) async fn a_refused_append_writes_nothing_to_any_stream(t: Trial) -> Outcome {
    let (a, b, guard) = (t.stream("a-1"), t.stream("b-1"), t.stream("guard-1"));
    t.put(&a, 1).await?;
    let before = t.head().await?;
    let append = across([(&a, t.event("x")), (&b, t.event("y")), (&a, t.event("z"))]);
    let refused = t.append(append.checking(no_stream(&b)).checking(exists(&guard))).await;
    same("the append", refused, conflict(1, StreamState::Absent));
    t.nothing_since(before).await?;
    same("the stream", t.state(&a).await?, live(0));
    same("the other", t.state(&b).await?, StreamState::Absent);
    Ok(())
}

pub(crate) async fn one_id_in_two_streams_is_two_events(t: Trial) -> Outcome {
    let (a, b, event) = (t.stream("a-1"), t.stream("b-1"), t.event("twin"));
    t.append(to(&a, [event.clone()])).await?;
    let second = t.append(to(&b, [event.clone()])).await?;
    assert!(!second.replayed, "another stream's event is no replay: {second:?}");
    same("the second", ids(&t.of(&b).await?), vec![event.id]);
    Ok(())
}

pub(crate) async fn one_id_for_two_streams_of_an_append_is_two_events(t: Trial) -> Outcome {
    let (a, b, event) = (t.stream("a-1"), t.stream("b-1"), t.event("twin"));
    t.append(across([(&a, event.clone()), (&b, event.clone())])).await?;
    same("the first", ids(&t.of(&a).await?), vec![event.id]);
    same("the second", ids(&t.of(&b).await?), vec![event.id]);
    Ok(())
}

pub(crate) async fn a_user_may_write_a_system_stream(t: Trial) -> Outcome {
    let stream = StreamName::new(&format!("${}", t.name("own-1")))?;
    let append = to(&stream, t.events(2));
    let given = ids_of(&append);
    t.append(append).await?;
    same("its events", ids(&t.of(&stream).await?), given);
    Ok(())
}

pub(crate) async fn appends_from_many_threads_all_land_once(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("busy-1"), t.head().await?);
    let mut given = Vec::new();
    let mut jobs = Vec::new();
    for _ in 0..4 {
        let appends: Vec<_> = (0..25).map(|_| to(&stream, t.events(2))).collect();
        given.extend(appends.iter().flat_map(ids_of));
        let store = t.store().clone();
        jobs.push(t.spawn(async move {
            for append in appends {
                store.append(append).await?;
            }
            Ok::<(), AppendError>(())
        }));
    }
    for job in jobs {
        job.join().await??;
    }
    let stored = t.of(&stream).await?;
    same("revisions", revisions(&stored), (0..200).collect());
    let mut landed = ids(&stored);
    landed.sort_unstable();
    given.sort_unstable();
    same("ids, sorted", landed, given);
    let pairs = ids(&t.since(before).await?);
    same("the store holds as many", pairs.len(), 200);
    Ok(())
}
