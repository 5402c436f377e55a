//! The one writer: judges appends, encodes them as frames, commits a group with one sync.
//!
//! Which thread syncs: the one that calls [`Writer::step`]. Under [`crate::LogStore`] that is the
//! writer's own thread, so no async worker is ever blocked by a sync.

mod encode;
mod heads;
mod job;
mod view;

pub use job::Job;

use crate::{
    error::Fault,
    format::{
        frame::{FRAME_HEADER_BYTES, FrameHeader, Kind},
        header::HEADER_BYTES,
    },
    planted::{Bug, is_on},
    read::{FrameReader, Pending, Snapshot},
    recovery::{NewSegment, Prepared, index_segment},
    segment::Segment,
    shared::{Counters, Shared},
};
use encode::Encoder;
use factum_core::{
    AppendError, Position, Receipt, Timestamp,
    judge::{Plan, Refusal, Verdict, judge, judge_change},
};
use heads::Heads;
use std::{collections::HashMap, sync::Arc};
use view::WriterView;

/// What a job is answered with.
pub type Reply = Result<Receipt, AppendError>;

/// Where the writer goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    /// One past the last durable byte of the newest segment.
    pub(crate) offset: u64,
    /// Zeroes are written, and durable, up to here.
    pub(crate) zeroed: u64,
    /// The last frame says that the log was closed.
    pub(crate) closed: bool,
    /// Recorded times are not before this.
    pub(crate) floor_ns: i64,
}

