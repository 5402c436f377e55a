//! What the writer and all readers share: the list of segments, the watermark, who waits for it.

use crate::{
    durations::Durations, error::Fault, index::directory, options::Options, scrub::Scrubbed,
    segment::Segment, watermark::Watermark,
};
use factum_core::{Limits, Position, Timestamp, page::Spare};
use std::{
    any::Any,
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
};

/// Segments in the order of their positions. There is always one.
pub(crate) type Segments = Arc<Vec<Arc<Segment>>>;

/// Counters, since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appends: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) events_read: AtomicU64,
    /// From the call to its answer.
    pub(crate) append_time: Durations,
    /// From the call to the first batch.
    pub(crate) read_time: Durations,
    /// Of groups: the one sync that each of them costs.
    pub(crate) sync_time: Durations,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) counters: Counters,
    pub(crate) scrubbed: Scrubbed,
    /// Memory for batches.
    pub(crate) spare: Arc<Spare>,
    #[cfg(feature = "zstd")]
    pub(crate) packing: crate::packed::Packing,
    /// Held by the one that changes sealed segments.
    pub(crate) maintenance: Mutex<()>,
    /// Held while a file of a sealed segment, or its index, gets its name: one at a time, so that
    /// the index of a segment that was replaced meanwhile does not.
    pub(crate) files: Mutex<()>,
    segments: RwLock<Segments>,
    watermark: Watermark,
    tracked: RwLock<HashMap<Arc<str>, u64>>,
    read_only: RwLock<Option<Arc<str>>>,
    /// Held by whoever merges index files.
    tending: Mutex<()>,
    /// Held until the last user of the folder is gone.
    _lock: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dir", &self.dir).field("head", &self.head()).finish()
    }
}

/// What opening found.
pub(crate) struct Opened {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) head: Position,
    pub(crate) tracked: HashMap<Arc<str>, u64>,
    pub(crate) read_only: Option<Arc<str>>,
    pub(crate) lock: Box<dyn Any + Send + Sync>,
}

impl Shared {
    pub(crate) fn new(opened: Opened) -> Self {
        assert!(!opened.segments.is_empty(), "there is always a segment");
        Self {
            dir: opened.dir,
            options: opened.options,
            counters: Counters::default(),
            scrubbed: Scrubbed::default(),
            spare: Arc::default(),
            #[cfg(feature = "zstd")]
            packing: crate::packed::Packing::default(),
            maintenance: Mutex::default(),
            files: Mutex::default(),
            segments: RwLock::new(Arc::new(opened.segments)),
            watermark: Watermark::new(opened.head),
            tracked: RwLock::new(opened.tracked),
            read_only: RwLock::new(opened.read_only),
            tending: Mutex::default(),
            _lock: opened.lock,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// Merges index files into the directory, at most so many times; whether more is due. Does
    /// nothing while another thread does it.
    pub(crate) fn tend_directory(&self, merges_max: usize) -> Result<bool, Fault> {
        let Ok(_tending) = self.tending.try_lock() else { return Ok(false) };
        directory::tend(&self.dir, &self.options, (&self.segments(), merges_max))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.options.world.clock.now()
    }

    /// See [`crate::clock::Clock::ticks_ns`].
    pub(crate) fn ticks_ns(&self) -> u64 {
        self.options.world.clock.ticks_ns()
    }

    /// How long it is since then.
    pub(crate) fn since_ns(&self, began_ns: u64) -> u64 {
        self.ticks_ns().saturating_sub(began_ns)
    }

    pub(crate) fn segments(&self) -> Segments {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds the newest segment. One of the same base takes the place of the last, which had no
    /// event.
    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let mut longer = segments.to_vec();
        longer.pop_if(|last| last.base() == segment.base());
        longer.push(segment);
        *segments = Arc::new(longer);
    }

    /// The bases of all segments but the newest.
    pub(crate) fn sealed_bases(&self) -> Vec<u64> {
        let segments = self.segments();
        let sealed = segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        sealed.iter().map(|segment| segment.base()).collect()
    }

    /// The segment with this base, unless it is the newest.
    pub(crate) fn sealed_segment(&self, base: u64) -> Option<Arc<Segment>> {
        let segments = self.segments();
        let (_, sealed) = segments.split_last()?;
        let at = sealed.binary_search_by_key(&base, |segment| segment.base()).ok()?;
        sealed.get(at).cloned()
    }

    /// Whether a segment is in the list still.
    pub(crate) fn has_segment(&self, segment: &Segment) -> bool {
        self.segments().iter().any(|one| one.seed() == segment.seed())
    }

    /// Puts a rewritten segment in the place of the one that it was made of. Reads that have begun
    /// go on in either.
    ///
    /// # Panics
    /// If that one is not in the list: nothing else takes the place of a sealed segment.
    pub(crate) fn replace_segment(&self, before: &Segment, segment: Arc<Segment>) {
        assert_eq!(before.base(), segment.base(), "a segment keeps its place");
        assert_ne!(before.seed(), segment.seed(), "what is remembered goes by the seed");
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = segments.to_vec();
        let place = changed.iter_mut().find(|place| place.seed() == before.seed());
        *place.expect("one maintenance at a time changes sealed segments") = segment;
        *segments = Arc::new(changed);
    }

    /// The position of the last durable event.
    pub(crate) fn head(&self) -> Position {
        self.watermark.head()
    }

    /// Lets readers see up to a position, and wakes who waits for more.
    pub(crate) fn publish(&self, head: Position, tracked: Vec<(Arc<str>, u64)>) {
        if !tracked.is_empty() {
            let mut all = self.tracked.write().unwrap_or_else(PoisonError::into_inner);
            all.extend(tracked);
        }
        self.watermark.publish(head);
    }

    /// Wakes everybody who waits for the head to move.
    pub(crate) fn wake(&self) {
        self.watermark.wake();
    }

    /// Ends every subscription: nothing more will come.
    pub(crate) fn close(&self) {
        self.watermark.close();
    }

    pub(crate) fn tracked(&self, source: &str) -> Option<u64> {
        self.tracked.read().unwrap_or_else(PoisonError::into_inner).get(source).copied()
    }

    pub(crate) fn all_tracked(&self) -> HashMap<Arc<str>, u64> {
        self.tracked.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why appends are refused, if they are.
    pub(crate) fn read_only(&self) -> Option<Arc<str>> {
        self.read_only.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses all appends from now on, until the folder is opened again.
    pub(crate) fn poison(&self, fault: &dyn std::fmt::Display) {
        let why = format!("{fault}; nothing more is written until the store is opened again");
        let mut read_only = self.read_only.write().unwrap_or_else(PoisonError::into_inner);
        read_only.get_or_insert(why.into());
    }
}

/// One who may wait for the head to move. Dropping it forgets its waker, so that consumers who
/// come and go on a quiet store leave nothing behind.
#[derive(Debug)]
pub struct Waiter {
    shared: Arc<Shared>,
    number: u64,
}

impl Waiter {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let number = shared.watermark.number();
        Self { shared, number }
    }

    /// Asks for a wake-up when the head is past `seen`. False if it is already, or if the store is
    /// closed, so that nothing more will come.
    #[must_use]
    pub fn wait_past(&self, seen: Position, waker: &Waker) -> bool {
        self.shared.watermark.wait_past(self.number, seen, waker)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.watermark.forget(self.number);
    }
}

#[cfg(test)]
impl Shared {
    pub(crate) fn waiting_count(&self) -> usize {
        self.watermark.waiting_count()
    }
}
