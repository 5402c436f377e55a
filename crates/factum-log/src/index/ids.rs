//! Where the events with an id are: a table from a part of (stream, id)'s hash to ordinals. Whoever
//! asks compares the ids themselves.

use super::slots::Slots;

/// Events by the upper half of [`super::id_key`].
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// In the order of ordinals.
    entries: Vec<Entry>,
    /// The latest entry of each key.
    slots: Slots,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u32,
    ordinal: u32,
    /// The place of the entry of the same key before this one; its own if there is none. Who writes
    /// one id over and over must not make the table slow.
    before: u32,
}

/// The part of a key that the index keeps.
pub(super) fn upper(key: u64) -> u32 {
    u32::try_from(key >> 32).expect("half of 64 bits")
}

impl Ids {
    /// Adds an event under the upper half of its key.
    pub(super) fn push(&mut self, key: u32, ordinal: u32) {
        let place = u32::try_from(self.entries.len()).expect("a segment's events are few");
        // Its own place says that there is none before.
        let before = self.slots.put(key, place, |_| true).unwrap_or(place);
        self.entries.push(Entry { key, ordinal, before });
    }

    /// Ascending ordinals of the events that may have this key.
    pub(super) fn with(&self, key: u64) -> Vec<u32> {
        let mut found = Vec::new();
        let mut next = self.slots.get(upper(key), |_| true);
        while let Some((place, entry)) =
            next.and_then(|place| Some((place, self.entries.get(place as usize)?)))
        {
            found.push(entry.ordinal);
            next = (entry.before != place).then_some(entry.before);
        }
        found.reverse();
        found
    }

    /// (key, ordinal) of all events, in the order of ordinals.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.entries.iter().map(|entry| (entry.key, entry.ordinal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_a_key_is_found() {
        let mut ids = Ids::default();
        assert!(ids.with(7).is_empty());
        let key = |n: u32| u64::from(n % 300).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..1000u32).for_each(|n| ids.push(upper(key(n)), n));
        for n in 0..300 {
            let expected: Vec<u32> = (0..1000).filter(|other| other % 300 == n).collect();
            assert_eq!(ids.with(key(n)), expected);
        }
        assert!(ids.with(key(1) ^ 1 << 60).is_empty());
    }
}
