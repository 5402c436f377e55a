//! Questions about the state up to a position: heads of streams, metadata, ids, matches, times.

use super::frames::{EventAt, FrameReader};
use crate::{
    error::{Damage, Fault},
    index::{FrameRef, StreamPart, StreamSpan, directory::Search, partition, select::Window},
    planted::{Bug, is_on},
    segment::Segment,
};
use factum_core::{
    EventType, Query, Revision, StreamMetadata, StreamName, Tag, Timestamp, Uuid,
    judge::{FoundAt, StreamHead},
    query::Subject,
    system,
};
use std::sync::{Arc, LazyLock};

/// Encoded frames that are not on disk yet, at the end of the newest segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending<'a> {
    /// The segment's seed.
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Pending<'a> {
    pub(super) fn at(&self, segment: &Segment, frame: FrameRef) -> Option<&'a [u8]> {
        let from = u64::from(frame.offset).checked_sub(self.offset)?;
        let from = usize::try_from(from).ok()?;
        let is_here = segment.seed() == self.segment;
        self.bytes.get(from..from + frame.bytes as usize).filter(|_| is_here)
    }
}

/// The store up to a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    pub(crate) segments: &'a [Arc<Segment>],
    /// The last position that counts.
    pub(crate) until: u64,
    pub(crate) pending: Option<Pending<'a>>,
}

/// Where a stream's event is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InStream<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) ordinal: u32,
    pub(crate) revision: u64,
}

impl<'a> Snapshot<'a> {
    /// Segments with a position that counts, the newest first, each with its last ordinal.
    pub(crate) fn newest_first(self) -> impl Iterator<Item = (&'a Segment, u32)> {
        let segments = self.segments.iter().rev().map(|segment| &**segment);
        let counting = segments.filter(move |segment| segment.base() <= self.until);
        counting.map(move |segment| (segment, segment.ordinal(self.until)))
    }

    /// The same, without those that cannot have what is searched for.
    fn searched(self, mut search: Search) -> impl Iterator<Item = (&'a Segment, u32)> {
        self.newest_first().filter(move |(segment, _)| search.may_be_in(&segment.index))
    }

    /// The place of the segment that holds a position, in the order of segments.
    pub(crate) fn segment_index(&self, position: u64) -> usize {
        let after = self.segments.partition_point(|segment| segment.base() <= position);
        after.saturating_sub(1)
    }

    /// The last ordinal of a segment that counts; `None` if none does.
    pub(crate) fn last_ordinal(&self, index: usize) -> Option<u32> {
        let segment = self.segments.get(index)?;
        let next = self.segments.get(index + 1).map_or(u64::MAX, |next| next.base());
        let last = self.until.min(next - 1);
        (last >= segment.base()).then(|| segment.ordinal(last))
    }

