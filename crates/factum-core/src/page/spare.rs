//! Memory of pages that are gone, for pages to come.
//!
//! Apart, because it is about speed only. An allocator gives blocks as large as a page's back to
//! the system, which then gives them out anew, zeroed, with a page fault for every 4 KiB: half of
//! what reading a stream of 1,000 events cost. What must hold: little is kept, and no page keeps a
//! block alive that it leaves mostly empty.

use super::{PAGE_BYTES_MAX, Slot};
use crate::sync::Mutex;
use std::sync::{Arc, PoisonError};

/// Blocks that are kept, and as many lists of slots.
const KEPT_MAX: usize = 8;
/// What is smaller than this, in bytes, any allocator gives out fast.
pub const SPARE_BYTES_MIN: usize = 32 * 1024;
/// What is larger than this, in bytes, was for a single large event, and is not kept.
const SPARE_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX;
/// The same for slots, of which a page has some thousands at most.
const SLOTS_MIN: usize = 256;
const SLOTS_MAX: usize = 8192;

/// Blocks that nobody uses.
#[derive(Debug, Default)]
pub struct Spare {
    blocks: Mutex<Vec<Vec<u8>>>,
    slots: Mutex<Vec<Vec<Slot>>>,
}

impl Spare {
    /// A block with room for a page. It may hold bytes of its last use.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        let kept = self.blocks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Vec::with_capacity(PAGE_BYTES_MAX))
    }

    /// Gives a block back, to be kept where that is worth while.
    pub fn give(&self, block: Vec<u8>) {
        keep(&self.blocks, block, SPARE_BYTES_MIN..=SPARE_BYTES_MAX);
    }

    pub(super) fn take_slots(&self) -> Vec<Slot> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give_slots(&self, mut slots: Vec<Slot>) {
        slots.clear();
        keep(&self.slots, slots, SLOTS_MIN..=SLOTS_MAX);
    }
}

fn keep<T>(kept: &Mutex<Vec<Vec<T>>>, one: Vec<T>, sizes: std::ops::RangeInclusive<usize>) {
    if sizes.contains(&one.capacity()) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(one);
        }
    }
}

/// A block that is given back when the last who has some of it lets go.
pub(super) struct Lent {
    pub(super) block: Vec<u8>,
    pub(super) spare: Arc<Spare>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.block
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.spare.give(std::mem::take(&mut self.block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(spare: &Spare) -> usize {
        spare.blocks.lock().unwrap().len()
    }

    #[test]
    fn few_blocks_of_the_right_size_are_kept() {
        let spare = Spare::default();
        for bytes in [SPARE_BYTES_MIN - 1, SPARE_BYTES_MAX + 1] {
            spare.give(Vec::with_capacity(bytes));
            assert_eq!(kept(&spare), 0, "{bytes}");
        }
        for _ in 0..KEPT_MAX + 3 {
            spare.give(Vec::with_capacity(SPARE_BYTES_MIN));
        }
        assert_eq!(kept(&spare), KEPT_MAX);
        assert!(spare.take().capacity() < PAGE_BYTES_MAX, "one of those");
    }
}