/// The one writer of a folder.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    tail: Tail,
    /// Where the segment's first frame after its carry is, or before that.
    start: u64,
    /// Frames that are not written yet, to go at the tail.
    group: Vec<u8>,
    /// The position of the next event.
    next: u64,
    /// Tracked positions of the group.
    tracked: HashMap<Arc<str>, u64>,
    heads: Heads,
    frames: FrameReader,
    /// Sealed segments whose index file is to be written.
    unindexed: Vec<Arc<Segment>>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, tail: Tail) -> Self {
        let segments = shared.segments();
        let segment = segments.last().expect("there is always a segment").clone();
        Self {
            segment,
            tail,
            start: HEADER_BYTES as u64,
            group: Vec::new(),
            next: shared.head().0 + 1,
            tracked: HashMap::new(),
            heads: Heads::new(shared.options.heads_max),
            frames: FrameReader::default(),
            unindexed: Vec::new(),
            shared,
        }
    }

    /// Why appends are refused, if they are.
    #[must_use]
    pub fn read_only(&self) -> Option<Arc<str>> {
        self.shared.read_only()
    }

    /// Judges jobs in order, writes what is to be written, and makes it durable: one sync, unless
    /// there is more than a group holds. Answers in the order of the jobs.
    ///
    /// No answer leaves before the sync, a refusal neither: it may tell of an append that is not
    /// durable yet.
    pub fn step(&mut self, jobs: Vec<Job>) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(jobs.len());
        let mut settled = 0;
        for job in jobs {
            if self.group.len() >= self.shared.options.group_bytes_max {
                self.settle(replies.get_mut(settled..).unwrap_or_default());
                settled = replies.len();
            }
            let reply = match self.judge(job) {
                Ok(Verdict::Write(plan)) => {
                    let needed = encode::bytes_needed(&plan);
                    if self.is_over(needed) {
                        self.settle(replies.get_mut(settled..).unwrap_or_default());
                        settled = replies.len();
                    }
                    self.write(plan, needed)
                }
                Ok(Verdict::Answer(receipt)) => Ok(receipt),
                Err(error) => {
                    Counters::add(&self.shared.counters.refused, 1);
                    Err(error)
                }
            };
            replies.push(reply);
        }
        self.settle(replies.get_mut(settled..).unwrap_or_default());
        replies
    }

    fn judge(&mut self, job: Job) -> Result<Verdict, AppendError> {
        if let Some(why) = self.shared.read_only() {
            return Err(AppendError::ReadOnly { why });
        }
        let segments = self.shared.segments();
        let pending =
            Pending { segment: self.segment.base(), offset: self.tail.offset, bytes: &self.group };
        let mut view = WriterView {
            snapshot: Snapshot {
                segments: &segments,
                until: self.next - 1,
                pending: Some(pending),
            },
            shared: &self.shared,
            frames: &mut self.frames,
            heads: &mut self.heads,
            tracked: &self.tracked,
        };
        let verdict = match job.0 {
            job::Work::Append(append) => judge(append, &mut view),
            job::Work::Change { stream, change, expected } => {
                judge_change(&stream, change, expected, &mut view)
            }
        };
        verdict.map_err(|refusal| match refusal {
            Refusal::Append(error) => error,
            Refusal::View(fault) => fault.into(),
        })
    }

    /// Whether so many bytes more are past the segment's end.
    fn is_over(&self, needed: u64) -> bool {
        let end = self.tail.offset + self.group.len() as u64 + needed;
        let is_used = self.tail.offset + self.group.len() as u64 > self.start;
        end > self.shared.options.segment_bytes && is_used
    }

    /// Encodes a plan into the group. Nothing of it is visible to readers yet.
    fn write(&mut self, plan: Plan, needed: u64) -> Reply {
        if let Some(why) = self.shared.read_only() {
            return Err(AppendError::ReadOnly { why });
        }
        if self.is_over(needed) {
            self.roll()?;
        }
        let end = self.tail.offset + self.group.len() as u64 + needed;
        self.zero_ahead(end).map_err(|fault| self.refuse(&fault))?;
        self.limit_sources(&plan)?;
        let floor_ns = if is_on(Bug::ClockGoesBack) { i64::MIN } else { self.tail.floor_ns };
        let recorded_at = self.shared.now().max(Timestamp(floor_ns));
        self.tail.floor_ns = recorded_at.0;
        let mut encoder = Encoder {
            group: &mut self.group,
            offset: self.tail.offset,
            segment: &self.segment,
            recorded_at,
        };
        encoder.append(&plan);
        self.next += plan.events.len() as u64;
        self.heads.apply(&plan);
        let receipt = plan.receipt(Position(self.next - 1));
        Counters::add(&self.shared.counters.appends, 1);
        Counters::add(&self.shared.counters.events, plan.events.len() as u64);
        if let Some(tracking) = plan.tracking {
            self.tracked.insert(tracking.source, tracking.position);
        }
        Ok(receipt)
    }

    fn limit_sources(&self, plan: &Plan) -> Result<(), AppendError> {
        let Some(tracking) = &plan.tracking else { return Ok(()) };
        let source = &tracking.source;
        if self.tracked.contains_key(source) || self.shared.tracked(source).is_some() {
            return Ok(());
        }
        let known = self.shared.all_tracked();
        let new = self.tracked.keys().filter(|source| !known.contains_key(*source)).count();
        let actual = known.len() + new + 1;
        let limit = self.shared.options.sources_max;
        if actual > limit {
            return Err(AppendError::TooLarge { what: "tracked sources", actual, limit });
        }
        Ok(())
    }

    /// What to answer where the disk refuses before anything of an append was written. A full disk
    /// is not the end: the next append tries again.
    fn refuse(&self, fault: &Fault) -> AppendError {
        if let Some(why) = self.shared.read_only() {
            return AppendError::ReadOnly { why };
        }
        if fault.is_full() {
            return AppendError::Unavailable {
                why: format!("the disk is full ({fault}): free some space and retry").into(),
            };
        }
        self.shared.poison(fault);
        let why = self.shared.read_only().expect("it was poisoned above");
        AppendError::ReadOnly { why }
    }

    /// Commits the group, and says in the replies what came of it.
    fn settle(&mut self, replies: &mut [Reply]) {
        if self.group.is_empty() {
            return;
        }
        let unknown = match self.shared.read_only() {
            // The disk failed while the group was made: none of it is written any more.
            Some(_) => None,
            None => match self.commit() {
                Ok(()) => return,
                Err(fault) => {
                    self.shared.poison(&fault);
                    Some(fault.to_string())
                }
            },
        };
        // What is not durable is never tried again.
        self.group.clear();
        let why = self.shared.read_only().expect("the writer is poisoned");
        for reply in replies {
            *reply = Err(match (&reply, &unknown) {
                (Ok(_), Some(fault)) => AppendError::Unknown { why: fault.clone().into() },
                // Not written, or judged against appends that may never have been.
                _ => AppendError::ReadOnly { why: why.clone() },
            });
        }
        self.shared.wake();
    }

    /// Writes the group, syncs, and lets readers see it. The first failure poisons: a sync is
    /// never retried, as the kernel may have dropped what it could not write.
    fn commit(&mut self) -> Result<(), Fault> {
        let segment = &self.segment;
        let bytes = self.group.len() as u64;
        let written = segment.file.write_at(&self.group, self.tail.offset);
        written.map_err(Fault::io("write", &segment.path))?;
        self.make_durable()?;
        self.tail.offset += bytes;
        self.tail.closed = false;
        self.group.clear();
        segment.publish(self.tail.offset);
        let counters = &self.shared.counters;
        Counters::add(&counters.groups, 1);
        Counters::add(&counters.syncs, 1);
        Counters::add(&counters.log_bytes, bytes);
        self.shared.publish(Position(self.next - 1), self.tracked.drain().collect());
        Ok(())
    }

    fn make_durable(&self) -> Result<(), Fault> {
        if is_on(Bug::AcknowledgeBeforeSync) {
            return Ok(());
        }
        let synced = match self.segment.file.sync() {
            Err(_) if is_on(Bug::RetrySync) => self.segment.file.sync(),
            synced => synced,
        };
        synced.map_err(Fault::io("sync", &self.segment.path))
    }

    /// Makes sure that a write up to `end` changes neither the file's length nor its extents.
    fn zero_ahead(&mut self, end: u64) -> Result<(), Fault> {
        if end <= self.tail.zeroed {
            return Ok(());
        }
        let options = &self.shared.options;
        // Twice as far each time, so that a small store stays small.
        let ahead = self.tail.zeroed.max(ZERO_AHEAD_MIN).min(options.zero_ahead_bytes_max);
        let wanted = (self.tail.zeroed + ahead).min(options.segment_bytes).max(end);
        match self.zero_up_to(wanted) {
            // The last bytes of a disk are for events, not for zeroes.
            Err(fault) if fault.is_full() && wanted > end => self.zero_up_to(end),
            done => done,
        }
    }

    fn zero_up_to(&mut self, end: u64) -> Result<(), Fault> {
        let len = usize::try_from(end - self.tail.zeroed).expect("a segment fits in memory");
        let segment = &self.segment;
        let written = segment.file.write_at(&vec![0; len], self.tail.zeroed);
        written.map_err(Fault::io("write zeroes ahead to", &segment.path))?;
        segment.file.sync().map_err(Fault::io("sync", &segment.path))?;
        Counters::add(&self.shared.counters.syncs, 1);
        self.tail.zeroed = end;
        Ok(())
    }

    /// Seals the segment and goes on in a new one. The group has been committed.
    fn roll(&mut self) -> Result<(), AppendError> {
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
            floor_ns: self.tail.floor_ns,
            tracked: &tracked,
        };
        // What takes space comes first: where the disk is full, nothing has changed.
        let prepared = Prepared::new(&self.shared.dir, &self.shared.options, &new);
        let prepared = prepared.map_err(|fault| match fault.is_full() {
            true => self.refuse(&fault),
            // The log is as it was: the next append tries again.
            false => fault.into(),
        })?;
        let sealed = if replaces { Ok(()) } else { self.mark(Kind::Sealed) };
        let finished = sealed.and_then(|()| prepared.finish(&self.shared.options));
        // After the seal there is no way back into this segment.
        let segment = finished.map_err(|fault| {
            self.shared.poison(&fault);
            self.refuse(&fault)
        })?;
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

    /// Writes a frame without content, which says that all before it is durable, and syncs.
    fn mark(&mut self, kind: Kind) -> Result<(), Fault> {
        let header = FrameHeader {
            len: 0,
            ordinal: self.segment.ordinal(self.next),
            recorded_at_ns: self.tail.floor_ns,
            durable: u32::try_from(self.tail.offset).expect("a segment is smaller than 4 GiB"),
            count: 0,
            kind,
            first: true,
            last: true,
            tracking: false,
        };
        let mut frame = [0; FRAME_HEADER_BYTES];
        header.seal(&mut frame, self.segment.place(self.tail.offset));
        let segment = &self.segment;
        let written = segment.file.write_at(&frame, self.tail.offset);
        written.map_err(Fault::io("write", &segment.path))?;
        if !(kind == Kind::Sealed && is_on(Bug::SealWithoutSync)) {
            segment.file.sync().map_err(Fault::io("sync", &segment.path))?;
        }
        Counters::add(&self.shared.counters.syncs, 1);
        self.tail.offset += frame.len() as u64;
        segment.publish(self.tail.offset);
        Ok(())
    }

    /// Sealed segments whose index file is to be written, for [`Unindexed::write`] on any thread.
    pub fn take_unindexed(&mut self) -> Vec<Unindexed> {
        let shared = &self.shared;
        let unindexed = std::mem::take(&mut self.unindexed);
        unindexed.into_iter().map(|segment| Unindexed { shared: shared.clone(), segment }).collect()
    }

    /// Says in the log that all of it is durable, so that damage to its end is told from a torn
    /// write. Does nothing if nothing was written since the last time.
    pub fn close(&mut self) -> Result<(), Fault> {
        // Tracked positions alone are something too.
        let is_fresh = self.tail.offset <= self.start;
        if self.tail.closed || is_fresh || self.shared.read_only().is_some() {
            return Ok(());
        }
        self.mark(Kind::Closed).inspect_err(|fault| self.shared.poison(fault))?;
        self.tail.closed = true;
        Ok(())
    }
}

/// The least that is zeroed ahead, in bytes.
const ZERO_AHEAD_MIN: u64 = 256 * 1024;

/// A sealed segment whose index is in memory still.
#[derive(Debug)]
pub struct Unindexed {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
}

impl Unindexed {
    /// Writes the index file and uses it. Failing loses nothing: the index stays in memory.
    pub fn write(&self) -> Result<(), Fault> {
        index_segment(&self.shared.dir, &self.shared.options, &self.segment)
    }
}