    /// The event with an ordinal that an index gave: it is there.
    pub(crate) fn event<'f>(
        &self,
        frames: &'f mut FrameReader,
        segment: &Segment,
        ordinal: u32,
    ) -> Result<EventAt<'f>, Fault> {
        let contradiction = || segment.fault(0, Damage::Contradiction);
        check_there(segment, ordinal)?;
        if let Some(place) = frames.place(segment, ordinal) {
            return frames.at(place).ok_or_else(contradiction);
        }
        let frame = frames.frame(segment, ordinal)?.ok_or_else(contradiction)?;
        let event = frames.event(segment, frame, ordinal, self.pending)?;
        event.ok_or_else(|| segment.fault(frame.offset.into(), Damage::Contradiction))
    }

    /// The event with any ordinal; `None` where a rewritten segment has none.
    pub(crate) fn event_or_gap<'f>(
        &self,
        frames: &'f mut FrameReader,
        segment: &Segment,
        ordinal: u32,
    ) -> Result<Option<EventAt<'f>>, Fault> {
        if !segment.has_gaps() {
            return self.event(frames, segment, ordinal).map(Some);
        }
        check_there(segment, ordinal)?;
        match frames.frame(segment, ordinal)? {
            Some(frame) => frames.event(segment, frame, ordinal, self.pending),
            None => Ok(None),
        }
    }

    /// The last event of a stream.
    fn last_of(&self, stream: &StreamName) -> Result<Option<InStream<'a>>, Fault> {
        for (segment, until) in self.searched(Search::stream(stream)) {
            if let Some(span) = segment.index.span(stream, until)? {
                let earlier = if is_on(Bug::CountInSegment) { 0 } else { span.first_revision };
                let revision = earlier + u64::from(span.count) - 1;
                return Ok(Some(InStream { segment, ordinal: span.last, revision }));
            }
        }
        Ok(None)
    }

    fn is_tombstone(&self, frames: &mut FrameReader, at: InStream<'_>) -> Result<bool, Fault> {
        if !at.segment.index.has_type(system::STREAM_DELETED)? {
            return Ok(false);
        }
        if at.segment.lost_at(at.ordinal).is_some() {
            return has_type(at, system::STREAM_DELETED);
        }
        let number = self.event(frames, at.segment, at.ordinal)?.entry.event_type;
        let name = at.segment.index.event_type(number)?;
        Ok(name.is_some_and(|name| name.as_str() == system::STREAM_DELETED))
    }

    /// Fails where damage may have taken the last events of a stream, or what was last said of it:
    /// what its metadata hides must not come back. Of what is known to be lost the index says what
    /// it was.
    pub(crate) fn check_known(&self, stream: &StreamName) -> Result<(), Fault> {
        if !stream.is_metadata()
            && let Some(at) = self.last_of(&stream.metadata_stream())?
        {
            check_there(at.segment, at.ordinal)?;
        }
        if self.segments.iter().all(|segment| segment.missing.is_empty()) {
            return Ok(());
        }
        self.check_last(stream)?;
        if stream.is_metadata() { Ok(()) } else { self.check_last(&stream.metadata_stream()) }
    }

    fn check_last(&self, stream: &StreamName) -> Result<(), Fault> {
        for (segment, until) in self.newest_first() {
            let last = segment.index.span(stream, until)?.map(|span| span.last);
            let is_after = |start: u32| last.is_none_or(|last| start > last);
            let mut missing = segment.missing.iter();
            let lost = |missing: &&crate::segment::Missing| {
                !missing.ordinals.is_empty() && is_after(missing.ordinals.start)
            };
            if let Some(lost) = missing.find(lost) {
                return Err(segment.fault(lost.offset, lost.what));
            }
            if last.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(crate) fn metadata(
        &self,
        frames: &mut FrameReader,
        stream: &StreamName,
    ) -> Result<StreamMetadata, Fault> {
        let initial = StreamMetadata::initial(stream);
        let Some(at) = self.last_of(&stream.metadata_stream())? else { return Ok(initial) };
        let event = self.event(frames, at.segment, at.ordinal)?;
        Ok(StreamMetadata::from_json(event.data()).unwrap_or(initial))
    }

    pub(crate) fn stream_head(
        &self,
        frames: &mut FrameReader,
        stream: &StreamName,
    ) -> Result<StreamHead, Fault> {
        let mut last = self.last_of(stream)?;
        let is_holed =
            |at: &&mut InStream<'_>| !at.segment.missing.is_empty() || at.segment.has_unknown();
        if let Some(at) = last.as_mut().filter(is_holed) {
            // Some of the stream may be lost before it: counting says too little.
            at.revision = self.event(frames, at.segment, at.ordinal)?.entry.revision;
        }
        let tombstoned = match last {
            Some(at) => self.is_tombstone(frames, at)?,
            None => false,
        };
        let metadata = match self.metadata(frames, stream) {
            // Appends go on, and so does setting it anew; reads are refused until then.
            Err(Fault::Lost { .. }) => StreamMetadata::initial(stream),
            metadata => metadata?,
        };
        let last = last.map(|at| Revision(at.revision));
        Ok(StreamHead { last, tombstoned, metadata: shared(metadata) })
    }

    /// The stream's event of this revision.
    pub(crate) fn at_revision(
        &self,
        frames: &mut FrameReader,
        stream: &StreamName,
        revision: Revision,
    ) -> Result<Option<InStream<'a>>, Fault> {
        for (segment, until) in self.searched(Search::stream(stream)) {
            let Some(span) = segment.index.span(stream, until)? else { continue };
            if revision.0 < span.first_revision {
                continue;
            }
            let from = self.place(frames, (segment, stream), (span, revision.0))?;
            let part = StreamPart { from, backward: false, max: 1 };
            let ordinals = segment.index.of_stream(stream, part)?;
            let Some(ordinal) = ordinals.first().copied().filter(|_| from < span.count) else {
                return Ok(None);
            };
            let is_it = !segment.has_unknown()
                || self.event(frames, segment, ordinal)?.entry.revision == revision.0;
            let at = InStream { segment, ordinal, revision: revision.0 };
            return Ok(is_it.then_some(at));
        }
        Ok(None)
    }

    /// How many of a stream's events in a segment come before a revision. They follow each other,
    /// so that counting says it, unless events are lost of which nothing is known.
    pub(crate) fn place(
        &self,
        frames: &mut FrameReader,
        (segment, stream): (&Segment, &StreamName),
        (span, revision): (StreamSpan, u64),
    ) -> Result<u32, Fault> {
        if !segment.has_unknown() {
            let nth = revision.saturating_sub(span.first_revision).min(span.count.into());
            return Ok(u32::try_from(nth).expect("below a u32"));
        }
        let all = StreamPart { from: 0, backward: false, max: span.count as usize };
        let ordinals = segment.index.of_stream(stream, all)?;
        let count = partition(ordinals.len() as u64, |nth| {
            let nth = usize::try_from(nth).expect("below a length");
            let ordinal = *ordinals.get(nth).expect("below the length");
            Ok(self.event(frames, segment, ordinal)?.entry.revision < revision)
        })?;
        Ok(u32::try_from(count).expect("a segment's events are few"))
    }

    /// Where the stream has an event with this id; at the hint, if there too.
    pub(crate) fn find(
        &self,
        frames: &mut FrameReader,
        (stream, id): (&StreamName, Uuid),
        hint: Option<Revision>,
    ) -> Result<Option<FoundAt>, Fault> {
        if let Some(hint) = hint
            && let Some(at) = self.at_revision(frames, stream, hint)?
            && at.segment.lost_at(at.ordinal).is_none()
            && (is_on(Bug::TrustHint) || self.event(frames, at.segment, at.ordinal)?.entry.id == id)
        {
            let position = factum_core::Position(at.segment.position(at.ordinal));
            return Ok(Some(FoundAt { position, revision: hint }));
        }
        let most = if is_on(Bug::FindInNewestOnly) { 1 } else { usize::MAX };
        let mut search = Search::id(stream, id);
        let newest = self.newest_first().take(most);
        for (segment, until) in newest.filter(|(segment, _)| search.may_be_in(&segment.index)) {
            let found = segment.index.with_id(stream, id)?;
            for ordinal in found.into_iter().rev().filter(|ordinal| *ordinal <= until) {
                if let Some(lost) = segment.lost_at(ordinal) {
                    // Of its id a part of its hash is left: it may be the one, or may not.
                    if is_of(segment, stream, ordinal)? {
                        return Err(segment.lost_fault(lost));
                    }
                    continue;
                }
                let entry = self.event(frames, segment, ordinal)?.entry;
                let (number, revision) = (entry.stream, Revision(entry.revision));
                let is_it = entry.id == id;
                if is_it && segment.index.stream_name(number)?.as_ref() == Some(stream) {
                    let position = factum_core::Position(segment.position(ordinal));
                    return Ok(Some(FoundAt { position, revision }));
                }
            }
        }
        Ok(None)
    }

    /// The first event after a position that a query selects.
    pub(crate) fn first_match(
        &self,
        frames: &mut FrameReader,
        query: &Query,
        after: u64,
    ) -> Result<Option<u64>, Fault> {
        let mut index = self.segment_index(after.saturating_add(1));
        let mut search = Search::query(query);
        while let Some(until) = self.last_ordinal(index) {
            let segment = self.segments.get(index).expect("it has a last ordinal");
            let from = segment.ordinal(after.saturating_add(1).max(segment.base()));
            let unknown = segment.lost.unknown_in(from..until.saturating_add(1));
            let upto = unknown.map_or(Some(until), |lost| lost.ordinals.start.checked_sub(1));
            if let Some(until) = upto.filter(|upto| from <= *upto)
                && search.may_be_in(&segment.index)
            {
                let window = Window { from, until, backward: false, max: MATCHES_AT_ONCE };
                if let Some(ordinal) = self.first_in(frames, segment, query, window)? {
                    return Ok(Some(segment.position(ordinal)));
                }
            }
            if let Some(lost) = unknown {
                // Any of them may have matched.
                return Err(segment.lost_fault(lost));
            }
            index += 1;
        }
        Ok(None)
    }

    fn first_in(
        &self,
        frames: &mut FrameReader,
        segment: &Segment,
        query: &Query,
        mut window: Window,
    ) -> Result<Option<u32>, Fault> {
        loop {
            let found = segment.index.select(query, window)?;
            if is_exact(query) && !segment.has_gaps() {
                return Ok(found.first().copied());
            }
            let mut at = window.from;
            for ordinal in &found {
                if *ordinal < at {
                    continue;
                }
                if is_exact(query) && segment.lost_at(*ordinal).is_some() {
                    return Ok(Some(*ordinal));
                }
                let Some(event) = self.event_or_gap(frames, segment, *ordinal)? else {
                    let Some(next) = frames.beside(segment, *ordinal, false)? else {
                        return Ok(None);
                    };
                    at = next;
                    continue;
                };
                if matches(segment, query, event)? {
                    return Ok(Some(*ordinal));
                }
            }
            match found.last().filter(|_| found.len() == window.max) {
                Some(last) => window.from = at.max(last + 1),
                None => return Ok(None),
            }
        }
    }

    /// The first damage that opening found and that took events.
    pub(crate) fn damage(&self) -> Option<Fault> {
        let lost = |segment: &Arc<Segment>| {
            let missing = segment.missing.iter().find(|missing| !missing.ordinals.is_empty())?;
            Some(segment.fault(missing.offset, missing.what))
        };
        self.segments.iter().find_map(lost)
    }

    /// The first position that was recorded after a moment; one past the last if none was.
    pub(crate) fn first_recorded_after(&self, moment: Timestamp) -> Result<u64, Fault> {
        let past = self.until + 1;
        if let Some(fault) = self.damage() {
            return Err(fault);
        }
        // Recorded times ascend, so the answer is in the last segment whose floor is not after it.
        let begun = self.segments.partition_point(|segment| {
            segment.base() <= self.until && segment.header.floor_ns <= moment.0
        });
        let index = begun.saturating_sub(1);
        let Some(segment) = self.segments.get(index) else { return Ok(past) };
        let frames = u64::from(segment.index.frames());
        let nth = partition(frames, |nth| {
            let nth = u32::try_from(nth).expect("a segment's frames are few");
            Ok(self.recorded_at(index, nth)?.is_some_and(|at| at <= moment))
        })?;
        let nth = u32::try_from(nth).expect("a segment's frames are few");
        let next = self.segments.get(index + 1).map_or(past, |next| next.base());
        let frame = segment.index.nth_frame(nth)?;
        Ok(frame.map_or(next, |frame| segment.position(frame.ordinal)).min(past))
    }

    /// The first position that is at most so many seconds old. Where lost events come before it,
    /// nobody knows when they were recorded: they may have been as young.
    pub(crate) fn first_as_young_as(&self, age_s: u64, now: Timestamp) -> Result<u64, Fault> {
        let age_ns = i64::try_from(age_s).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        let oldest = now.0.saturating_sub(age_ns);
        let mut first = self.first_recorded_after(Timestamp(oldest.saturating_sub(1)))?;
        while let Some(before) = first.checked_sub(1).filter(|before| *before > 0)
            && let Some(segment) = self.segments.get(self.segment_index(before))
            && let Some(lost) = segment.lost_at(segment.ordinal(before.max(segment.base())))
        {
            first = segment.position(lost.ordinals.start);
        }
        Ok(first)
    }

    /// When the nth frame of a segment was recorded; `None` if it does not count.
    fn recorded_at(&self, index: usize, nth: u32) -> Result<Option<Timestamp>, Fault> {
        let Some((segment, last)) = self.segments.get(index).zip(self.last_ordinal(index)) else {
            return Ok(None);
        };
        match segment.index.nth_frame(nth)? {
            Some(frame) if frame.ordinal <= last => {
                Ok(Some(Timestamp(segment.frame_header(frame)?.recorded_at_ns)))
            }
            _ => Ok(None),
        }
    }
}

