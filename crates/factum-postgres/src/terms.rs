//! The advisory locks of an append: what it writes it locks shared, what it checks exclusively, so
//! that of a check and of what would break it one waits for the other, and nobody else waits.
//!
//! A lock is the hash of a term: a stream, a type, a category, a tag, a source, or *all*. Every
//! process that appends must hash alike: the hash is part of the format. Hashes that meet by
//! chance make two appends wait for each other once, and change no answer.

use factum_core::{Append, Check, EventData, Item, Query, StreamName, Tag, name::category_of};
use std::collections::BTreeMap;

/// So many locks an append takes; one with more terms locks *all* exclusively instead.
pub(crate) const LOCKS_MAX: usize = 256;

/// What a term is.
#[derive(Clone, Copy)]
enum Kind {
    All = 0,
    Stream = 1,
    Type = 2,
    Category = 3,
    Tag = 4,
    Source = 5,
}

/// Locks by their keys: whether each is exclusive.
#[derive(Debug)]
pub(crate) struct Locks {
    seed: u64,
    keys: BTreeMap<i64, bool>,
}

impl Locks {
    /// Of a store whose name is hashed. Whoever asks for anything has a share of *all*.
    pub(crate) fn new(seed: u64) -> Self {
        let mut locks = Self { seed, keys: BTreeMap::new() };
        locks.add(Kind::All, "", false);
        locks
    }

    fn add(&mut self, kind: Kind, name: &str, exclusive: bool) {
        let hash = hash(self.seed, &[&[kind as u8], name.as_bytes()].concat());
        // The two highest bits are those of other locks: a sign, and a horizon's.
        *self.keys.entry((hash >> 2).cast_signed()).or_default() |= exclusive;
    }

    /// A stream and its metadata are one: either changes what the other means.
    fn stream(&mut self, stream: &StreamName, exclusive: bool) {
        let name = stream.as_str();
        self.add(Kind::Stream, name.strip_prefix("$$").unwrap_or(name), exclusive);
    }

    /// All that an append writes and checks.
    pub(crate) fn append(&mut self, append: &Append) {
        for (stream, event) in &append.events {
            self.event(stream, event);
        }
        for check in &append.checks {
            match check {
                Check::Stream { stream, .. } => self.stream(stream, false),
                Check::NoMatch { query, .. } => self.query(query),
            }
        }
        if let Some(tracking) = &append.tracking {
            self.add(Kind::Source, &tracking.source, true);
        }
    }

    fn event(&mut self, stream: &StreamName, event: &EventData) {
        self.stream(stream, true);
        self.add(Kind::Category, stream.category(), false);
        self.add(Kind::Type, event.event_type.as_str(), false);
        event.tags.iter().for_each(|tag| self.add(Kind::Tag, tag.as_str(), false));
    }

    /// What the store may write of its own about a stream: metadata, a tombstone.
    pub(crate) fn system(&mut self, stream: &StreamName) {
        self.stream(stream, true);
        for stream in [stream.clone(), stream.metadata_stream()] {
            self.add(Kind::Category, stream.category(), false);
        }
        for name in [factum_core::system::METADATA, factum_core::system::STREAM_DELETED] {
            self.add(Kind::Type, name, false);
        }
    }

    /// A stream that is read: who writes it is kept out.
    pub(crate) fn read(&mut self, stream: &StreamName) {
        self.stream(stream, false);
    }

    /// A query that is checked, or read: who writes what it selects is kept out.
    pub(crate) fn query(&mut self, query: &Query) {
        match query {
            Query::All => self.add(Kind::All, "", true),
            Query::AnyOf(items) => items.iter().for_each(|item| self.item(item)),
        }
    }

    /// One lock is enough that every event has that the item selects.
    fn item(&mut self, item: &Item) {
        let tag = tag_of(item);
        let categories = categories_of(item);
        match tag {
            Some(tag) => self.add(Kind::Tag, tag.as_str(), true),
            None if !item.types.is_empty() => {
                let types = item.types.iter();
                types.for_each(|name| self.add(Kind::Type, name.as_str(), true));
            }
            None => match categories {
                Some(names) => names.iter().for_each(|name| self.add(Kind::Category, name, true)),
                None => self.add(Kind::All, "", true),
            },
        }
    }

    /// The keys in ascending order, and which are exclusive.
    pub(crate) fn arrays(mut self) -> (Vec<i64>, Vec<bool>) {
        if self.keys.len() > LOCKS_MAX {
            self.keys.clear();
            self.add(Kind::All, "", true);
        }
        self.keys.into_iter().unzip()
    }
}

