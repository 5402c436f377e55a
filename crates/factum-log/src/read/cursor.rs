//! A cursor: a place in the store, from which batches are taken.

mod of_query;
mod of_stream;

use super::{
    FrameReader,
    names::{NameCache, NamesOf},
    plan::{Plan, Scope},
    snapshot::Snapshot,
};
use crate::{
    error::Fault,
    index::{IndexFile, directory::Search, select::Lists},
    segment::Segment,
    shared::{Counters, Shared},
};
use factum_core::{
    Batch, Position, ReadError, Revision, Timestamp,
    page::{Entry, PAGE_BYTES_MAX, PageBuilder},
    query::Subject,
};
use std::sync::Arc;

/// Events in one batch, at most.
const BATCH_EVENTS_MAX: usize = 4096;
/// Events looked at for one batch, at most: a filter that selects little still moves on.
const LOOKED_AT_MAX: usize = 32_768;
/// Ordinals taken from an index at once.
const ORDINALS_AT_ONCE: usize = 512;

/// A place in the store. Reading one batch may block on the disk.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    plan: Plan,
    frames: FrameReader,
    names: NameCache,
    /// The lists of the sealed segment that is being read, with its seed.
    lists: Option<(u64, Lists<Vec<u32>>)>,
    /// The stream's ordinals in the sealed segment that is being read, with its seed.
    ordinals: Option<(u64, Vec<u32>)>,
    /// Which segments are passed over.
    search: Option<Search>,
    /// Where the stream is looked for first.
    segment_hint: usize,
    /// The last checkpoint.
    reached: u64,
}

/// A batch in the making.
struct Filling<'a> {
    snapshot: Snapshot<'a>,
    page: PageBuilder,
    looked_at: usize,
}

impl Filling<'_> {
    fn is_full(&self, left: u64) -> bool {
        self.page.len() as u64 >= left
            || self.page.len() >= BATCH_EVENTS_MAX
            || self.page.block_len() >= PAGE_BYTES_MAX
            || self.looked_at >= LOOKED_AT_MAX
    }
}

impl Cursor {
    pub(super) fn new(shared: Arc<Shared>, plan: Plan) -> Self {
        Self {
            frames: FrameReader::reusing(&shared.spare),
            shared,
            names: NameCache::default(),
            lists: None,
            ordinals: None,
            search: None,
            reached: if plan.backward { plan.until.unwrap_or(0).saturating_add(1) } else { 0 },
            segment_hint: 0,
            plan,
        }
    }

    /// Whether it goes on for ever.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.plan.until.is_none()
    }

    /// The batches of a read, up to the one that has caught up, or fails.
    pub(crate) fn batches(mut self) -> impl Iterator<Item = Result<Batch, ReadError>> {
        let mut ended = false;
        std::iter::from_fn(move || {
            let batch = (!ended).then(|| self.next_batch())?;
            ended = batch.as_ref().map_or(true, |batch| batch.caught_up);
            Some(batch)
        })
    }

    /// Reads the next batch, which may be empty. A read has ended with the batch that says it has
    /// caught up; a subscription goes on when the head moves.
    pub fn next_batch(&mut self) -> Result<Batch, ReadError> {
        let shared = self.shared.clone();
        let until = self.plan.until.unwrap_or_else(|| shared.head().0);
        let segments = shared.segments();
        let snapshot = Snapshot { segments: &segments, until, pending: None };
        let mut filling =
            Filling { snapshot, page: PageBuilder::reusing(&shared.spare), looked_at: 0 };
        let ended = if self.plan.left == 0 {
            true
        } else {
            let filled = match self.plan.scope.clone() {
                Scope::Query(query) => self.fill_by_query(&query, &mut filling),
                Scope::Stream(stream) => self.fill_by_stream(&stream, &mut filling),
            };
            match filled {
                // What is whole is delivered; the fault is met again at the next call.
                Err(_) if !filling.page.is_empty() => false,
                filled => filled?,
            }
        };
        let events = filling.page.build();
        Counters::add(&shared.counters.events_read, events.len() as u64);
        self.plan.left -= events.len() as u64;
        let end = if self.plan.backward { 0 } else { until };
        let is_live = self.is_live();
        let reached = match &self.plan.scope {
            // The next place, one back.
            Scope::Query(_) if self.plan.backward => {
                self.plan.at.map_or(0, |at| at.min(until).saturating_add(1))
            }
            Scope::Query(_) => self.plan.at.map_or(until, |at| at - 1).min(until),
            Scope::Stream(_) => events.last().map_or(self.reached, |event| event.position().0),
        };
        self.reached = if ended && self.plan.left > 0 { end } else { reached };
        let caught_up = ended || self.plan.left == 0;
        if caught_up && is_live {
            self.rest();
        }
        Ok(Batch { events, through: Position(self.reached), caught_up })
    }

    /// Adds an event to the batch, unless it occurred too late.
    fn push(
        &mut self,
        filling: &mut Filling<'_>,
        segment: &Segment,
        ordinal: u32,
    ) -> Result<Pushed, Fault> {
        filling.looked_at += 1;
        let snapshot = filling.snapshot;
        let Some(event) = snapshot.event_or_gap(&mut self.frames, segment, ordinal)? else {
            return Ok(Pushed::Gap);
        };
        let recorded_at = Timestamp(event.header.recorded_at_ns);
        let occurred_at = event.entry.occurred_at.unwrap_or(recorded_at);
        if self.plan.occurred_by.is_some_and(|moment| occurred_at > moment) {
            return Ok(Pushed::Passed);
        }
        let payload = event.data().len() + event.metadata().len();
        if !filling.page.is_empty() && filling.page.block_len() + payload > PAGE_BYTES_MAX {
            return Ok(Pushed::NoRoom);
        }
        let NamesOf { stream, event_type, tags } = self.names.of(segment, event.entry)?;
        if let Scope::Query(query) = &self.plan.scope
            && !super::snapshot::is_exact(query)
            && !query.matches(Subject { stream, event_type, tags })
        {
            return Ok(Pushed::Passed);
        }
        let entry = Entry {
            stream,
            revision: Revision(event.entry.revision),
            position: Position(segment.position(ordinal)),
            recorded_at,
            id: event.entry.id,
            event_type,
            tags,
            content_type: event.entry.content_type,
            occurred_at: event.entry.occurred_at,
            data: filling.page.copy(event.data()),
            metadata: filling.page.copy(event.metadata()),
        };
        filling.page.push(entry);
        Ok(Pushed::Passed)
    }

    /// Lets go of everything but the place: whoever waits for what comes holds nothing.
    fn rest(&mut self) {
        self.frames = FrameReader::reusing(&self.shared.spare);
        self.names = NameCache::default();
        self.lists = None;
        self.ordinals = None;
        self.search = None;
    }

    /// Whether a segment may have what is read.
    fn may_be_in(&mut self, segment: &Segment) -> bool {
        let of_scope = || match &self.plan.scope {
            Scope::Query(query) => Search::query(query),
            Scope::Stream(stream) => Search::stream(stream),
        };
        self.search.get_or_insert_with(of_scope).may_be_in(&segment.index)
    }

    fn file_of(segment: &Segment) -> Option<Arc<IndexFile>> {
        segment.index.as_file()
    }
}

/// What became of an event that was looked at.
enum Pushed {
    /// It is in the batch, or is not wanted.
    Passed,
    /// It belongs in the next batch.
    NoRoom,
    /// There is no event any more.
    Gap,
}