/// Fails where the event with an ordinal is lost.
fn check_there(segment: &Segment, ordinal: u32) -> Result<(), Fault> {
    segment.lost_at(ordinal).map_or(Ok(()), |lost| Err(segment.lost_fault(lost)))
}

/// Whether an event has a type, by the index alone.
fn has_type(at: InStream<'_>, name: &str) -> Result<bool, Fault> {
    let query = Query::types([EventType::trusted(name.into())]);
    let window = Window { from: at.ordinal, until: at.ordinal, backward: false, max: 1 };
    Ok(!at.segment.index.select(&query, window)?.is_empty())
}

/// Whether an event is one of a stream, by the index alone.
fn is_of(segment: &Segment, stream: &StreamName, ordinal: u32) -> Result<bool, Fault> {
    let all = StreamPart { from: 0, backward: false, max: usize::MAX };
    Ok(segment.index.of_stream(stream, all)?.binary_search(&ordinal).is_ok())
}

/// Most streams have no metadata: those share it, as the writer remembers many heads.
fn shared(metadata: StreamMetadata) -> Arc<StreamMetadata> {
    static NONE: LazyLock<Arc<StreamMetadata>> = LazyLock::new(Arc::default);
    if metadata == **NONE { NONE.clone() } else { Arc::new(metadata) }
}

/// Candidates looked at before asking the index again.
const MATCHES_AT_ONCE: usize = 256;

/// Whether the index alone can tell what a query selects.
pub(super) fn is_exact(query: &Query) -> bool {
    match query {
        Query::All => true,
        Query::AnyOf(items) => items
            .iter()
            .all(|item| item.stream_prefixes.is_empty() && item.type_prefixes.is_empty()),
    }
}

/// Whether a query selects this event, by its names.
fn matches(segment: &Segment, query: &Query, event: EventAt<'_>) -> Result<bool, Fault> {
    let lost = || segment.fault(0, Damage::Contradiction);
    let entry = event.entry;
    let stream = segment.index.stream_name(entry.stream)?.ok_or_else(lost)?;
    let event_type: EventType = segment.index.event_type(entry.event_type)?.ok_or_else(lost)?;
    let tags = entry.tags.iter().map(|tag| segment.index.tag(*tag)?.ok_or_else(lost));
    let tags: Vec<Tag> = tags.collect::<Result<_, Fault>>()?;
    Ok(query.matches(Subject { stream: &stream, event_type: &event_type, tags: &tags }))
}
