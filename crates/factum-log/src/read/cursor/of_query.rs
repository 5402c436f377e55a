//! Filling a batch with what a query selects, by position.

use super::{Cursor, Filling, ORDINALS_AT_ONCE, Pushed};
use crate::{
    error::{Damage, Fault},
    index::select::Window,
    planted::{Bug, is_on},
    segment::Segment,
};
use factum_core::Query;

impl Cursor {
    /// Whether there is nothing more up to the snapshot's end.
    pub(super) fn fill_by_query(
        &mut self,
        query: &Query,
        filling: &mut Filling<'_>,
    ) -> Result<bool, Fault> {
        while !filling.is_full(self.plan.left) {
            let Some(at) = self.place(filling.snapshot.until) else { return Ok(true) };
            let index = filling.snapshot.segment_index(at);
            let (Some(segment), Some(last)) =
                (filling.snapshot.segments.get(index), filling.snapshot.last_ordinal(index))
            else {
                return Ok(true);
            };
            let window = self.piece(segment, at, last)?;
            let may_be_here = self.may_be_in(segment);
            let found = if may_be_here { self.select(segment, query, window)? } else { Vec::new() };
            if found.is_empty() {
                self.pass(segment, window.until);
            }
            for ordinal in found {
                if !self.is_next(segment, ordinal) {
                    continue;
                }
                match self.push(filling, segment, ordinal)? {
                    Pushed::NoRoom if !is_on(Bug::PassWithoutRoom) => return Ok(false),
                    Pushed::NoRoom | Pushed::Passed => self.pass(segment, ordinal),
                    Pushed::Gap => self.pass_gap(segment, (ordinal, window.until))?,
                }
                if filling.is_full(self.plan.left) {
                    break;
                }
            }
        }
        Ok(self.place(filling.snapshot.until).is_none())
    }

    /// The position to look at next; `None` past the end.
    fn place(&self, until: u64) -> Option<u64> {
        let at = self.plan.at?;
        if self.plan.backward {
            Some(at.min(until)).filter(|at| *at > 0)
        } else {
            Some(at).filter(|at| *at <= until)
        }
    }

    /// Whether an ordinal is at the place to look at next, or beyond it.
    fn is_next(&self, segment: &Segment, ordinal: u32) -> bool {
        let position = segment.position(ordinal);
        self.plan.at.is_some_and(|at| match self.plan.backward {
            true => position <= at,
            false => position >= at,
        })
    }

    /// Goes on at the event after a gap, or behind the last ordinal that counts.
    fn pass_gap(&mut self, segment: &Segment, (gap, until): (u32, u32)) -> Result<(), Fault> {
        let backward = self.plan.backward;
        let beside = self.frames.beside(segment, gap, backward)?;
        match beside.filter(|next| if backward { *next >= until } else { *next <= until }) {
            Some(next) => self.plan.at = Some(segment.position(next)),
            None => self.pass(segment, until),
        }
        Ok(())
    }

    fn pass(&mut self, segment: &Segment, ordinal: u32) {
        let position = segment.position(ordinal);
        self.plan.at = match self.plan.backward {
            true => position.checked_sub(1).filter(|at| *at > 0),
            false => Some(position + 1),
        };
    }

    /// The part of a segment from a position on, up to what is missing; a fault where that is right
    /// here.
    fn piece(&self, segment: &Segment, at: u64, last: u32) -> Result<Window, Fault> {
        if at < segment.base() {
            // What was before the first segment is gone.
            return Err(segment.fault(0, Damage::Sequence));
        }
        let from = segment.ordinal(at).min(last);
        if let Some(missing) = segment.missing_at(from) {
            return Err(segment.fault(missing.offset, missing.what));
        }
        let backward = self.plan.backward;
        let until = match segment.lost_at(from) {
            None if backward => behind_holes(segment, from),
            None => before_holes(segment, from).min(last),
            Some(lost) if !lost.is_known => return Err(segment.lost_fault(lost)),
            // The index says whether any of them is wanted: those are met, and answer a fault.
            Some(lost) if backward => lost.ordinals.start,
            Some(lost) => (lost.ordinals.end - 1).min(last),
        };
        let max = usize::try_from(self.plan.left).unwrap_or(usize::MAX).min(ORDINALS_AT_ONCE);
        Ok(Window { from, until, backward, max })
    }

    fn select(
        &mut self,
        segment: &Segment,
        query: &Query,
        window: Window,
    ) -> Result<Vec<u32>, Fault> {
        let Some(file) = Self::file_of(segment) else { return segment.index.select(query, window) };
        let seed = segment.seed();
        if self.lists.as_ref().is_none_or(|(of, _)| *of != seed) {
            self.lists = Some((seed, file.lists(query)?));
        }
        let lists = self.lists.as_ref().map(|(_, lists)| lists);
        Ok(lists.map_or_else(Vec::new, |lists| lists.select(window)))
    }
}

/// The last ordinal before whatever is missing or lost behind an ordinal.
fn before_holes(segment: &Segment, from: u32) -> u32 {
    let missing = segment.missing.iter().map(|missing| missing.ordinals.start);
    let starts = missing.chain(segment.lost.iter().map(|lost| lost.ordinals.start));
    starts.filter(|start| *start > from).min().map_or(u32::MAX, |start| start - 1)
}

/// The first ordinal behind whatever is missing or lost before an ordinal.
fn behind_holes(segment: &Segment, from: u32) -> u32 {
    let missing = segment.missing.iter().map(|missing| missing.ordinals.end);
    let ends = missing.chain(segment.lost.iter().map(|lost| lost.ordinals.end));
    ends.filter(|end| *end <= from).max().unwrap_or(0)
}
