//! Where the events with an id are: a table from a part of (stream, id)'s hash to ordinals. Whoever
//! asks compares the ids themselves.

/// The fewest slots of a table; always a power of two.
const SLOTS_MIN: usize = 16;

/// Events by the upper half of [`super::id_key`].
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// In the order of ordinals.
    entries: Vec<Entry>,
    /// Place + 1 of the latest entry of a key, near the place that the key says; 0 for none. Three
    /// quarters full at most.
    slots: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u32,
    ordinal: u32,
    /// Place + 1 of the entry of the same key before this one; 0 for none. Who writes one id over
    /// and over must not make the table slow.
    before: u32,
}

/// The part of a key that the index keeps.
pub(super) fn upper(key: u64) -> u32 {
    u32::try_from(key >> 32).expect("half of 64 bits")
}

impl Ids {
    pub(super) fn push(&mut self, key: u64, ordinal: u32) {
        self.entries.push(Entry { key: upper(key), ordinal, before: 0 });
        if self.entries.len() * 4 > self.slots.len() * 3 {
            let slots = (self.entries.len() * 2).next_power_of_two().max(SLOTS_MIN);
            self.slots.clear();
            self.slots.resize(slots, 0);
            (0..self.entries.len()).for_each(|place| self.enter(place));
        } else {
            self.enter(self.entries.len() - 1);
        }
    }

    fn enter(&mut self, place: usize) {
        let key = self.entries.get(place).expect("an entry's place").key;
        let slot = self.slot(key).expect("there are slots");
        let slot = self.slots.get_mut(slot).expect("a slot is in the table");
        let entry = self.entries.get_mut(place).expect("an entry's place");
        entry.before = *slot;
        *slot = u32::try_from(place + 1).expect("a segment's events are few");
    }

    /// The slot of a key, or the empty one where it would go; `None` without any slots.
    fn slot(&self, key: u32) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = key as usize & mask;
        while let Some(latest) = self.entry(*self.slots.get(slot)?)
            && latest.key != key
        {
            slot = (slot + 1) & mask;
        }
        Some(slot)
    }

    fn entry(&self, place: u32) -> Option<Entry> {
        self.entries.get(place.checked_sub(1)? as usize).copied()
    }

    /// Ascending ordinals of the events that may have this key.
    pub(super) fn with(&self, key: u64) -> Vec<u32> {
        let slot = self.slot(upper(key)).and_then(|slot| self.slots.get(slot));
        let latest = slot.and_then(|place| self.entry(*place));
        let entries = std::iter::successors(latest, |entry| self.entry(entry.before));
        let mut found: Vec<u32> = entries.map(|entry| entry.ordinal).collect();
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
        (0..1000u32).for_each(|n| ids.push(key(n), n));
        for n in 0..300 {
            let expected: Vec<u32> = (0..1000).filter(|other| other % 300 == n).collect();
            assert_eq!(ids.with(key(n)), expected);
        }
        assert!(ids.with(key(1) ^ 1 << 60).is_empty());
    }
}
