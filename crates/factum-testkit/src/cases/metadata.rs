//! Metadata of streams: what it says, and what it hides.

use super::kit::*;
use factum_core::StreamMetadata as Metadata;

const SECOND: i64 = 1_000_000_000;
const NOON: i64 = 1_800_000_000 * SECOND;

/// The revisions that a read of the stream shows, forwards; backwards must show the same.
async fn visible(t: &Trial, stream: &StreamName) -> Result<Vec<u64>, Failure> {
    let forward = revisions(&t.of(stream).await?);
    let backward = Read { direction: Direction::Backward, ..Read::stream(stream.clone()) };
    let mut backward = revisions(&t.read(backward).await?.events);
    backward.reverse();
    same("visible backwards", backward, forward.clone());
    Ok(forward)
}

/// An append of a metadata event by hand.
fn by_hand(t: &Trial, stream: &StreamName, json: &str) -> Append {
    let event_type = EventType::new(system::METADATA).expect("a valid type");
    let event = EventData { event_type, data: json.to_owned().into(), ..t.event("x") };
    to(&stream.metadata_stream(), [event])
}

pub(crate) async fn of_an_absent_stream_is_empty(t: Trial) -> Outcome {
    same("metadata", t.store().metadata(&t.stream("a-1")).await?, Metadata::default());
    Ok(())
}

pub(crate) async fn of_a_metadata_stream_is_one_event(t: Trial) -> Outcome {
    let stream = t.stream("a-1").metadata_stream();
    same("metadata", t.store().metadata(&stream).await?.max_count, Some(1));
    Ok(())
}

pub(crate) async fn what_is_set_is_told(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let set = Metadata {
        truncate_before: Some(1),
        max_count: Some(100),
        max_age_s: Some(86_400),
        other: [("team".to_owned(), "[\"a\"]".to_owned())].into(),
    };
    t.change(&stream, Change::SetMetadata(set.clone())).await?;
    same("metadata", t.store().metadata(&stream).await?, set);
    Ok(())
}

