//! What is asked for, as messages of `factum.v1`. Never fails: what is wrong, the server refuses.

use bytes::Bytes;
use factum_core::{
    Append, AsOf, Change, Check, ContentType, Direction, EventData, Expected, Freshness, Query,
    Read, Select, StreamMetadata, StreamName, Subscribe,
};
use factum_proto::factum::v1;
use std::{collections::HashMap, sync::Arc};

/// The table of names of one append: each name once, by its place.
#[derive(Default)]
struct Names<'a> {
    places: HashMap<&'a str, u32>,
    list: Vec<String>,
}

impl<'a> Names<'a> {
    fn place(&mut self, name: &'a str) -> u32 {
        *self.places.entry(name).or_insert_with(|| {
            self.list.push(name.to_owned());
            u32::try_from(self.list.len() - 1).expect("an append's names are few")
        })
    }
}

pub(super) fn append(append: &Append) -> v1::AppendRequest {
    let mut names = Names::default();
    let events = append.events.iter().map(|(stream, data)| event(&mut names, stream, data));
    v1::AppendRequest {
        events: events.collect(),
        names: names.list,
        checks: append.checks.iter().map(check).collect(),
        tracking: append.tracking.as_ref().map(|tracking| v1::Tracking {
            source: (*tracking.source).to_owned(),
            position: tracking.position,
        }),
    }
}

fn event<'a>(names: &mut Names<'a>, stream: &'a StreamName, data: &'a EventData) -> v1::NewEvent {
    let content_type = match data.content_type {
        ContentType::Json => v1::ContentType::Json,
        ContentType::Binary => v1::ContentType::Binary,
    };
    v1::NewEvent {
        id: Bytes::copy_from_slice(data.id.as_bytes()),
        stream: names.place(stream.as_str()),
        r#type: names.place(data.event_type.as_str()),
        content_type: content_type.into(),
        data: data.data.clone(),
        metadata: data.metadata.clone(),
        tags: data.tags.iter().map(|tag| names.place(tag.as_str())).collect(),
        occurred_at_ns: data.occurred_at.map(|at| at.0),
    }
}

fn check(check: &Check) -> v1::Check {
    use v1::check::{Check as Kind, NoMatch, StreamCheck};
    let kind = match check {
        Check::Stream { stream, expected: want } => Kind::Stream(StreamCheck {
            stream: stream.as_str().to_owned(),
            expected: Some(expected(*want)),
        }),
        Check::NoMatch { query: not, after } => {
            Kind::NoMatch(NoMatch { query: Some(query(not)), after: after.0 })
        }
    };
    v1::Check { check: Some(kind) }
}

fn expected(expected: Expected) -> v1::Expected {
    use v1::expected::Expected as Kind;
    let kind = match expected {
        Expected::NoStream => Kind::NoStream(v1::Unit {}),
        Expected::Exists => Kind::Exists(v1::Unit {}),
        Expected::At(revision) => Kind::At(revision.0),
    };
    v1::Expected { expected: Some(kind) }
}

fn query(query: &Query) -> v1::Query {
    let Query::AnyOf(items) = query else {
        return v1::Query { all: true, items: Vec::new() };
    };
    let items = items.iter().map(|item| v1::QueryItem {
        types: texts(&item.types),
        tags: texts(&item.tags),
        categories: shared(&item.categories),
        stream_prefixes: shared(&item.stream_prefixes),
        type_prefixes: shared(&item.type_prefixes),
    });
    v1::Query { all: false, items: items.collect() }
}

fn texts<N: AsRef<str>>(names: &[N]) -> Vec<String> {
    names.iter().map(|name| name.as_ref().to_owned()).collect()
}

fn shared(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(|name| (**name).to_owned()).collect()
}

fn select(select: &Select) -> v1::Select {
    use v1::select::Select as Kind;
    let kind = match select {
        Select::Stream(stream) => Kind::Stream(stream.as_str().to_owned()),
        Select::Query(by) => Kind::Query(query(by)),
    };
    v1::Select { select: Some(kind) }
}

pub(super) fn read(read: &Read) -> v1::ReadRequest {
    use v1::as_of::AsOf as Kind;
    let direction = match read.direction {
        Direction::Forward => v1::Direction::Forward,
        Direction::Backward => v1::Direction::Backward,
    };
    let freshness = match read.freshness {
        Freshness::Settled => v1::Freshness::Settled,
        Freshness::Current => v1::Freshness::Current,
    };
    let as_of = match read.as_of {
        AsOf::Now => None,
        AsOf::Position(position) => Some(Kind::Position(position.0)),
        AsOf::Recorded(at) => Some(Kind::RecordedAtNs(at.0)),
        AsOf::Occurred(at) => Some(Kind::OccurredAtNs(at.0)),
    };
    v1::ReadRequest {
        select: Some(select(&read.select)),
        direction: direction.into(),
        from: read.from,
        limit: read.limit,
        as_of: as_of.map(|kind| v1::AsOf { as_of: Some(kind) }),
        freshness: freshness.into(),
        at_least: read.at_least.map(|position| position.0),
    }
}

pub(super) fn subscribe(subscribe: &Subscribe) -> v1::SubscribeRequest {
    v1::SubscribeRequest { select: Some(select(&subscribe.select)), after: subscribe.after }
}

pub(super) fn change(
    stream: &StreamName,
    change: Change,
    want: Option<Expected>,
) -> v1::ChangeRequest {
    use v1::change_request::Change as Kind;
    let kind = match change {
        Change::Delete => Kind::Delete(v1::Unit {}),
        Change::Tombstone => Kind::Tombstone(v1::Unit {}),
        Change::SetMetadata(set) => Kind::SetMetadata(metadata(set)),
    };
    v1::ChangeRequest {
        stream: stream.as_str().to_owned(),
        expected: want.map(expected),
        change: Some(kind),
    }
}

fn metadata(metadata: StreamMetadata) -> v1::StreamMetadata {
    v1::StreamMetadata {
        truncate_before: metadata.truncate_before,
        max_count: metadata.max_count,
        max_age_s: metadata.max_age_s,
        other: metadata.other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::{EventType, Position, Revision, Tag, Timestamp, Uuid};

    #[test]
    fn each_name_of_an_append_is_sent_once() {
        let stream = StreamName::new("a").unwrap();
        let data = |id, tag: &str| {
            EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), "{}")
                .with_tags([Tag::new(tag).unwrap(), Tag::new("a").unwrap()])
                .with_occurred_at(Timestamp(-5))
        };
        let one = Append::to(stream.clone(), [data(1, "k:1"), data(2, "k:2")])
            .expecting(stream, Expected::At(Revision(7)))
            .checking(Check::NoMatch { query: Query::All, after: Position(9) })
            .tracking("s", 3);
        let message = append(&one);
        assert_eq!(message.names, ["a", "t", "k:1", "k:2"]);
        let event = &message.events[1];
        assert_eq!((event.stream, event.r#type, &*event.tags), (0, 1, &[3, 0][..]));
        assert_eq!(event.occurred_at_ns, Some(-5));
        assert_eq!(event.id[15], 2);
        assert_eq!(message.checks.len(), 2);
        assert_eq!(message.tracking.unwrap().position, 3);
    }
}
