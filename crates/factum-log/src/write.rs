//! The one writer: judges appends, encodes them as frames, commits a group with one sync.
//!
//! Which thread syncs: the one that calls [`Writer::step`]. Under [`crate::LogStore`] that is the
//! writer's own thread, so no async worker is ever blocked by a sync.

mod commit;
mod encode;
mod heads;
mod job;
mod space;
mod view;

pub use job::Job;
pub use space::Unindexed;

use crate::{
    format::header::HEADER_BYTES,
    planted::{Bug, is_on},
    read::{FrameReader, Pending, Snapshot},
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
            if let job::Work::Seal(position) = job.0 {
                self.settle(replies.get_mut(settled..).unwrap_or_default());
                replies.push(self.seal(position));
                settled = replies.len();
                continue;
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
            Pending { segment: self.segment.seed(), offset: self.tail.offset, bytes: &self.group };
        let mut view = WriterView {
            snapshot: Snapshot {
                segments: &segments,
                until: if is_on(Bug::JudgeDurableOnly) {
                    self.shared.head().0
                } else {
                    self.next - 1
                },
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
            job::Work::Seal(_) => unreachable!("sealing is not judged"),
        };
        verdict.map_err(|refusal| match refusal {
            Refusal::Append(error) => error,
            Refusal::View(fault) => fault.into(),
        })
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
}
