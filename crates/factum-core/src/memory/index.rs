//! Where the in-memory store looks instead of at every event: by id, by type, tag and category.

use super::state::State;
use crate::{Direction, EventType, Item, Position, Query, RecordedEvent, StreamName, Tag};
use std::{collections::HashMap, hash::Hash};
use uuid::Uuid;

/// Positions in ascending order.
type Postings = Vec<Position>;
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Derived from the log, and only ever added to.
#[derive(Default)]
pub(super) struct Index {
    /// The last event with an id.
    ids: Map<Uuid, Position>,
    /// The event before it with the same id, in this stream or another.
    earlier: Map<Position, Position>,
    types: Map<EventType, Postings>,
    tags: Map<Tag, Postings>,
    categories: Map<Box<str>, Postings>,
}

impl Index {
    pub(super) fn add(&mut self, event: &RecordedEvent) {
        let position = event.position();
        if let Some(earlier) = self.ids.insert(event.id(), position) {
            self.earlier.insert(position, earlier);
        }
        post(&mut self.types, event.event_type(), position);
        for tag in event.tags() {
            post(&mut self.tags, tag, position);
        }
        let category = event.stream().category();
        match self.categories.get_mut(category) {
            Some(postings) => postings.push(position),
            None => drop(self.categories.insert(category.into(), vec![position])),
        }
    }

    /// The positions of the events with an id, the last first.
    pub(super) fn with_id(&self, id: Uuid) -> impl Iterator<Item = Position> {
        let mut next = self.ids.get(&id).copied();
        std::iter::from_fn(move || {
            let this = next?;
            next = self.earlier.get(&this).copied();
            Some(this)
        })
    }

    /// The lists of which one holds each event that an item selects; `None` where no list does.
    fn candidates(&self, item: &Item) -> Option<Vec<&Postings>> {
        let list = |found: Option<_>| found.into_iter().collect();
        if !item.tags.is_empty() {
            let all: Option<Vec<&Postings>> =
                item.tags.iter().map(|tag| self.tags.get(tag)).collect();
            let shortest = all.and_then(|all| all.into_iter().min_by_key(|list| list.len()));
            return Some(list(shortest));
        }
        if !item.types.is_empty() {
            return Some(item.types.iter().filter_map(|one| self.types.get(one)).collect());
        }
        if !item.categories.is_empty() {
            let lists = item.categories.iter().filter_map(|one| self.categories.get(&**one));
            return Some(lists.collect());
        }
        None
    }
}

fn post<K: Clone + Eq + Hash>(map: &mut Map<K, Postings>, key: &K, position: Position) {
    match map.get_mut(key) {
        // An event with one tag twice is in its list once.
        Some(postings) if postings.last() == Some(&position) => {}
        Some(postings) => postings.push(position),
        None => drop(map.insert(key.clone(), vec![position])),
    }
}

impl State {
    /// The first event that a query selects from a position on, inclusive, in a direction.
    pub(super) fn next_match(
        &self,
        query: &Query,
        from: Position,
        direction: Direction,
    ) -> Option<&RecordedEvent> {
        let Query::AnyOf(items) = query else {
            return match direction {
                Direction::Forward => self.at(Position(from.0.max(1))),
                Direction::Backward => self.at(from.min(self.head())),
            };
        };
        let found = items.iter().filter_map(|item| self.next_of_item(item, from, direction));
        match direction {
            Direction::Forward => found.min_by_key(|event| event.position()),
            Direction::Backward => found.max_by_key(|event| event.position()),
        }
    }

    fn next_of_item(
        &self,
        item: &Item,
        from: Position,
        direction: Direction,
    ) -> Option<&RecordedEvent> {
        let matching =
            |position: Position| self.at(position).filter(|event| item.matches((*event).into()));
        let Some(lists) = self.index.candidates(item) else {
            let (first, last) = (from.0.max(1), from.min(self.head()).0);
            return match direction {
                Direction::Forward => (first..=self.head().0).map(Position).find_map(matching),
                Direction::Backward => (1..=last).rev().map(Position).find_map(matching),
            };
        };
        let found = lists.into_iter().filter_map(|list| match direction {
            Direction::Forward => {
                let start = list.partition_point(|position| *position < from);
                list.iter().skip(start).copied().find_map(matching)
            }
            Direction::Backward => {
                let end = list.partition_point(|position| *position <= from);
                list.iter().take(end).rev().copied().find_map(matching)
            }
        });
        match direction {
            Direction::Forward => found.min_by_key(|event| event.position()),
            Direction::Backward => found.max_by_key(|event| event.position()),
        }
    }

    /// The last event of a stream with an id.
    pub(super) fn with_id(&self, stream: &StreamName, id: Uuid) -> Option<&RecordedEvent> {
        let mut found = self.index.with_id(id).filter_map(|position| self.at(position));
        found.find(|event| event.stream() == stream)
    }
}
