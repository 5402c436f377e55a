//! A hash table of places in a list: open addressing, linear probing, in one piece of memory. Part
//! of the hash lies beside each place, so that hardly ever a wrong one is looked at.

/// The fewest slots of a table; always a power of two.
const SLOTS_MIN: usize = 16;

/// Places by a part of a hash.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Key, and place + 1; 0 for none. Three quarters full at most.
    slots: Vec<(u32, u32)>,
    taken: usize,
}

impl Slots {
    /// The place under a key that is the one wanted.
    pub(super) fn get(&self, key: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let (_, place) = self.slots.get(self.find(key, is_it)?)?;
        place.checked_sub(1)
    }

    /// Puts a place under a key, instead of the one wanted, which it gives back.
    pub(super) fn put(&mut self, key: u32, place: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.find(key, is_it).expect("there are slots");
        let slot = self.slots.get_mut(slot).expect("a slot is in the table");
        let before = slot.1.checked_sub(1);
        *slot = (key, place + 1);
        self.taken += usize::from(before.is_none());
        before
    }

    /// The slot of the place wanted, or the empty one where it would go; `None` without any slots.
    fn find(&self, key: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = key as usize & mask;
        loop {
            let (there, place) = *self.slots.get(slot)?;
            match place.checked_sub(1) {
                Some(place) if there != key || !is_it(place) => slot = (slot + 1) & mask,
                _ => return Some(slot),
            }
        }
    }

    fn grow(&mut self) {
        let more = vec![(0, 0); (self.slots.len() * 2).max(SLOTS_MIN)];
        for (key, place) in std::mem::replace(&mut self.slots, more) {
            if place > 0 {
                // All that come again are different.
                let slot = self.find(key, |_| false).expect("there are slots");
                *self.slots.get_mut(slot).expect("a slot is in the table") = (key, place);
            }
        }
    }
}
