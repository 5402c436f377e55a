//! Filling a batch with the visible events of a stream, by revision.

use super::{Cursor, Filling, ORDINALS_AT_ONCE, Pushed};
use crate::{
    error::{Damage, Fault},
    index::StreamPart,
    read::snapshot::Snapshot,
    segment::Segment,
};
use factum_core::{Revision, StreamName};
use std::sync::Arc;

/// What of a stream may be seen.
struct Visible {
    first: u64,
    last: u64,
    /// Positions before this one are too old.
    first_position: u64,
}

/// Where some of a stream's events are.
struct Found {
    segment: Arc<Segment>,
    ordinals: Vec<u32>,
}

impl Cursor {
    /// Whether there is nothing more up to the snapshot's end.
    pub(super) fn fill_by_stream(
        &mut self,
        stream: &StreamName,
        filling: &mut Filling<'_>,
    ) -> Result<bool, Fault> {
        let Some(visible) = self.visible(stream, filling.snapshot)? else { return Ok(true) };
        while !filling.is_full(self.plan.left) {
            let Some(at) = self.revision(&visible) else { return Ok(true) };
            let Some(found) = self.find(stream, at, filling.snapshot)? else {
                return filling.snapshot.damage().map_or(Ok(true), Err);
            };
            for ordinal in found.ordinals {
                let is_old = found.segment.position(ordinal) < visible.first_position;
                if is_old && self.plan.backward {
                    self.plan.at = None;
                    return Ok(true);
                }
                let revision = self.revision_of(filling, &found.segment, ordinal)?;
                let expected = self.revision(&visible);
                if let Some(fault) =
                    self.hole(filling.snapshot, &found.segment, (expected, revision))
                {
                    // Nothing from behind the hole is delivered.
                    return Err(fault);
                }
                if revision < visible.first {
                    // Backwards as of the past: all that was there by then is hidden.
                    self.plan.at = None;
                    return Ok(true);
                }
                // A stream's list has no gaps.
                if !is_old && let Pushed::NoRoom = self.push(filling, &found.segment, ordinal)? {
                    return Ok(false);
                }
                self.pass_revision(revision);
                if filling.is_full(self.plan.left) || self.revision(&visible).is_none() {
                    break;
                }
            }
        }
        Ok(self.revision(&visible).is_none())
    }

    fn revision_of(
        &mut self,
        filling: &mut Filling<'_>,
        segment: &Segment,
        ordinal: u32,
    ) -> Result<u64, Fault> {
        filling.looked_at += 1;
        Ok(filling.snapshot.event(&mut self.frames, segment, ordinal)?.entry.revision)
    }

    /// The revision to look at next; `None` past the end.
    fn revision(&self, visible: &Visible) -> Option<u64> {
        let at = self.plan.at?;
        if self.plan.backward {
            Some(at.min(visible.last)).filter(|at| *at >= visible.first)
        } else {
            Some(at.max(visible.first)).filter(|at| *at <= visible.last)
        }
    }

    fn pass_revision(&mut self, revision: u64) {
        self.plan.at = match self.plan.backward {
            true => revision.checked_sub(1),
            false => Some(revision + 1),
        };
    }

    /// What may be seen now, or at the read's beginning; `None` if nothing.
    fn visible(
        &mut self,
        stream: &StreamName,
        snapshot: Snapshot<'_>,
    ) -> Result<Option<Visible>, Fault> {
        let head = self.plan.head.unwrap_or(snapshot.until);
        let whole = Snapshot { until: head, ..snapshot };
        let known = whole.stream_head(&mut self.frames, stream)?;
        whole.check_known(stream)?;
        let Some(Revision(last)) = known.last.filter(|_| !known.tombstoned) else {
            return Ok(None);
        };
        let first_position = match known.metadata.max_age_s {
            None => 0,
            Some(age_s) => whole.first_as_young_as(age_s, self.shared.now())?,
        };
        let first = known.metadata.first_visible(Revision(last)).0;
        Ok(Some(Visible { first, last, first_position }))
    }

    /// A revision that should be there and is not: the damage that opening found. Without any, a
    /// read as of the past passes over what came later; going back is a log that contradicts
    /// itself, which must not be read round and round.
    fn hole(
        &self,
        snapshot: Snapshot<'_>,
        segment: &Segment,
        (expected, found): (Option<u64>, u64),
    ) -> Option<Fault> {
        if expected == Some(found) {
            return None;
        }
        let backward = self.plan.backward;
        let is_back = expected.is_some_and(|at| if backward { found > at } else { found < at });
        let contradiction = || is_back.then(|| segment.fault(0, Damage::Contradiction));
        snapshot.damage().or_else(contradiction)
    }

    /// Some of the stream's events from a revision on.
    fn find(
        &mut self,
        stream: &StreamName,
        revision: u64,
        snapshot: Snapshot<'_>,
    ) -> Result<Option<Found>, Fault> {
        let count = snapshot.segments.len();
        let hint = if self.plan.backward { count } else { self.segment_hint };
        let order: &mut dyn Iterator<Item = usize> =
            if self.plan.backward { &mut (0..hint).rev() } else { &mut (hint..count) };
        for index in order {
            let Some((segment, until)) =
                snapshot.segments.get(index).zip(snapshot.last_ordinal(index))
            else {
                continue;
            };
            if !self.may_be_in(segment) {
                continue;
            }
            let Some(span) = segment.index.span(stream, until)? else { continue };
            let past = span.first_revision + u64::from(span.count);
            let from = match self.plan.backward {
                true if revision < span.first_revision => continue,
                true => (revision - span.first_revision).min(u64::from(span.count) - 1),
                false if revision >= past => continue,
                false => revision.saturating_sub(span.first_revision),
            };
            let from = u32::try_from(from).expect("below a u32");
            let part = StreamPart { from, backward: self.plan.backward, max: ORDINALS_AT_ONCE };
            let mut ordinals = self.part(segment, stream, part)?;
            ordinals.retain(|ordinal| *ordinal <= until);
            self.segment_hint = index;
            return Ok(Some(Found { segment: segment.clone(), ordinals }));
        }
        Ok(None)
    }

    fn part(
        &mut self,
        segment: &Segment,
        stream: &StreamName,
        part: StreamPart,
    ) -> Result<Vec<u32>, Fault> {
        let Some(file) = Self::file_of(segment) else {
            return segment.index.of_stream(stream, part);
        };
        let seed = segment.seed();
        if self.ordinals.as_ref().is_none_or(|(of, _)| *of != seed) {
            let all = StreamPart { from: 0, backward: false, max: usize::MAX };
            self.ordinals = Some((seed, file.of_stream(stream, all)?));
        }
        let ordinals = self.ordinals.as_ref().map(|(_, ordinals)| part.of(ordinals));
        Ok(ordinals.unwrap_or_default())
    }
}
