//! Reading: cursors over the segments, up to the published watermark.
//!
//! A cursor holds a place and a buffer, never a lock: a slow consumer is a cursor that nobody
//! notices, and reads the log again when it goes on.

mod cursor;
mod frames;
mod names;
mod plan;
mod snapshot;

pub use cursor::Cursor;
pub(crate) use frames::FrameReader;
pub(crate) use snapshot::{Pending, Snapshot};

use crate::planted::{Bug, is_on};
pub use crate::shared::Waiter;
use crate::{error::Fault, rewrite::Stop, scrub, shared::Shared};
use factum_core::{
    AppendError, Limits, Position, Read, ReadError, Select, Statistics, StreamMetadata, StreamName,
    StreamState, Subscribe, judge,
};
use plan::Plan;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Reads a store. Clones share it; any thread may hold one.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

/// What a read begins with: all from one snapshot.
#[derive(Debug)]
pub struct Begun {
    /// The store's head.
    pub head: Position,
    /// What the stream is; `None` for a query.
    pub state: Option<StreamState>,
    /// Gives the batches.
    pub cursor: Cursor,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The position of the last durable event.
    #[must_use]
    pub fn head(&self) -> Position {
        self.shared.head()
    }

    /// Why appends are refused, if they are.
    #[must_use]
    pub fn read_only(&self) -> Option<Arc<str>> {
        self.shared.read_only()
    }

    /// Begins a read. `at_least` is not waited for: [`Waiter::wait_past`] is how.
    pub fn read(&self, read: Read) -> Result<Begun, ReadError> {
        check(&read.select, self.shared.limits())?;
        let segments = self.shared.segments();
        let head = if is_on(Bug::ReadToIndexEnd) {
            let newest = segments.last().expect("there is always a segment");
            let end = newest.index.with_memory(|index| index.next()).unwrap_or(0);
            Position(newest.position(end) - 1)
        } else {
            self.shared.head()
        };
        let snapshot = Snapshot { segments: &segments, until: head.0, pending: None };
        let mut frames = FrameReader::default();
        let state = match &read.select {
            Select::Stream(stream) => Some(snapshot.stream_head(&mut frames, stream)?.state()),
            Select::Query(_) => None,
        };
        let plan = Plan::of_read(read, head, &snapshot)?;
        Ok(Begun { head, state, cursor: Cursor::new(self.shared.clone(), plan) })
    }

    /// Begins a subscription.
    pub fn subscribe(&self, subscribe: Subscribe) -> Result<Cursor, ReadError> {
        check(&subscribe.select, self.shared.limits())?;
        Ok(Cursor::new(self.shared.clone(), Plan::of_subscription(subscribe)))
    }

