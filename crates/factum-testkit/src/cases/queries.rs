//! Reads by query: each field, several fields, several items; each of them both ways, from any
//! point, with any limit.

use super::{
    history::{self, Fact, With, read_every_way},
    kit::*,
};

const UNTAGGED: With = With { tags: false, times: false };
const TAGGED: With = With { tags: true, times: false };

/// Writes the history, and reads the query every way; the predicate says what it must select.
async fn selects(t: &Trial, with: With, query: Query, is_hit: fn(&Fact) -> bool) -> Outcome {
    let mut facts = history::write(t, with).await?;
    facts.retain(is_hit);
    assert!((1..30).contains(&facts.len()), "a query that tells nothing: {}", facts.len());
    read_every_way(t, &Select::Query(query), AsOf::Now, &facts).await
}

fn names(t: &Trial, names: &[&str]) -> Vec<std::sync::Arc<str>> {
    names.iter().map(|name| t.name(name).into()).collect()
}

pub(crate) async fn by_one_type(t: Trial) -> Outcome {
    let query = Query::types([t.event_type("seat")]);
    selects(&t, UNTAGGED, query, |f| f.event_type == "seat").await
}

pub(crate) async fn by_any_of_several_types(t: Trial) -> Outcome {
    let query = Query::types(["seat.freed", "absent", "seat"].map(|name| t.event_type(name)));
    selects(&t, UNTAGGED, query, |f| ["seat.freed", "seat"].contains(&f.event_type)).await
}

pub(crate) async fn by_one_tag(t: Trial) -> Outcome {
    let query = Query::tag(t.tag("k:2"));
    selects(&t, TAGGED, query, |f| f.tags.contains(&"k:2")).await
}

pub(crate) async fn by_a_tag_that_begins_like_another(t: Trial) -> Outcome {
    selects(&t, TAGGED, Query::tag(t.tag("k")), |f| f.tags.contains(&"k")).await
}

pub(crate) async fn by_all_of_several_tags(t: Trial) -> Outcome {
    let query = Query::tags([t.tag("k:1"), t.tag("k:2")]);
    selects(&t, TAGGED, query, |f| f.tags.contains(&"k:1") && f.tags.contains(&"k:2")).await
}

pub(crate) async fn by_category(t: Trial) -> Outcome {
    let query = Query::category(&t.name("ab"));
    selects(&t, UNTAGGED, query, |f| ["ab-1", "ab-2", "ab"].contains(&f.stream)).await
}

pub(crate) async fn by_any_of_several_categories(t: Trial) -> Outcome {
    let item = Item { categories: names(&t, &["abc", "x", "x-1"]), ..Item::default() };
    selects(&t, UNTAGGED, item.into(), |f| ["abc-1", "x-1-2"].contains(&f.stream)).await
}

pub(crate) async fn by_a_prefix_of_the_stream(t: Trial) -> Outcome {
    let item = Item { stream_prefixes: names(&t, &["ab-", "x"]), ..Item::default() };
    selects(&t, UNTAGGED, item.into(), |f| f.stream.starts_with("ab-") || f.stream == "x-1-2").await
}

pub(crate) async fn by_a_prefix_of_the_type(t: Trial) -> Outcome {
    let item = Item { type_prefixes: names(&t, &["seat.", "room"]), ..Item::default() };
    selects(&t, UNTAGGED, item.into(), |f| f.event_type != "seat").await
}

pub(crate) async fn by_a_prefix_that_is_the_whole_name(t: Trial) -> Outcome {
    let item = Item {
        stream_prefixes: names(&t, &["ab-1"]),
        type_prefixes: names(&t, &["seat"]),
        ..Item::default()
    };
    selects(&t, UNTAGGED, item.into(), |f| f.stream == "ab-1" && f.event_type.starts_with("seat"))
        .await
}

pub(crate) async fn by_type_and_tag(t: Trial) -> Outcome {
    let query = item(&[t.event_type("seat")], &[t.tag("k:1")]).into();
    selects(&t, TAGGED, query, |f| f.event_type == "seat" && f.tags.contains(&"k:1")).await
}

pub(crate) async fn by_all_fields_at_once(t: Trial) -> Outcome {
    let item = Item {
        types: vec![t.event_type("seat.booked"), t.event_type("seat.freed")],
        tags: vec![t.tag("k:1")],
        categories: names(&t, &["ab", "abc"]),
        stream_prefixes: names(&t, &["ab-"]),
        type_prefixes: names(&t, &["seat.b", "seat.f"]),
    };
    let is_hit = |f: &Fact| {
        f.event_type.starts_with("seat.") && f.tags.contains(&"k:1") && f.stream.starts_with("ab-")
    };
    selects(&t, TAGGED, item.into(), is_hit).await
}

pub(crate) async fn by_any_of_several_items_each_event_once(t: Trial) -> Outcome {
    let items = [
        item(&[t.event_type("seat")], &[]),
        item(&[], &[t.tag("k:3")]),
        item(&[t.event_type("seat")], &[t.tag("k:3")]),
        Item { categories: names(&t, &["abc"]), ..Item::default() },
    ];
    let is_hit =
        |f: &Fact| f.event_type == "seat" || f.tags.contains(&"k:3") || f.stream == "abc-1";
    selects(&t, TAGGED, Query::AnyOf(items.to_vec()), is_hit).await
}

pub(crate) async fn without_a_match_the_head_is_told_all_the_same(t: Trial) -> Outcome {
    let receipt = t.put(&t.stream("a-1"), 3).await?;
    for direction in [Direction::Forward, Direction::Backward] {
        let query = Query::types([t.event_type("absent")]);
        let seen = t.read(Read { direction, ..Read::query(query) }).await?;
        same("events", seen.events, Vec::new());
        assert!(seen.head >= receipt.position, "the head {}", seen.head);
    }
    Ok(())
}

pub(crate) async fn a_query_has_no_stream_state(t: Trial) -> Outcome {
    t.put(&t.stream("a-1"), 1).await?;
    let query = Query::types([t.event_type("happened")]);
    same("the state", t.read(Read::query(query)).await?.state, None);
    Ok(())
}

pub(crate) async fn a_category_without_a_name_is_one_too(t: Trial) -> Outcome {
    // Streams whose name begins with a dash.
    let stream = StreamName::new(&format!("-{}", t.name("1")))?;
    let receipt = t.put(&stream, 1).await?;
    let item = Item {
        categories: vec!["".into()],
        types: vec![t.event_type("happened")],
        ..Item::default()
    };
    let seen = t.read(Read::query(item.into())).await?;
    same("positions", positions(&seen.events), vec![receipt.position]);
    Ok(())
}

pub(crate) async fn metadata_is_found_by_its_stream_and_type(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut set = Vec::new();
    for json in [r#"{"$maxCount":1}"#, r#"{"$maxCount":2}"#] {
        set.push(t.set_metadata(&stream, json).await?.position);
    }
    let item = Item {
        types: vec![EventType::new(system::METADATA)?],
        stream_prefixes: vec![stream.metadata_stream().as_str().into()],
        ..Item::default()
    };
    // Hidden from a read of its stream, the first is here.
    same("positions", positions(&t.read(Read::query(item.into())).await?.events), set);
    Ok(())
}
