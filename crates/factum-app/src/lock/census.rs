//! Which types and versions a store really holds, and which of them a lock file does not know.

use super::Lock;
use crate::event::Raw;
use factum_core::{Position, RecordedEvent};
use std::collections::BTreeMap;

/// How many pairs of a type and a version are counted at most: more are a mistake, such as names
/// with an id in them.
pub const KINDS_MAX: usize = 100_000;

/// Some facts of one type and version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// How many.
    pub count: u64,
    /// Where the first of them stands.
    pub first: Position,
}

/// What was seen in a store, by type and version. Types of the store itself, which begin with `$`,
/// are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Census {
    kinds: BTreeMap<(String, u32), Seen>,
    overflowed: bool,
}

impl Census {
    /// Counts an event.
    pub fn see(&mut self, event: &RecordedEvent) {
        let raw = Raw::of(event);
        if raw.event_type.starts_with('$') {
            return;
        }
        let key = (raw.event_type.to_owned(), raw.version);
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&key) {
            self.overflowed = true;
            return;
        }
        let seen = self.kinds.entry(key).or_insert(Seen { count: 0, first: raw.position });
        seen.count += 1;
    }

    /// How many events were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.kinds.values().map(|seen| seen.count).sum()
    }

    /// Whether there were more than [`KINDS_MAX`] kinds, so that some were not counted.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// What the lock file does not know.
    pub fn unknown<'a>(
        &'a self,
        lock: &'a Lock,
    ) -> impl Iterator<Item = (&'a str, u32, Seen)> + 'a {
        let kinds =
            self.kinds.iter().map(|((name, version), seen)| (name.as_str(), *version, *seen));
        kinds.filter(|(name, version, _)| lock.shape(name, *version).is_none())
    }
}