    /// The metadata of a stream.
    pub fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        let segments = self.shared.segments();
        let until = self.shared.head().0;
        let snapshot = Snapshot { segments: &segments, until, pending: None };
        snapshot.check_known(stream)?;
        Ok(snapshot.metadata(&mut FrameReader::default(), stream)?)
    }

    /// The tracked position of a source. Damage anywhere may have taken a later one.
    pub fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        for segment in &*self.shared.segments() {
            if let Some(missing) = segment.missing.first() {
                return Err(segment.fault(missing.offset, missing.what).into());
            }
        }
        Ok(self.shared.tracked(source))
    }

    /// Somebody who can wait for the head to move.
    #[must_use]
    pub fn waiter(&self) -> Waiter {
        Waiter::new(self.shared.clone())
    }

    /// Damage that reading sealed files again in the background has found, a file each, as far as
    /// it is still there.
    #[must_use]
    pub fn damage_found(&self) -> Vec<Fault> {
        self.shared.scrubbed.damaged()
    }

    /// How many positions are lost with segments that were damaged and put aside.
    #[must_use]
    pub fn positions_lost(&self) -> u64 {
        self.shared.segments().iter().map(|segment| segment.lost.count()).sum()
    }

    /// Reads everything that is sealed again, now and as fast as is set; what is found is in
    /// [`Reader::damage_found`]. False if it was stopped.
    pub fn scrub(&self, stop: &Stop) -> bool {
        scrub::pass(&self.shared, stop).is_ok()
    }

    fn tell_scrubbed(&self, all: &mut Statistics) {
        let scrubbed = &self.shared.scrubbed;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let damaged = scrubbed.damaged().len() as u64;
        all.gauge("scrub_damaged_files", damaged, "Files whose damage was found, and is there yet");
        let last = of(&scrubbed.last_pass_s);
        all.gauge("scrub_last_pass_seconds", last, "When all was last read again, since 1970");
        all.counter("scrub_bytes_total", of(&scrubbed.bytes), "Bytes that were read again");
        all.counter("scrub_passes_total", of(&scrubbed.passes), "Times that all was read again");
        all.counter("scrub_damage_total", of(&scrubbed.found), "Times that damage was met so");
        all.counter("scrub_mended_total", of(&scrubbed.mended), "Index files made anew after it");
    }

    /// Why the last sealed segment was not compressed in the background, if it was not: it is as it
    /// was, and is tried again after a minute.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn compression_trouble(&self) -> Option<Arc<str>> {
        self.shared.packing.trouble()
    }

    #[cfg(feature = "zstd")]
    fn tell_packing(&self, all: &mut Statistics) {
        let packing = &self.shared.packing;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let what = "Segments compressed in the background since opening";
        all.counter("compressed_segments_total", of(&packing.segments), what);
        let what = "Times that a segment could not be compressed";
        all.counter("compression_failures_total", of(&packing.failures), what);
    }

    /// Numbers about the store.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut all = Statistics::default();
        let shared = &self.shared;
        let segments = shared.segments();
        let bytes = segments.iter().map(|segment| segment.end()).sum();
        all.gauge("head_position", shared.head().0, "Position of the last event");
        all.gauge("segments", segments.len() as u64, "Files of the log");
        all.gauge("segment_bytes", bytes, "Bytes of the segments, zeroes ahead apart");
        let stored = segments.iter().map(|segment| segment.stored()).sum();
        let what =
            "Bytes that the segments take on this disk: compressed ones less, moved ones none";
        all.gauge("segment_disk_bytes", stored, what);
        #[cfg(feature = "zstd")]
        self.tell_packing(&mut all);
        all.gauge(
            "positions_lost",
            self.positions_lost(),
            "Positions of events that damage took for good",
        );
        let read_only = u64::from(shared.read_only().is_some());
        all.gauge("read_only", read_only, "1 if appends are refused until the store is reopened");
        self.tell_scrubbed(&mut all);
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &shared.counters;
        all.counter("appends_total", of(&counters.appends), "Appends written since opening");
        all.counter("events_total", of(&counters.events), "Events written since opening");
        all.counter("groups_total", of(&counters.groups), "Groups of appends committed");
        all.counter("syncs_total", of(&counters.syncs), "Times the disk was told to make durable");
        all.counter("log_bytes_total", of(&counters.log_bytes), "Bytes written to the log");
        all.counter("refused_total", of(&counters.refused), "Appends refused by their checks");
        all.counter(
            "events_read_total",
            of(&counters.events_read),
            "Events read, for followers too",
        );
        all.histograms.extend([
            counters.append_time.histogram("append_seconds", "From an append to its answer"),
            counters.read_time.histogram("read_seconds", "From a read to its first batch"),
            counters.sync_time.histogram("sync_seconds", "The sync of a group of appends"),
        ]);
        all
    }
}

fn check(select: &Select, limits: &Limits) -> Result<(), ReadError> {
    let Select::Query(query) = select else { return Ok(()) };
    judge::validate_query(query, limits).map_err(|error| match error {
        AppendError::Invalid(invalid) => ReadError::Invalid(invalid),
        other => ReadError::Unsupported { what: other.to_string().into() },
    })
}
