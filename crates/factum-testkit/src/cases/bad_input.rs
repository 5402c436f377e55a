//! Odd and bad input: taken as it is, or refused with nothing written.

use super::kit::*;
use factum_core::name::NAME_BYTES_MAX;

/// A name of this run's own with exactly so many bytes.
fn long(t: &Trial, bytes: usize) -> String {
    let own = t.name("");
    format!("{own}{}", "n".repeat(bytes - own.len()))
}

/// Names that look like paths, patterns, numbers, or like nothing.
const ODD: &[&str] = &[
    "/",
    "//",
    ".",
    "..",
    "../..",
    "a/b",
    "a\\b",
    "-",
    "--1",
    " ",
    "\t",
    "\n",
    "%00",
    "%2e%2e",
    "*",
    "?",
    "a-",
    "$",
    "$$a",
    "null",
    "0",
    "-1",
    "é",
    "e\u{301}",
    "\u{202e}x",
    "😀",
    "'",
    "\"",
    "{",
    "#",
    "@",
    "\u{feff}",
    "\u{1}",
];

pub(crate) async fn a_stream_name_has_1_to_1024_bytes(t: Trial) -> Outcome {
    for bytes in [32, 255, 256, 1023, 1024] {
        let stream = StreamName::new(&long(&t, bytes))?;
        t.put(&stream, 1).await?;
        same("its event", t.of(&stream).await?[0].stream(), &stream);
    }
    // One byte is a name too; others may have used it.
    let short = StreamName::new("n")?;
    let append = to(&short, t.events(1));
    let given = ids_of(&append)[0];
    t.append(append).await?;
    assert!(ids(&t.of(&short).await?).contains(&given), "an event in a stream of one byte");
    for bad in [String::new(), long(&t, NAME_BYTES_MAX + 1)] {
        assert!(StreamName::new(&bad).is_err(), "{} bytes", bad.len());
    }
    Ok(())
}

