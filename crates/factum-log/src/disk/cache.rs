//! Blocks of segments that were read lately, in memory, so many bytes at most: of those that cost
//! more to read than a file does, as they were moved, or compressed.
//!
//! In memory and not on the disk: it is for reads that go on where they were, and what is read
//! often should not have been moved.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A block: of which segment, by its seed, and which one.
pub(crate) type BlockId = (u64, u32);

#[derive(Debug, Default)]
struct Held {
    blocks: HashMap<BlockId, (Arc<[u8]>, u64)>,
    bytes: usize,
    /// Grows with every use: the smallest was used longest ago.
    uses: u64,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct BlockCache {
    held: Mutex<Held>,
    bytes_max: usize,
}

impl BlockCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { held: Mutex::default(), bytes_max }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: BlockId) -> Option<Arc<[u8]>> {
        let mut held = self.held();
        held.uses += 1;
        let uses = held.uses;
        let (block, used) = held.blocks.get_mut(&id)?;
        *used = uses;
        Some(block.clone())
    }

    /// Keeps a block, and lets go of those that were used longest ago. One that is larger than all
    /// there is room for is not kept.
    pub(crate) fn put(&self, id: BlockId, block: &Arc<[u8]>) {
        if block.len() > self.bytes_max {
            return;
        }
        let mut held = self.held();
        held.uses += 1;
        let uses = held.uses;
        held.bytes += block.len();
        if let Some((before, _)) = held.blocks.insert(id, (block.clone(), uses)) {
            held.bytes -= before.len();
        }
        while held.bytes > self.bytes_max {
            let oldest = held.blocks.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = *oldest.expect("what has bytes has blocks").0;
            let gone = held.blocks.remove(&oldest);
            held.bytes -= gone.map_or(0, |(block, _)| block.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_limit_holds() {
        let cache = BlockCache::new(3);
        let block: Arc<[u8]> = Arc::new([7]);
        (0..3).for_each(|n| cache.put((1, n), &block));
        assert!(cache.get((1, 0)).is_some());
        cache.put((1, 3), &block);
        assert!(cache.get((1, 1)).is_none(), "0 was used after it");
        assert!(cache.get((1, 0)).is_some() && cache.get((1, 3)).is_some());
        cache.put((1, 3), &block);
        assert_eq!(cache.held().bytes, 3);
        let large: Arc<[u8]> = Arc::new([0; 4]);
        cache.put((2, 0), &large);
        assert!(cache.get((2, 0)).is_none() && cache.held().bytes == 3);
    }
}