/// The tag that stands for an item: the longest, as the most likely to be rare.
pub(crate) fn tag_of(item: &Item) -> Option<&Tag> {
    item.tags.iter().max_by_key(|tag| (tag.as_str().len(), tag.as_str()))
}

/// The categories that an item is restricted to: by their names, or by prefixes that hold one
/// whole. `None` where it is not.
pub(crate) fn categories_of(item: &Item) -> Option<Vec<&str>> {
    let whole = item.stream_prefixes.iter().all(|prefix| prefix.contains('-'));
    match (item.categories.is_empty(), item.stream_prefixes.is_empty()) {
        (false, _) => Some(item.categories.iter().map(|name| &**name).collect()),
        (true, false) if whole => {
            Some(item.stream_prefixes.iter().map(|prefix| category_of(prefix)).collect())
        }
        _ => None,
    }
}

/// FNV-1a, mixed at the end so that every bit of it is as good as the others.
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, step);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::{EventType, Uuid};

    fn locks(fill: impl FnOnce(&mut Locks)) -> BTreeMap<i64, bool> {
        let mut locks = Locks::new(7);
        fill(&mut locks);
        locks.keys
    }

    fn event(tags: &[&str]) -> EventData {
        let tags = tags.iter().map(|tag| Tag::new(tag).unwrap());
        EventData::new(Uuid::from_u128(1), EventType::new("t").unwrap(), "").with_tags(tags)
    }

    /// Whether one of two waits for the other.
    fn meet(one: &BTreeMap<i64, bool>, other: &BTreeMap<i64, bool>) -> bool {
        one.iter().any(|(key, exclusive)| {
            other.get(key).is_some_and(|exclusive_too| *exclusive || *exclusive_too)
        })
    }

    #[test]
    fn a_check_meets_who_would_break_it_and_nobody_else() {
        let write = |stream: &str, tags: &[&str]| {
            let append = Append::to(StreamName::new(stream).unwrap(), [event(tags)]);
            locks(|locks| locks.append(&append))
        };
        let tag = |tags: &[&str]| {
            Query::tags(tags.iter().map(|tag| Tag::new(tag).unwrap()).collect::<Vec<_>>())
        };
        let check = |query: Query| locks(|locks| locks.query(&query));
        assert!(!meet(&write("a-1", &["x"]), &write("a-2", &["x"])), "writers do not wait");
        assert!(meet(&write("a-1", &[]), &write("a-1", &[])), "but of one stream they do");
        assert!(meet(&check(tag(&["x", "yy"])), &write("a-1", &["x", "yy"])));
        assert!(!meet(&check(tag(&["x"])), &write("a-1", &["y"])));
        assert!(meet(&check(Query::types([EventType::new("t").unwrap()])), &write("a-1", &["y"])));
        assert!(meet(&check(Query::category("a")), &write("a-1", &[])));
        assert!(meet(&check(Query::All), &write("a-1", &[])));
        let prefix = |prefix: &str| {
            Query::from(Item { stream_prefixes: vec![prefix.into()], ..Item::default() })
        };
        assert!(meet(&check(prefix("a-1")), &write("a-12", &[])));
        assert!(!meet(&check(prefix("b-1")), &write("a-12", &[])));
        assert!(meet(&check(prefix("a")), &write("a-12", &[])));
    }

    #[test]
    fn a_streams_metadata_is_locked_with_it() {
        let stream = StreamName::new("a-1").unwrap();
        let read = |stream: &StreamName| locks(|locks| locks.read(stream));
        let system = locks(|locks| locks.system(&stream));
        assert!(meet(&system, &read(&stream)) && meet(&system, &read(&stream.metadata_stream())));
    }

    #[test]
    fn many_terms_are_one_lock_that_meets_everybody() {
        let tags: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let mut many = Locks::new(7);
        many.append(&Append::to(StreamName::new("a-1").unwrap(), [event(&tags)]));
        let (keys, exclusive) = many.arrays();
        let all = locks(|_| ()).into_keys().collect::<Vec<_>>();
        assert_eq!((keys, exclusive), (all, vec![true]));
    }

    /// Processes of different releases must meet in the same locks.
    #[test]
    fn the_hash_is_part_of_the_format() {
        assert_eq!(hash(0, b""), 0xecba_3df2_c338_3c52);
        assert_eq!(hash(7, b"order-1"), hash(7, b"order-1"));
    }
}
