//! Requests of `factum.v1`, as the core has them. Pure.
//!
//! What the store judges (names apart, which are types) is left to the store, so that it is judged
//! in one place; here is only what the protocol itself demands.

use super::error::Problem;
use factum_core::{
    Append, AsOf, Change, Check, ContentType, Direction, EventData, EventType, Expected, Freshness,
    Item, Position, Query, Read, Revision, Select, StreamMetadata, StreamName, Tag, Timestamp,
    Tracking, Uuid,
};
use factum_proto::factum::v1::{self as wire};
use std::sync::Arc;

fn bad<T>(why: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Request(why.into()))
}

/// Bytes that an append holds while it is in flight.
pub(super) fn weight(append: &wire::AppendRequest) -> usize {
    let names: usize = append.names.iter().map(String::len).sum();
    let events = append.events.iter().map(|event| event.data.len() + event.metadata.len());
    names + events.sum::<usize>()
}

/// The table of names of one append. Each is checked once for each kind that it is used as.
struct Names {
    texts: Vec<String>,
    streams: Vec<Option<StreamName>>,
    types: Vec<Option<EventType>>,
    tags: Vec<Option<Tag>>,
}

impl Names {
    fn new(texts: Vec<String>) -> Self {
        let count = texts.len();
        let (streams, types, tags) = (vec![None; count], vec![None; count], vec![None; count]);
        Self { texts, streams, types, tags }
    }

    fn stream(&mut self, index: u32) -> Result<StreamName, Problem> {
        named(&self.texts, &mut self.streams, index, StreamName::new)
    }

    fn event_type(&mut self, index: u32) -> Result<EventType, Problem> {
        named(&self.texts, &mut self.types, index, EventType::new)
    }

    fn tag(&mut self, index: u32) -> Result<Tag, Problem> {
        named(&self.texts, &mut self.tags, index, Tag::new)
    }
}

fn named<N: Clone>(
    texts: &[String],
    known: &mut [Option<N>],
    index: u32,
    check: impl Fn(&str) -> Result<N, factum_core::InvalidName>,
) -> Result<N, Problem> {
    let at = index as usize;
    let (Some(text), Some(slot)) = (texts.get(at), known.get_mut(at)) else {
        return bad(format!("name {index} is not in the table of {} names", texts.len()));
    };
    if let Some(name) = slot {
        return Ok(name.clone());
    }
    let name = check(text)?;
    *slot = Some(name.clone());
    Ok(name)
}

/// An append.
pub(super) fn append(request: wire::AppendRequest) -> Result<Append, Problem> {
    let wire::AppendRequest { names, events, checks, tracking } = request;
    let mut names = Names::new(names);
    let events = events.into_iter().map(|event| new_event(&mut names, event));
    let tracking = tracking
        .map(|tracking| Tracking { source: tracking.source.into(), position: tracking.position });
    Ok(Append {
        events: events.collect::<Result<_, _>>()?,
        checks: checks.into_iter().map(check).collect::<Result<_, _>>()?,
        tracking,
    })
}