pub(crate) async fn setting_it_replaces_all_of_it(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.set_metadata(&stream, r#"{"$maxCount":3,"team":"a"}"#).await?;
    t.set_metadata(&stream, r#"{"$tb":1}"#).await?;
    let expect = Metadata { truncate_before: Some(1), ..Metadata::default() };
    same("metadata", t.store().metadata(&stream).await?, expect);
    t.set_metadata(&stream, "{}").await?;
    same("metadata", t.store().metadata(&stream).await?, Metadata::default());
    Ok(())
}

pub(crate) async fn unknown_keys_are_kept_as_written(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let json = r#"{"$acl":{"$r":["$all"],"$w":null},"$cacheControl":7,"ke\"y":[1e3,"\u00e9"]}"#;
    t.set_metadata(&stream, json).await?;
    let told = t.store().metadata(&stream).await?;
    same("metadata", told.clone(), Metadata::from_json(json.as_bytes())?);
    same("a value", told.other["ke\"y"].as_str(), r#"[1e3,"\u00e9"]"#);
    Ok(())
}

pub(crate) async fn an_event_appended_by_hand_is_metadata_too(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 5).await?;
    t.append(by_hand(&t, &stream, r#" { "$maxCount" : 2 } "#)).await?;
    same("metadata", t.store().metadata(&stream).await?.max_count, Some(2));
    same("visible", visible(&t, &stream).await?, vec![3, 4]);
    let stored = t.of(&stream.metadata_stream()).await?;
    same("the event, unchanged", stored[0].data(), br#" { "$maxCount" : 2 } "#.as_slice());
    Ok(())
}

pub(crate) async fn a_metadata_stream_shows_its_last_event(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for count in 1..=3 {
        t.set_metadata(&stream, &format!("{{\"$maxCount\":{count}}}")).await?;
        same("visible", visible(&t, &stream.metadata_stream()).await?, vec![count - 1]);
    }
    let last = &t.of(&stream.metadata_stream()).await?[0];
    same("its type", last.event_type().as_str(), system::METADATA);
    same("its data", Metadata::from_json(last.data())?.max_count, Some(3));
    Ok(())
}

pub(crate) async fn setting_it_creates_no_stream(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.set_metadata(&stream, r#"{"$maxCount":2}"#).await?;
    same("the state", t.state(&stream).await?, StreamState::Absent);
    t.append(to(&stream, t.events(3)).checking(no_stream(&stream))).await?;
    same("visible", visible(&t, &stream).await?, vec![1, 2]);
    Ok(())
}

pub(crate) async fn max_count_shows_the_last_events(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 4).await?;
    t.set_metadata(&stream, r#"{"$maxCount":3}"#).await?;
    same("visible", visible(&t, &stream).await?, vec![1, 2, 3]);
    t.put(&stream, 2).await?;
    same("visible", visible(&t, &stream).await?, vec![3, 4, 5]);
    t.set_metadata(&stream, r#"{"$maxCount":100}"#).await?;
    same("visible", visible(&t, &stream).await?, (0..6).collect());
    Ok(())
}

pub(crate) async fn max_count_1_shows_the_last_event(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.set_metadata(&stream, r#"{"$maxCount":1}"#).await?;
    for last in 0..3 {
        t.put(&stream, 1).await?;
        same("visible", visible(&t, &stream).await?, vec![last]);
    }
    Ok(())
}

pub(crate) async fn truncate_before_shows_from_there_on(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 4).await?;
    let steps = [(0, vec![0, 1, 2, 3]), (2, vec![2, 3]), (3, vec![3]), (4, vec![]), (99, vec![])];
    for (before, expect) in steps {
        t.set_metadata(&stream, &format!("{{\"$tb\":{before}}}")).await?;
        same(&format!("visible, $tb {before}"), visible(&t, &stream).await?, expect);
    }
    Ok(())
}

pub(crate) async fn a_stream_with_all_hidden_is_live(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 2).await?;
    t.set_metadata(&stream, r#"{"$tb":2}"#).await?;
    same("the state", t.state(&stream).await?, live(1));
    let refused = t.append(to(&stream, t.events(1)).checking(no_stream(&stream))).await;
    same("no stream", refused, conflict(0, live(1)));
    t.append(to(&stream, t.events(1)).checking(exists(&stream))).await?;
    same("visible", visible(&t, &stream).await?, vec![2]);
    Ok(())
}

pub(crate) async fn the_stricter_of_two_hides(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 6).await?;
    t.set_metadata(&stream, r#"{"$tb":1,"$maxCount":2}"#).await?;
    same("by count", visible(&t, &stream).await?, vec![4, 5]);
    t.set_metadata(&stream, r#"{"$tb":5,"$maxCount":2}"#).await?;
    same("by $tb", visible(&t, &stream).await?, vec![5]);
    Ok(())
}

pub(crate) async fn a_read_from_a_hidden_revision_begins_at_the_first_visible(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 6).await?;
    t.set_metadata(&stream, r#"{"$tb":3}"#).await?;
    let read = Read { from: Some(1), limit: Some(2), ..Read::stream(stream.clone()) };
    same("forward", revisions(&t.read(read.clone()).await?.events), vec![3, 4]);
    let back = Read { direction: Direction::Backward, ..read };
    same("backward", revisions(&t.read(back.clone()).await?.events), vec![]);
    let back = Read { from: Some(4), limit: None, ..back };
    same("backward", revisions(&t.read(back).await?.events), vec![4, 3]);
    Ok(())
}

pub(crate) async fn max_age_hides_what_is_older(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for seconds in [0, 10, 20] {
        t.set_clock(Timestamp(NOON + seconds * SECOND));
        t.put(&stream, 1).await?;
    }
    t.set_metadata(&stream, r#"{"$maxAge":15}"#).await?;
    same("at 20 s", visible(&t, &stream).await?, vec![1, 2]);
    let steps = [
        (25 * SECOND, vec![1, 2]),
        (25 * SECOND + 1, vec![2]),
        (35 * SECOND, vec![2]),
        (36 * SECOND, vec![]),
    ];
    for (nanos, expect) in steps {
        t.set_clock(Timestamp(NOON + nanos));
        same(&format!("after {nanos} ns"), visible(&t, &stream).await?, expect);
    }
    same("the state", t.state(&stream).await?, live(2));
    Ok(())
}

pub(crate) async fn max_age_hides_with_time_alone(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    t.set_metadata(&stream, r#"{"$maxAge":1}"#).await?;
    if t.can(Need::Clock) {
        t.set_clock(Timestamp(NOON));
    }
    let expired = async {
        while !t.of(&stream).await?.is_empty() {
            within(std::time::Duration::from_millis(50), std::future::pending::<()>()).await;
        }
        Ok::<(), ReadError>(())
    };
    t.patiently("events older than a second to be hidden", expired).await??;
    Ok(())
}

pub(crate) async fn a_huge_max_age_hides_nothing(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 2).await?;
    t.set_metadata(&stream, &format!("{{\"$maxAge\":{}}}", i64::MAX)).await?;
    same("visible", visible(&t, &stream).await?, vec![0, 1]);
    Ok(())
}

pub(crate) async fn hidden_events_stay_in_queries_and_checks(t: Trial) -> Outcome {
    let (stream, query) = (t.stream("a-1"), Query::types([t.event_type("happened")]));
    let receipt = t.put(&stream, 4).await?;
    t.set_metadata(&stream, r#"{"$maxCount":1}"#).await?;
    let seen = t.read(Read::query(query.clone())).await?;
    same("by query", revisions(&seen.events), (0..4).collect());
    let last_hidden = seen.events[2].position();
    let witness = to(&t.stream("w-1"), [t.event("tried")]);
    let first = seen.events[0].position();
    let refused =
        t.append(witness.clone().checking(no_match(query.clone(), Position::START))).await;
    same("a check from 0", refused, conflict_at(0, first));
    let refused = t.append(witness.clone().checking(no_match(query.clone(), last_hidden))).await;
    same("a check after it", refused, conflict_at(0, receipt.position));
    Ok(())
}

pub(crate) async fn an_expectation_is_about_the_metadata_stream(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    let set = || Change::SetMetadata(Metadata { max_count: Some(9), ..Metadata::default() });
    let refused = t.change_if(&stream, set(), Expected::At(Revision(2))).await;
    same("the stream's number", refused, conflict(0, StreamState::Absent));
    t.change_if(&stream, set(), Expected::NoStream).await?;
    same("again", t.change_if(&stream, set(), Expected::NoStream).await, conflict(0, live(0)));
    t.change_if(&stream, set(), Expected::At(Revision(0))).await?;
    t.change_if(&stream, set(), Expected::Exists).await?;
    Ok(())
}

pub(crate) async fn values_without_a_meaning_are_refused(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let bad = [
        Metadata { max_count: Some(0), ..Metadata::default() },
        Metadata { max_age_s: Some(0), ..Metadata::default() },
        Metadata { truncate_before: Some(u64::MAX), ..Metadata::default() },
        Metadata { max_count: Some(u64::MAX), ..Metadata::default() },
        Metadata { other: [("a".into(), "}{".into())].into(), ..Metadata::default() },
        Metadata { other: [("a".into(), String::new())].into(), ..Metadata::default() },
        Metadata { other: [("a".into(), "1,\"$tb\":7".into())].into(), ..Metadata::default() },
    ];
    for metadata in bad {
        let refused = t.change(&stream, Change::SetMetadata(metadata)).await;
        invalid(refused, |why| matches!(why, Invalid::Metadata { .. }));
    }
    t.nothing_since(before).await?;
    same("metadata", t.store().metadata(&stream).await?, Metadata::default());
    Ok(())
}

pub(crate) async fn an_event_by_hand_without_a_meaning_is_refused(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let bad = [
        "[]",
        "{",
        "null",
        "\u{0}",
        r#"{"$maxCount":0}"#,
        r#"{"$maxCount":"3"}"#,
        r#"{"$maxAge":-1}"#,
        r#"{"$maxAge":1.5}"#,
        r#"{"$tb":-1}"#,
        r#"{"$tb":9223372036854775808}"#,
    ];
    for json in bad {
        let refused = t.append(by_hand(&t, &stream, json)).await;
        invalid(refused, |why| matches!(why, Invalid::Metadata { .. }));
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_metadata_stream_takes_nothing_else(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let refused = t.put(&stream.metadata_stream(), 1).await;
    invalid(refused, |why| matches!(why, Invalid::MetadataType { .. }));
    let mut elsewhere = by_hand(&t, &stream, "{}");
    elsewhere.events[0].0 = stream;
    let refused = t.append(elsewhere).await;
    invalid(refused, |why| matches!(why, Invalid::MetadataType { .. }));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_metadata_stream_is_not_changed_itself(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let before = t.set_metadata(&stream, r#"{"$maxCount":5}"#).await?.position;
    let changes = [Change::Delete, Change::Tombstone, Change::SetMetadata(Metadata::default())];
    for change in changes {
        let refused = t.change(&stream.metadata_stream(), change).await;
        invalid(refused, |why| matches!(why, Invalid::MetadataStream { .. }));
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn events_and_metadata_stand_in_one_append(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut append = by_hand(&t, &stream, r#"{"$maxCount":1}"#);
    append.events.extend(to(&stream, t.events(2)).events);
    t.append(append).await?;
    same("visible", visible(&t, &stream).await?, vec![1]);
    Ok(())
}