pub(crate) async fn the_longest_stream_has_metadata_and_can_be_deleted(t: Trial) -> Outcome {
    let stream = StreamName::new(&long(&t, NAME_BYTES_MAX))?;
    t.put(&stream, 3).await?;
    t.set_metadata(&stream, r#"{"$maxCount":2}"#).await?;
    same("visible", revisions(&t.of(&stream).await?), vec![1, 2]);
    t.change(&stream, Change::Delete).await?;
    same("the state", t.state(&stream).await?, deleted(2));
    same("of its metadata", t.state(&stream.metadata_stream()).await?, live(1));
    Ok(())
}

pub(crate) async fn an_event_type_has_1_to_1024_bytes(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let sizes = [32, 255, 256, 1024];
    for bytes in sizes {
        let event_type = EventType::new(&long(&t, bytes))?;
        t.append(to(&stream, [EventData { event_type, ..t.event("x") }])).await?;
    }
    let short = EventType::new("n")?;
    t.append(to(&stream, [EventData { event_type: short, ..t.event("x") }])).await?;
    let stored = t.of(&stream).await?;
    let told: Vec<_> = stored.iter().map(|event| event.event_type().as_str().len()).collect();
    same("bytes of the types", told, vec![32, 255, 256, 1024, 1]);
    assert!(EventType::new("").is_err() && EventType::new(&long(&t, 1025)).is_err());
    Ok(())
}

pub(crate) async fn a_tag_has_1_to_1024_bytes(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let tags = ["n".to_owned(), long(&t, 255), long(&t, 256), long(&t, 1024)];
    let tags = tags.iter().map(|tag| Tag::new(tag)).collect::<Result<Vec<_>, _>>()?;
    t.append(to(&stream, [t.event("x").with_tags(tags.clone())])).await?;
    same("tags", t.of(&stream).await?[0].tags(), &tags[..]);
    let found = t.read(Read::query(Query::tags(tags))).await?;
    same("by its tags", found.events.len(), 1);
    assert!(Tag::new("").is_err() && Tag::new(&long(&t, 1025)).is_err());
    Ok(())
}

pub(crate) async fn a_name_with_nul_is_refused(_: Trial) -> Outcome {
    for bad in ["\0", "a\0", "a\0b"] {
        let at = bad.find('\0').unwrap_or_default();
        same("stream", StreamName::new(bad), Err(InvalidName::Nul { what: "stream name", at }));
        same("type", EventType::new(bad), Err(InvalidName::Nul { what: "event type", at }));
        same("tag", Tag::new(bad), Err(InvalidName::Nul { what: "tag", at }));
    }
    Ok(())
}

pub(crate) async fn odd_streams_are_streams_each_of_its_own(t: Trial) -> Outcome {
    for (count, name) in (1..).zip(ODD) {
        t.put(&t.stream(name), count).await?;
    }
    for (count, name) in (1..).zip(ODD) {
        let stream = t.stream(name);
        let stored = t.of(&stream).await?;
        same(&format!("events of {name:?}"), revisions(&stored), (0..count as u64).collect());
        assert!(stored.iter().all(|event| *event.stream() == stream), "{name:?}");
    }
    Ok(())
}

pub(crate) async fn odd_types_and_tags_are_kept_and_found(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for name in ODD {
        t.append(to(&stream, [t.tagged(name, &[name])])).await?;
    }
    for (revision, name) in (0..).zip(ODD) {
        let by_type = t.read(Read::query(Query::types([t.event_type(name)]))).await?;
        same(&format!("by type {name:?}"), revisions(&by_type.events), vec![revision]);
        let by_tag = t.read(Read::query(Query::tag(t.tag(name)))).await?;
        same(&format!("by tag {name:?}"), revisions(&by_tag.events), vec![revision]);
    }
    Ok(())
}

pub(crate) async fn system_names_are_no_other_streams(t: Trial) -> Outcome {
    let name = t.name("a-1");
    let user = StreamName::new(&name)?;
    let system = StreamName::new(&format!("${name}"))?;
    t.put(&user, 1).await?;
    t.put(&system, 2).await?;
    t.set_metadata(&system, r#"{"$maxCount":1}"#).await?;
    same("the user's", revisions(&t.of(&user).await?), vec![0]);
    same("the system's", revisions(&t.of(&system).await?), vec![1]);
    same("metadata", t.state(&StreamName::new(&format!("$$${name}"))?).await?, live(0));
    for bad in ["$$".to_owned(), format!("$$$${name}")] {
        assert!(StreamName::new(&bad).is_err(), "{bad} is not a stream");
    }
    Ok(())
}

pub(crate) async fn a_nil_id_is_invalid(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let nil = EventData { id: Uuid::nil(), ..t.event("x") };
    let refused = t.append(to(&stream, [t.event("x"), nil])).await;
    same("the append", refused, Err(Invalid::NilId { index: 1 }.into()));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn any_other_id_will_do(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let odd =
        [Uuid::from_u128(1), Uuid::max(), Uuid::from_u128(1 << 127), Uuid::from_u128(1 << 64)];
    t.append(to(&stream, odd.map(|id| EventData { id, ..t.event("x") }))).await?;
    same("ids", ids(&t.of(&stream).await?), odd.to_vec());
    Ok(())
}

pub(crate) async fn an_id_twice_in_a_stream_is_invalid(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let event = t.event("x");
    let id = event.id;
    let refused = t.append(to(&stream, [event.clone(), t.event("y"), event])).await;
    same("the append", refused, Err(Invalid::DuplicateId { id, stream }.into()));
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn a_query_that_restricts_nothing_is_invalid(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let good = item(&[t.event_type("x")], &[]);
    let bad = [
        Query::AnyOf(Vec::new()),
        Query::AnyOf(vec![Item::default()]),
        Query::AnyOf(vec![good, Item::default()]),
    ];
    for query in bad {
        let check = no_match(query.clone(), Position::START);
        let refused = t.append(to(&stream, t.events(1)).checking(check)).await;
        invalid(refused, |why| matches!(why, Invalid::Query));
        let refused = t.read(Read::query(query.clone())).await.err();
        same("the read", refused, Some(ReadError::Invalid(Invalid::Query)));
        let refused = t.follow(Select::Query(query), None).await.err();
        same("the subscription", refused, Some(ReadError::Invalid(Invalid::Query)));
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn deep_json_in_an_event_is_bytes(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let depth = 100_000.min(t.limits().metadata_bytes_max / 2);
    let deep = "[".repeat(depth) + &"]".repeat(depth);
    let event = EventData { data: deep.clone().into(), ..t.event("deep").with_metadata(deep) };
    t.append(to(&stream, [event.clone()])).await?;
    assert!(t.of(&stream).await?[0].to_data() == event, "deep JSON came back changed");
    Ok(())
}

pub(crate) async fn deep_json_in_a_streams_metadata_is_refused(t: Trial) -> Outcome {
    let (stream, before) = (t.stream("a-1"), t.head().await?);
    let depth = 100_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{{\"a\":{}1{}}}", open.repeat(depth), close.repeat(depth));
        let event_type = EventType::new(system::METADATA)?;
        let event = EventData { event_type, data: deep.into(), ..t.event("x") };
        let refused = t.append(to(&stream.metadata_stream(), [event])).await;
        invalid(refused, |why| matches!(why, Invalid::Metadata { .. }));
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn ten_thousand_keys_of_metadata_are_kept(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let keys: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\":{n}")).collect();
    t.set_metadata(&stream, &format!("{{{}}}", keys.join(","))).await?;
    same("keys", t.store().metadata(&stream).await?.other.len(), 10_000);
    Ok(())
}

pub(crate) async fn the_largest_numbers_break_no_read(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let last = t.put(&stream, 3).await?.position;
    for far in [u64::MAX, u64::MAX - 1, i64::MAX as u64, i64::MAX as u64 + 1] {
        for select in [Select::Stream(stream.clone()), all()] {
            let read = Read { from: Some(far), limit: Some(far), ..Read::select(select) };
            same("forward", t.read(read.clone()).await?.events, Vec::new());
            let read = Read { direction: Direction::Backward, limit: Some(1), ..read };
            let first = t.read(read).await?.events.pop().map(|event| event.position());
            assert!(first >= Some(last), "backward begins at the end, not at {first:?}");
        }
    }
    Ok(())
}

pub(crate) async fn the_largest_numbers_break_no_subscription(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    for far in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        for select in [Select::Stream(stream.clone()), all()] {
            let mut feed = t.follow(select, Some(far)).await?;
            let batch = poll_once(&mut std::pin::pin!(next_batch(feed.batches())).as_mut()).await;
            let events = match batch {
                std::task::Poll::Ready(Some(batch)) => batch?.events,
                _ => Vec::new(),
            };
            same("events", events, Vec::new());
        }
    }
    Ok(())
}

pub(crate) async fn the_largest_numbers_break_no_check(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 1).await?;
    for far in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        let refused = t.append(to(&stream, t.events(1)).checking(at(&stream, far))).await;
        same("a number", refused, conflict(0, live(0)));
        let refused = t.change_if(&stream, Change::Delete, Expected::At(Revision(far))).await;
        same("a delete", refused, conflict(0, live(0)));
    }
    Ok(())
}

pub(crate) async fn what_is_refused_says_cause_and_cure(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let nil = EventData { id: Uuid::nil(), ..t.event("x") };
    let errors = [
        t.append(Append::default()).await,
        t.append(to(&stream, [nil])).await,
        t.append(to(&stream, t.events(1)).checking(exists(&stream))).await,
        t.put(&stream.metadata_stream(), 1).await,
    ];
    for error in errors {
        let text = error.err().map(|error| error.to_string()).unwrap_or_default();
        // Long enough to be a sentence: what it says is the store's own affair.
        assert!(text.contains(' ') && text.len() > 20, "an error that tells little: {text:?}");
    }
    Ok(())
}
