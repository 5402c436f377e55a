//! Boundaries: which facts a decision reads, and so which its append is conditioned on.

use crate::event::{EventInfo, EventSet, tag};
use factum_core::{EventType, InvalidName, Item, Query, StreamName, Tag};

/// Which facts a state is folded of: a stream, a query, or several of both. Each event once, in the
/// order of the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Boundary {
    pub(crate) parts: Vec<Part>,
}

/// One part of a boundary.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// The events of a stream; its revision is the condition.
    Stream(StreamName),
    /// The events that match; that no more do is the condition.
    Query(Query),
}

impl Boundary {
    /// A stream.
    #[must_use]
    pub fn stream(name: StreamName) -> Self {
        Self { parts: vec![Part::Stream(name)] }
    }

    /// All that matches.
    #[must_use]
    pub fn query(query: Query) -> Self {
        Self { parts: vec![Part::Query(query)] }
    }

    /// Both this and that.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for part in other.parts {
            if !self.parts.contains(&part) {
                self.parts.push(part);
            }
        }
        self
    }

    /// Whether there is something in it: a query without items selects nothing that can be told.
    pub(crate) fn is_some(&self) -> bool {
        let told = |part: &Part| match part {
            Part::Stream(_) => true,
            Part::Query(query) => query.is_valid(),
        };
        !self.parts.is_empty() && self.parts.iter().all(told)
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The facts of a set that have these tags: a stream, where every event of the set goes to the
    /// stream of one and the same tag, and that is the only one given; otherwise a query with one
    /// item a tag, of the types that carry it.
    ///
    /// # Errors
    ///
    /// A value makes no name: it is too long, or holds a NUL.
    pub fn tagged<E: EventSet>(tags: &[(&'static str, String)]) -> Result<Self, InvalidName> {
        let events = E::MEMBERS.list();
        let carried = |key: &str| events.iter().any(|info| info.tags.contains(&key));
        let tags: Vec<_> = tags.iter().filter(|(key, _)| carried(key)).collect();
        if let ([(key, value)], Some(first)) = (tags.as_slice(), events.first()) {
            let rule = first.stream;
            if rule.tag == Some(key) && events.iter().all(|info| info.stream == rule) {
                return Ok(Self::stream(rule.of(value)?));
            }
        }
        let items = tags.iter().map(|(key, value)| item(&events, key, tag(key, value)?));
        Ok(Self::query(Query::AnyOf(items.collect::<Result<_, _>>()?)))
    }

    /// Whether an event of this stream, type and tags is of the boundary.
    #[must_use]
    pub fn sees(&self, stream: &StreamName, event_type: &EventType, tags: &[Tag]) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Stream(name) => name == stream,
            Part::Query(query) => {
                query.matches(factum_core::query::Subject { stream, event_type, tags })
            }
        })
    }
}

/// The events with a tag, of the types that carry its key.
fn item(events: &[&EventInfo], key: &str, tag: Tag) -> Result<Item, InvalidName> {
    let types = events.iter().filter(|info| info.tags.contains(&key));
    let types = types.map(|info| EventType::new(info.event_type)).collect::<Result<_, _>>()?;
    Ok(Item { types, tags: vec![tag], ..Item::default() })
}