fn new_event(names: &mut Names, event: wire::NewEvent) -> Result<(StreamName, EventData), Problem> {
    let content_type = match event.content_type() {
        wire::ContentType::Json => ContentType::Json,
        wire::ContentType::Binary => ContentType::Binary,
        wire::ContentType::Unspecified => {
            return bad(format!("content type {} is not JSON or BINARY", event.content_type));
        }
    };
    let tags = event.tags.iter().map(|index| names.tag(*index));
    let data = EventData {
        tags: tags.collect::<Result<_, _>>()?,
        id: uuid(&event.id)?,
        event_type: names.event_type(event.r#type)?,
        content_type,
        data: event.data,
        metadata: event.metadata,
        occurred_at: event.occurred_at_ns.map(Timestamp),
    };
    Ok((names.stream(event.stream)?, data))
}

fn uuid(bytes: &[u8]) -> Result<Uuid, Problem> {
    match Uuid::from_slice(bytes) {
        Ok(id) => Ok(id),
        Err(_) => bad(format!("an event id has {} bytes: it must have 16", bytes.len())),
    }
}

fn check(check: wire::Check) -> Result<Check, Problem> {
    use wire::check::Check as Wire;
    match check.check {
        Some(Wire::Stream(check)) => Ok(Check::Stream {
            stream: StreamName::new(&check.stream)?,
            expected: expected(check.expected)?,
        }),
        Some(Wire::NoMatch(check)) => {
            Ok(Check::NoMatch { query: query(check.query)?, after: Position(check.after) })
        }
        None => bad("a check must be of a stream or of a query"),
    }
}

/// What a stream must be like.
pub(super) fn expected(expected: Option<wire::Expected>) -> Result<Expected, Problem> {
    use wire::expected::Expected as Wire;
    match expected.and_then(|expected| expected.expected) {
        Some(Wire::NoStream(_)) => Ok(Expected::NoStream),
        Some(Wire::Exists(_)) => Ok(Expected::Exists),
        Some(Wire::At(revision)) => Ok(Expected::At(Revision(revision))),
        None => bad("expected must be no_stream, exists or at"),
    }
}

fn query(query: Option<wire::Query>) -> Result<Query, Problem> {
    let Some(wire::Query { all, items }) = query else {
        return bad("a query is missing");
    };
    match (all, items.is_empty()) {
        (true, true) => Ok(Query::All),
        (true, false) => bad("a query is either all or has items, not both"),
        (false, _) => Ok(Query::AnyOf(items.into_iter().map(item).collect::<Result<_, _>>()?)),
    }
}

fn item(item: wire::QueryItem) -> Result<Item, Problem> {
    let shared = |texts: Vec<String>| texts.into_iter().map(Arc::from).collect();
    let types = item.types.iter().map(|name| EventType::new(name));
    let tags = item.tags.iter().map(|name| Tag::new(name));
    Ok(Item {
        types: types.collect::<Result<_, _>>()?,
        tags: tags.collect::<Result<_, _>>()?,
        categories: shared(item.categories),
        stream_prefixes: shared(item.stream_prefixes),
        type_prefixes: shared(item.type_prefixes),
    })
}

/// Which events.
pub(super) fn select(select: Option<wire::Select>) -> Result<Select, Problem> {
    use wire::select::Select as Wire;
    match select.and_then(|select| select.select) {
        Some(Wire::Stream(name)) => Ok(Select::Stream(StreamName::new(&name)?)),
        Some(Wire::Query(selected)) => Ok(Select::Query(query(Some(selected))?)),
        None => bad("select must be a stream or a query"),
    }
}

/// A read.
pub(super) fn read(request: wire::ReadRequest) -> Result<Read, Problem> {
    let direction = match wire::Direction::try_from(request.direction) {
        Ok(wire::Direction::Forward) => Direction::Forward,
        Ok(wire::Direction::Backward) => Direction::Backward,
        Err(_) => return bad(format!("direction {} is unknown", request.direction)),
    };
    let freshness = match wire::Freshness::try_from(request.freshness) {
        Ok(wire::Freshness::Settled) => Freshness::Settled,
        Ok(wire::Freshness::Current) => Freshness::Current,
        Err(_) => return bad(format!("freshness {} is unknown", request.freshness)),
    };
    Ok(Read {
        select: select(request.select)?,
        direction,
        from: request.from,
        limit: request.limit,
        as_of: as_of(request.as_of)?,
        freshness,
        at_least: request.at_least.map(Position),
    })
}

fn as_of(as_of: Option<wire::AsOf>) -> Result<AsOf, Problem> {
    use wire::as_of::AsOf as Wire;
    let Some(as_of) = as_of else {
        return Ok(AsOf::Now);
    };
    match as_of.as_of {
        Some(Wire::Position(position)) => Ok(AsOf::Position(Position(position))),
        Some(Wire::RecordedAtNs(ns)) => Ok(AsOf::Recorded(Timestamp(ns))),
        Some(Wire::OccurredAtNs(ns)) => Ok(AsOf::Occurred(Timestamp(ns))),
        None => bad("as_of must be a position, a recorded or an occurred time"),
    }
}

/// A change of a stream as a whole.
pub(super) fn change(change: Option<wire::change_request::Change>) -> Result<Change, Problem> {
    use wire::change_request::Change as Wire;
    match change {
        Some(Wire::Delete(_)) => Ok(Change::Delete),
        Some(Wire::Tombstone(_)) => Ok(Change::Tombstone),
        Some(Wire::SetMetadata(set)) => Ok(Change::SetMetadata(StreamMetadata {
            truncate_before: set.truncate_before,
            max_count: set.max_count,
            max_age_s: set.max_age_s,
            other: set.other,
        })),
        None => bad("change must be delete, tombstone or set_metadata"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event() -> wire::NewEvent {
        wire::NewEvent {
            id: vec![1; 16].into(),
            stream: 0,
            r#type: 1,
            content_type: 1,
            tags: vec![1, 1],
            ..wire::NewEvent::default()
        }
    }

    fn check(change: impl FnOnce(&mut wire::AppendRequest), problem: Option<&str>) {
        let names = vec!["a-1".into(), "t".into()];
        let mut request =
            wire::AppendRequest { names, events: vec![event()], ..Default::default() };
        change(&mut request);
        match (append(request), problem) {
            (Ok(append), None) => assert_eq!(append.events.len(), 1),
            (Err(error), Some(problem)) => {
                assert!(error.to_string().contains(problem), "{error}");
            }
            (other, _) => panic!("{other:?} instead of {problem:?}"),
        }
    }

    #[test]
    fn an_append_refers_to_its_table() {
        check(|_| (), None);
        check(|r| r.events[0].stream = 2, Some("name 2 is not in the table of 2"));
        check(|r| r.events[0].r#type = u32::MAX, Some("not in the table"));
        check(|r| r.events[0].tags.push(9), Some("name 9"));
        check(|r| r.names[1].clear(), Some("is empty"));
        check(|r| r.names.clear(), Some("not in the table of 0"));
    }

    #[test]
    fn what_the_protocol_demands_must_be_there() {
        check(|r| r.events[0].id = vec![1; 15].into(), Some("15 bytes"));
        check(|r| r.events[0].id.clear(), Some("0 bytes"));
        check(|r| r.events[0].content_type = 0, Some("content type 0"));
        check(|r| r.events[0].content_type = 77, Some("content type 77"));
        check(|r| r.checks.push(wire::Check::default()), Some("a check must be"));
        let no_expected = wire::check::Check::Stream(wire::check::StreamCheck {
            stream: "a".into(),
            expected: Some(wire::Expected::default()),
        });
        check(|r| r.checks.push(wire::Check { check: Some(no_expected) }), Some("expected must"));
        let no_query = wire::check::Check::NoMatch(wire::check::NoMatch::default());
        check(|r| r.checks.push(wire::Check { check: Some(no_query) }), Some("query is missing"));
    }

    #[test]
    fn a_query_is_all_or_items() {
        let item = || vec![wire::QueryItem::default()];
        assert_eq!(query(Some(wire::Query { all: true, items: vec![] })), Ok(Query::All));
        assert!(query(Some(wire::Query { all: true, items: item() })).is_err());
        assert!(query(None).is_err());
        // The store's to refuse.
        let empty = query(Some(wire::Query { all: false, items: vec![] })).unwrap();
        assert!(!empty.is_valid());
    }

    #[test]
    fn unknown_enums_and_unset_choices_of_a_read_are_refused() {
        let stream = wire::select::Select::Stream("a".into());
        let good = wire::ReadRequest {
            select: Some(wire::Select { select: Some(stream) }),
            ..Default::default()
        };
        assert!(read(good.clone()).is_ok());
        for bad in [
            wire::ReadRequest { select: None, ..good.clone() },
            wire::ReadRequest { select: Some(wire::Select::default()), ..good.clone() },
            wire::ReadRequest { direction: 2, ..good.clone() },
            wire::ReadRequest { freshness: -1, ..good.clone() },
            wire::ReadRequest { as_of: Some(wire::AsOf::default()), ..good },
        ] {
            assert!(matches!(read(bad), Err(Problem::Request(_))));
        }
    }
}
