//! Which events: OR of items, and AND of what an item says.
//!
//! As <https://dcb.events/specification/> has it (types and tags), and of our own: categories, and
//! prefixes of streams and types. A query knows no time and no regular expression: as-of is part of
//! a read, and a server filters what it has read.

use crate::{EventType, RecordedEvent, StreamName, Tag};
use std::{fmt, sync::Arc};

/// Which events of the whole store.
///
/// ```
/// use factum_core::{Item, Query, Tag};
/// let seat = Query::tag(Tag::new("seat:7")?);
/// assert!(seat.is_valid());
/// assert!(!Query::AnyOf(vec![Item::default()]).is_valid(), "an item must restrict something");
/// # Ok::<(), factum_core::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// Every event, those of the system too.
    All,
    /// Every event that one of the items selects. At least one item.
    AnyOf(Vec<Item>),
}

/// What an event must have: every field that is not empty must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Item {
    /// Its type is one of these.
    pub types: Vec<EventType>,
    /// It has all of these tags.
    pub tags: Vec<Tag>,
    /// Its stream's category is one of these.
    pub categories: Vec<Arc<str>>,
    /// Its stream's name begins with one of these.
    pub stream_prefixes: Vec<Arc<str>>,
    /// Its type's name begins with one of these.
    pub type_prefixes: Vec<Arc<str>>,
}

/// What of an event a query looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of its stream.
    pub stream: &'a StreamName,
    /// Its type.
    pub event_type: &'a EventType,
    /// Its tags.
    pub tags: &'a [Tag],
}

impl<'a> From<&'a RecordedEvent> for Subject<'a> {
    fn from(event: &'a RecordedEvent) -> Self {
        Self { stream: event.stream(), event_type: event.event_type(), tags: event.tags() }
    }
}

impl Item {
    /// Whether a field is not empty, so that the item is more than "everything".
    #[must_use]
    pub fn restricts(&self) -> bool {
        !(self.types.is_empty()
            && self.tags.is_empty()
            && self.categories.is_empty()
            && self.stream_prefixes.is_empty()
            && self.type_prefixes.is_empty())
    }

    /// Whether the item selects this event.
    #[must_use]
    pub fn matches(&self, event: Subject<'_>) -> bool {
        let starts = |name: &str, list: &[Arc<str>]| {
            list.is_empty() || list.iter().any(|prefix| name.starts_with(&**prefix))
        };
        (self.types.is_empty() || self.types.contains(event.event_type))
            && (self.categories.is_empty() || {
                let category = event.stream.category();
                self.categories.iter().any(|one| **one == *category)
            })
            && starts(event.stream.as_str(), &self.stream_prefixes)
            && starts(event.event_type.as_str(), &self.type_prefixes)
            && self.tags.iter().all(|tag| event.tags.contains(tag))
    }
}

impl Query {
    /// Events with this tag.
    #[must_use]
    pub fn tag(tag: Tag) -> Self {
        Self::tags([tag])
    }

    /// Events with all of these tags.
    #[must_use]
    pub fn tags(tags: impl IntoIterator<Item = Tag>) -> Self {
        Item { tags: tags.into_iter().collect(), ..Item::default() }.into()
    }

    /// Events of one of these types.
    #[must_use]
    pub fn types(types: impl IntoIterator<Item = EventType>) -> Self {
        Item { types: types.into_iter().collect(), ..Item::default() }.into()
    }

    /// Events whose stream is of this category.
    #[must_use]
    pub fn category(category: &str) -> Self {
        Item { categories: vec![category.into()], ..Item::default() }.into()
    }

    /// Whether there is an item, and each restricts something. A store refuses any other query.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match self {
            Self::All => true,
            Self::AnyOf(items) => !items.is_empty() && items.iter().all(Item::restricts),
        }
    }

    /// Whether the query selects this event.
    #[must_use]
    pub fn matches<'a>(&self, event: impl Into<Subject<'a>>) -> bool {
        let event = event.into();
        match self {
            Self::All => true,
            Self::AnyOf(items) => items.iter().any(|item| item.matches(event)),
        }
    }
}

/// For people: `type order.placed, tag seat:7`.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
        let parts: [(&str, Vec<String>, &str); 5] = [
            ("type ", self.types.iter().map(ToString::to_string).collect(), " or "),
            ("tag ", self.tags.iter().map(ToString::to_string).collect(), " and "),
            ("category ", texts(&self.categories), " or "),
            ("stream prefix ", texts(&self.stream_prefixes), " or "),
            ("type prefix ", texts(&self.type_prefixes), " or "),
        ];
        let mut comma = "";
        for (what, names, between) in parts.iter().filter(|(_, names, _)| !names.is_empty()) {
            write!(f, "{comma}{what}{}", names.join(between))?;
            comma = ", ";
        }
        Ok(())
    }
}

/// For people: `everything`, or its items with `; or` between them.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::AnyOf(items) = self else {
            return f.write_str("everything");
        };
        let mut between = "";
        for item in items {
            write!(f, "{between}{item}")?;
            between = "; or ";
        }
        Ok(())
    }
}

impl From<Item> for Query {
    fn from(item: Item) -> Self {
        Self::AnyOf(vec![item])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(item: Item, expected: bool) {
        let (stream, event_type) = (StreamName::new("a-1"), EventType::new("t.x"));
        let (stream, event_type) = (stream.unwrap(), event_type.unwrap());
        let tags = ["k:1", "k:2"].map(|tag| Tag::new(tag).unwrap());
        let event = Subject { stream: &stream, event_type: &event_type, tags: &tags };
        assert_eq!(Query::from(item.clone()).matches(event), expected, "{item:?}");
    }

    fn tags(tags: &[&str]) -> Vec<Tag> {
        tags.iter().map(|tag| Tag::new(tag).unwrap()).collect()
    }

    #[test]
    fn a_query_is_told_to_people() {
        let types = ["o", "p"].map(|name| EventType::new(name).unwrap()).to_vec();
        let item = Item { types, tags: tags(&["k:1", "k:2"]), ..Item::default() };
        let other = Item { categories: vec!["a".into()], ..Item::default() };
        let query = Query::AnyOf(vec![item, other]);
        assert_eq!(query.to_string(), "type o or p, tag k:1 and k:2; or category a");
        assert_eq!(Query::All.to_string(), "everything");
    }

    #[test]
    fn tags_are_and_lists_are_or_fields_are_and() {
        check(Item { tags: tags(&["k:1", "k:2"]), ..Item::default() }, true);
        check(Item { tags: tags(&["k:1", "k:3"]), ..Item::default() }, false);
        let types = ["o", "t.x"].map(|name| EventType::new(name).unwrap()).to_vec();
        check(Item { types: types.clone(), ..Item::default() }, true);
        check(Item { types, tags: tags(&["k:3"]), ..Item::default() }, false);
        check(Item { categories: vec!["b".into(), "a".into()], ..Item::default() }, true);
        check(Item { categories: vec!["a-".into()], ..Item::default() }, false);
        check(Item { stream_prefixes: vec!["a-".into()], ..Item::default() }, true);
        check(Item { type_prefixes: vec!["x".into()], ..Item::default() }, false);
    }
}
