//! Verified pages of index files, kept in memory within a limit: what is looked up often is read
//! and checked once.
//!
//! Apart from the files, as all of them share it. A page is known by the opening of its file, never
//! by a name: a file that takes another's place has pages of its own.

use foldhash::fast::FixedState;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a page takes in memory, with what it is found by, in bytes.
const PAGE_BYTES: usize = 4096 + 128;
/// Parts of the cache, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// The bytes of a page.
pub(super) type Page = Arc<[u8]>;
/// The opening of a file, and the number of a page in it.
type Key = (u64, u64);

/// Pages of index files that were read and checked, kept in memory.
///
/// Clones share it: stores that are opened with clones of the same [`Options`](crate::Options)
/// share one limit.
///
/// ```
/// use factum_log::{Options, PageCache};
/// let small = Options { index_pages: PageCache::new(1 << 20), ..Options::default() };
/// assert_eq!(small.index_pages.bytes_max(), 1 << 20);
/// ```
#[derive(Clone)]
pub struct PageCache(Arc<Shared>);

struct Shared {
    parts: Vec<Mutex<Part>>,
    bytes_max: usize,
    pages_max: usize,
    openings: AtomicU64,
}

/// Pages, and a hand that goes round and forgets those that were not used since it was there last.
#[derive(Default)]
struct Part {
    places: HashMap<Key, usize, FixedState>,
    held: Vec<Held>,
    hand: usize,
}

struct Held {
    key: Key,
    page: Page,
    used: bool,
}

impl fmt::Debug for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCache").field("bytes_max", &self.0.bytes_max).finish_non_exhaustive()
    }
}

impl Default for PageCache {
    /// 16 MiB.
    fn default() -> Self {
        Self::new(16 << 20)
    }
}

impl PageCache {
    /// A cache of so many bytes at most; there is room for a page in each of its 16 parts at least.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        let pages_max = (bytes_max / PAGE_BYTES / PARTS).max(1);
        Self(Arc::new(Shared { parts, bytes_max, pages_max, openings: AtomicU64::new(0) }))
    }

    /// The most it takes, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// A number for a file that was opened.
    pub(super) fn opening(&self) -> u64 {
        self.0.openings.fetch_add(1, Ordering::Relaxed)
    }

    fn part<T>(&self, key: Key, change: impl FnOnce(&mut Part) -> T) -> Option<T> {
        // Neighbours are looked up together: they are in different parts.
        let nth = usize::try_from((key.0 ^ key.1) % PARTS as u64).unwrap_or(0);
        let part = self.0.parts.get(nth)?;
        Some(change(&mut part.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// A page, if it is here.
    pub(super) fn get(&self, key: Key) -> Option<Page> {
        self.part(key, |part| {
            let held = part.held.get_mut(*part.places.get(&key)?)?;
            held.used = true;
            Some(held.page.clone())
        })?
    }

    /// Keeps a page that was checked.
    pub(super) fn put(&self, key: Key, page: Page) {
        self.part(key, |part| part.put(Held { key, page, used: false }, self.0.pages_max));
    }
}

impl Part {
    fn put(&mut self, new: Held, pages_max: usize) {
        if self.places.contains_key(&new.key) {
            return;
        }
        if self.held.len() < pages_max {
            self.places.insert(new.key, self.held.len());
            self.held.push(new);
            return;
        }
        loop {
            self.hand = (self.hand + 1) % self.held.len();
            let held = self.held.get_mut(self.hand).expect("the hand is inside");
            if !std::mem::take(&mut held.used) {
                self.places.remove(&held.key);
                self.places.insert(new.key, self.hand);
                *held = new;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_is_used_within_its_limit() {
        let cache = PageCache::new(PAGE_BYTES * PARTS * 4);
        let page = |n: u64| Page::from(n.to_le_bytes().as_slice());
        for n in 0..1000 {
            cache.put((1, n), page(n));
            // This one is used all the time.
            assert_eq!(cache.get((1, 0)), Some(page(0)), "after {n}");
            let held: usize =
                cache.0.parts.iter().map(|part| part.lock().unwrap().held.len()).sum();
            assert!(held <= PARTS * 4, "{held} pages");
        }
        let there = (0..1000).filter_map(|n| Some((n, cache.get((1, n))?)));
        let there: Vec<_> = there.collect();
        assert_eq!(there.len(), PARTS * 4);
        assert!(there.iter().all(|(n, held)| *held == page(*n)));
        assert_eq!(cache.get((2, 0)), None, "another opening");
    }
}
