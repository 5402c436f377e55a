//! Events, checks and appends in few words, for tests.

use factum_core::{
    Append, Check, EventData, EventType, Expected, Position, Query, RecordedEvent, Revision,
    StreamName, Tag, Uuid,
};
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A source of event ids: the same seed gives the same ids.
///
/// ```
/// use factum_testkit::Ids;
/// assert_eq!(Ids::seeded(7).next(), Ids::seeded(7).next());
/// ```
#[derive(Debug)]
pub struct Ids(AtomicU64);

impl Ids {
    /// Ids that follow from this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(mix(seed)))
    }

    /// The next id; never nil.
    pub fn next(&self) -> Uuid {
        let at = self.0.fetch_add(2, Ordering::Relaxed);
        Uuid::from_u64_pair(mix(at) | 1, mix(at.wrapping_add(1)))
    }
}

/// A well-spread number from any number (the finisher of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Another number each time, from what the standard library seeds its maps with.
pub(crate) fn entropy() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// An event of a type, with a new id and `{}` as data.
///
/// # Panics
/// If the type is no valid name.
#[must_use]
pub fn event(event_type: &str) -> EventData {
    static IDS: LazyLock<Ids> = LazyLock::new(|| Ids::seeded(entropy()));
    build(IDS.next(), event_type)
}

/// An event of a type, with this number as its id, and `{}` as data.
///
/// # Panics
/// If the type is no valid name.
#[must_use]
pub fn event_with_id(id: u128, event_type: &str) -> EventData {
    build(Uuid::from_u128(id), event_type)
}

fn build(id: Uuid, event_type: &str) -> EventData {
    EventData::new(id, EventType::new(event_type).expect("a test names a valid type"), "{}")
}

/// "The stream has no event, or is deleted."
#[must_use]
pub fn no_stream(stream: &StreamName) -> Check {
    Check::Stream { stream: stream.clone(), expected: Expected::NoStream }
}

/// "The stream has events."
#[must_use]
pub fn exists(stream: &StreamName) -> Check {
    Check::Stream { stream: stream.clone(), expected: Expected::Exists }
}

/// "The stream's last event has this revision."
#[must_use]
pub fn at(stream: &StreamName, revision: u64) -> Check {
    Check::Stream { stream: stream.clone(), expected: Expected::At(Revision(revision)) }
}

/// "No event matches after this position."
#[must_use]
pub fn no_match(query: Query, after: Position) -> Check {
    Check::NoMatch { query, after }
}

/// Events for one stream.
#[must_use]
pub fn to(stream: &StreamName, events: impl IntoIterator<Item = EventData>) -> Append {
    Append::to(stream.clone(), events)
}

/// Events for streams, in this order.
#[must_use]
pub fn across<'s>(events: impl IntoIterator<Item = (&'s StreamName, EventData)>) -> Append {
    let events = events.into_iter().map(|(stream, event)| (stream.clone(), event)).collect();
    Append { events, ..Append::default() }
}

/// Tags from text.
///
/// # Panics
/// If one is no valid tag.
#[must_use]
pub fn tags(tags: &[&str]) -> Vec<Tag> {
    tags.iter().map(|tag| Tag::new(tag).expect("a test names valid tags")).collect()
}

/// The ids of events, in their order.
#[must_use]
pub fn ids(events: &[RecordedEvent]) -> Vec<Uuid> {
    events.iter().map(RecordedEvent::id).collect()
}

/// The ids of what is appended, in its order.
#[must_use]
pub fn ids_of(append: &Append) -> Vec<Uuid> {
    append.events.iter().map(|(_, event)| event.id).collect()
}

/// The revisions of events, in their order.
#[must_use]
pub fn revisions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.revision().0).collect()
}

/// The positions of events, in their order.
#[must_use]
pub fn positions(events: &[RecordedEvent]) -> Vec<Position> {
    events.iter().map(RecordedEvent::position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_repeat_and_follow_from_the_seed() {
        let ids = Ids::seeded(1);
        let mut drawn: Vec<Uuid> = (0..10_000).map(|_| ids.next()).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 10_000);
        assert!(drawn.iter().all(|id| !id.is_nil()));
        assert_ne!(Ids::seeded(1).next(), Ids::seeded(2).next());
    }
}
