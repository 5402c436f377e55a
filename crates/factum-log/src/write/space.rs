//! Room for what is to be written: zeroes ahead, the next segment, and a disk that has none.

use super::{Reply, Tail, Writer};
use crate::{
    error::Fault,
    format::frame::Kind,
    planted::{Bug, is_on},
    recovery::{NewSegment, Prepared, index_segment},
    segment::Segment,
    shared::{Counters, Shared},
};
use factum_core::{AppendError, Position, Receipt};
use std::sync::{Arc, PoisonError};

impl Writer {
    /// Whether so many bytes more are past the segment's end.
    pub(super) fn is_over(&self, needed: u64) -> bool {
        let end = self.tail.offset + self.group.len() as u64 + needed;
        let is_used = self.tail.offset + self.group.len() as u64 > self.start;
        end > self.shared.options.segment_bytes && is_used
    }

    /// Makes sure that a write up to `end` changes neither the file's length nor its extents.
    pub(super) fn zero_ahead(&mut self, end: u64) -> Result<(), Fault> {
        let options = &self.shared.options;
        let zeroed = self.segment.zero_ahead(self.tail.zeroed, end, options)?;
        if zeroed > self.tail.zeroed {
            Counters::add(&self.shared.counters.syncs, 1);
            self.tail.zeroed = zeroed;
        }
        Ok(())
    }

    /// Seals the segment that holds a position, if it is the newest. The group has been committed.
    pub(super) fn seal(&mut self, position: Position) -> Reply {
        if let Some(why) = self.shared.read_only() {
            return Err(AppendError::ReadOnly { why });
        }
        if (self.segment.base()..self.next).contains(&position.0) {
            self.roll()?;
        }
        let (position, streams) = (Position(self.next - 1), Vec::new());
        Ok(Receipt { position, streams, replayed: false })
    }

    /// Seals the segment and goes on in a new one. The group has been committed.
    pub(super) fn roll(&mut self) -> Result<(), AppendError> {
        assert!(self.group.is_empty(), "a group never spans two segments");
        let mut tracked = self.shared.all_tracked();
        tracked.extend(self.tracked.iter().map(|(source, at)| (source.clone(), *at)));
        if is_on(Bug::ForgetTracking) {
            tracked.clear();
        }
        // Without events both would have the same name: the new one takes the place of this one,
        // whose tracked positions it carries.
        let replaces = self.next == self.segment.base();
        let new = NewSegment {
            store: self.segment.header.store,
            number: self.segment.header.number + u64::from(!replaces),
            base: self.next,
            floor_ns: if is_on(Bug::ForgetFloor) { i64::MIN } else { self.tail.floor_ns },
            tracked: &tracked,
        };
        // What takes space comes first: where the disk is full, nothing has changed.
        let prepared = Prepared::new(&self.shared.dir, &self.shared.options, &new);
        let prepared = prepared.map_err(|fault| match fault.is_full() {
            true => self.refuse(&fault),
            // The log is as it was: the next append tries again.
            false => fault.into(),
        })?;
        let is_early = is_on(Bug::NameBeforeSeal);
        let sealed = if replaces || is_early { Ok(()) } else { self.mark(Kind::Sealed) };
        let finished = sealed.and_then(|()| prepared.finish(&self.shared.options));
        // After the seal there is no way back into this segment.
        let segment = finished.map_err(|fault| {
            if !is_on(Bug::GoOnAfterSeal) {
                self.shared.poison(&fault);
            }
            self.refuse(&fault)
        })?;
        if is_early && !replaces {
            self.mark(Kind::Sealed)?;
        }
        let end = segment.end();
        let segment = Arc::new(segment);
        self.shared.add_segment(segment.clone());
        let before = std::mem::replace(&mut self.segment, segment);
        if !replaces {
            self.unindexed.push(before);
        }
        let floor_ns = self.tail.floor_ns;
        self.tail = Tail { offset: end, zeroed: end, closed: false, floor_ns };
        self.start = end;
        Ok(())
    }

    /// What to answer where the disk refuses before anything of an append was written. A full disk
    /// is not the end: the next append tries again.
    pub(super) fn refuse(&self, fault: &Fault) -> AppendError {
        if let Some(why) = self.shared.read_only() {
            return AppendError::ReadOnly { why };
        }
        if fault.is_full() && !is_on(Bug::PoisonWhenFull) {
            return AppendError::Unavailable {
                why: format!("the disk is full ({fault}): free some space and retry").into(),
            };
        }
        self.shared.poison(fault);
        let why = self.shared.read_only().expect("it was poisoned above");
        AppendError::ReadOnly { why }
    }

    /// Sealed segments whose index file is to be written, for [`Unindexed::write`] on any thread.
    pub fn take_unindexed(&mut self) -> Vec<Unindexed> {
        let unindexed = std::mem::take(&mut self.unindexed);
        unindexed.into_iter().map(|segment| Unindexed::new(&self.shared, segment)).collect()
    }
}

/// Merges after an index file is written, at most: more than one segment makes due, so that what
/// was left undone is caught up with.
const MERGES_MAX: usize = 4;

/// A sealed segment whose index is in memory still.
#[derive(Debug)]
pub struct Unindexed {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
}

impl Unindexed {
    pub(crate) fn new(shared: &Arc<Shared>, segment: Arc<Segment>) -> Self {
        Self { shared: shared.clone(), segment }
    }

    /// Writes the index file and uses it; then merges index files into the directory, where that
    /// is due. Failing loses nothing: the index stays in memory, the segments are asked themselves.
    pub fn write(&self) -> Result<(), Fault> {
        self.index()?;
        self.shared.tend_directory(MERGES_MAX).map(|_| ())
    }

    fn index(&self) -> Result<(), Fault> {
        let _files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.shared.has_segment(&self.segment) {
            // It was rewritten meanwhile, and its index with it.
            return Ok(());
        }
        index_segment(&self.shared.dir, &self.shared.options, &self.segment)
    }
}
