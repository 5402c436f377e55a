//! Filling a batch with the visible events of a stream, by revision.

use super::{Cursor, Filling, ORDINALS_AT_ONCE, Pushed};
use crate::{
    error::{Damage, Fault},
    index::{Lost, StreamPart},
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

/// An event of a stream, as its index has it.
struct Met<'a> {
    stream: &'a StreamName,
    segment: &'a Segment,
    ordinal: u32,
}

impl Met<'_> {
    fn is_lost(&self) -> bool {
        self.segment.lost_at(self.ordinal).is_some()
    }
}

/// Where some of a stream's events are.
struct Found {
    segment: Arc<Segment>,
    ordinals: Vec<u32>,
    /// The revision of the first of them, by counting.
    revision: u64,
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
            for (nth, ordinal) in (0u64..).zip(found.ordinals) {
                let is_old = found.segment.position(ordinal) < visible.first_position;
                if is_old && self.plan.backward {
                    self.plan.at = None;
                    return Ok(true);
                }
                let met = Met { stream, segment: &found.segment, ordinal };
                let expected = self.revision(&visible);
                // What is lost and hidden is passed over, as if it were there.
                let counted = match self.plan.backward {
                    true => found.revision.saturating_sub(nth),
                    false => found.revision + nth,
                };
                let revision = match met.is_lost() && (is_old || counted < visible.first) {
                    true => counted,
                    false => self.revision_of(filling, &met, expected)?,
                };
                // Nothing from behind a hole is delivered.
                self.check_hole(filling.snapshot, (&met, &visible), (expected, revision))?;
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
        &Met { stream, segment, ordinal }: &Met<'_>,
        expected: Option<u64>,
    ) -> Result<u64, Fault> {
        filling.looked_at += 1;
        let event = filling.snapshot.event(&mut self.frames, segment, ordinal);
        let event = event.map_err(|fault| fault.of_stream(stream, expected.unwrap_or(0)))?;
        Ok(event.entry.revision)
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

    /// Fails where a revision should be there and is not: because of the damage that opening found,
    /// or of a loss of which nothing is known. Without any, a read as of the past passes over what
    /// came later; going back is a log that contradicts itself, which must not be read round and
    /// round.
    fn check_hole(
        &mut self,
        snapshot: Snapshot<'_>,
        (met, visible): (&Met<'_>, &Visible),
        (expected, found): (Option<u64>, u64),
    ) -> Result<(), Fault> {
        if expected == Some(found) {
            return Ok(());
        }
        if let Some(fault) = snapshot.damage() {
            return Err(fault);
        }
        let backward = self.plan.backward;
        if expected.is_some_and(|at| if backward { found > at } else { found < at }) {
            return Err(met.segment.fault(0, Damage::Contradiction));
        }
        match self.loss(snapshot, (met, visible), found)? {
            Some(fault) => Err(fault.of_stream(met.stream, expected.unwrap_or(found))),
            None => Ok(()),
        }
    }

    /// The loss of which nothing is known, and that may have what is not there on the side of an
    /// event that is read last.
    fn loss(
        &mut self,
        snapshot: Snapshot<'_>,
        (met, visible): (&Met<'_>, &Visible),
        found: u64,
    ) -> Result<Option<Fault>, Fault> {
        if snapshot.segments.iter().all(|segment| !segment.has_unknown()) {
            return Ok(None);
        }
        let (backward, position) = (self.plan.backward, met.segment.position(met.ordinal));
        if backward {
            // As of the past, what comes next came later.
            let head = self.plan.head.unwrap_or(snapshot.until);
            let whole = Snapshot { until: head, ..snapshot };
            let next = Revision(found.saturating_add(1));
            if whole.at_revision(&mut self.frames, met.stream, next)?.is_some() {
                return Ok(None);
            }
        }
        let is_meant = |segment: &Segment, lost: &Lost| match backward {
            true => segment.position(lost.ordinals.start) > position,
            false => {
                segment.position(lost.ordinals.start) < position
                    && segment.position(lost.ordinals.end) > visible.first_position
            }
        };
        let of = |segment: &Arc<Segment>| {
            let mut unknown = segment.lost.iter().filter(|lost| !lost.is_known);
            let lost = unknown.find(|lost| is_meant(segment, lost))?;
            Some(segment.lost_fault(lost))
        };
        Ok(snapshot.segments.iter().find_map(of))
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
            let wanted = match self.plan.backward {
                true => revision.saturating_add(1),
                false => revision,
            };
            let frames = &mut self.frames;
            let before = snapshot.place(frames, (segment, stream), (span, wanted))?;
            let from = match self.plan.backward {
                true => before.checked_sub(1),
                false => Some(before).filter(|before| *before < span.count),
            };
            let Some(from) = from else { continue };
            let part = StreamPart { from, backward: self.plan.backward, max: ORDINALS_AT_ONCE };
            let mut ordinals = self.part(segment, stream, part)?;
            ordinals.retain(|ordinal| *ordinal <= until);
            self.segment_hint = index;
            let revision = span.first_revision + u64::from(from);
            return Ok(Some(Found { segment: segment.clone(), ordinals, revision }));
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
