//! What of a damaged segment stays, and what is lost: each position is one or the other, or had no
//! event any more.

use super::{
    Loss, LostEvent, LostRange, Spot, recall,
    salvage::{Kept, Piece, Salvage},
};
use crate::{
    format::{
        frame::Kind,
        header::{REWRITTEN, SegmentHeader},
    },
    index::{Index, Lost},
    planted::{Bug, is_on},
    rewrite::Remains,
};
use factum_core::Position;
use std::{collections::BTreeMap, ops::Range, path::PathBuf};

/// A damaged segment.
pub(super) struct Subject {
    pub(super) path: PathBuf,
    /// Its head, or what its neighbours say must be in it.
    pub(super) header: SegmentHeader,
    /// The first position of the one after it; `None` for the newest.
    pub(super) next: Option<u64>,
    pub(super) is_there: bool,
    /// What was read of it, where that could be checked.
    pub(super) salvage: Option<Salvage>,
    /// Its index file, if it has one.
    pub(super) index: Option<Index>,
    pub(super) damage: Vec<Spot>,
    /// It ends before the place where it ended when the store was closed.
    pub(super) is_short: bool,
}

/// What becomes of it.
pub(super) struct Plan {
    pub(super) subject: Subject,
    /// Positions that the segment takes.
    pub(super) count: u32,
    /// Frames that stay, in order.
    pub(super) kept: Vec<Kept>,
    kept_events: u64,
    /// What is lost, in order; none of it inside of an append that stays.
    pub(super) pieces: Vec<Piece>,
}

impl Plan {
    pub(super) fn new(mut subject: Subject, keeps_whole: bool) -> Self {
        if let Some(salvage) = subject.salvage.as_mut().filter(|_| !keeps_whole) {
            salvage.nothing_kept();
        }
        let count = subject.count();
        let mut pieces = subject.lost_before();
        let recalled = subject.recalled(count);
        let mut covered: Vec<Range<u32>> =
            pieces.iter().map(|piece| piece.lost.ordinals.clone()).collect();
        covered.extend(subject.kept_ordinals());
        covered.sort_by_key(|range| range.start);
        match recalled {
            Some(recalled) => pieces.extend(known(recalled, &covered, count)),
            None => pieces.extend(unknown(&subject.may_be_lost(count, keeps_whole), &covered)),
        }
        pieces.sort_by_key(|piece| piece.lost.ordinals.start);
        if is_on(Bug::ForgetRange) && pieces.len() > 1 {
            pieces.pop();
        }
        let salvage = subject.salvage.as_ref();
        let frames = salvage.map_or(&[][..], |salvage| &salvage.frames);
        let is_kept = |kept: &&Kept| kept.header.kind == Kind::Events;
        let kept = frames.iter().filter(is_kept).copied().collect();
        let kept_events = salvage.map_or(0, |salvage| salvage.events.len() as u64);
        Self { subject, count, kept, kept_events, pieces }
    }

    /// The same, as it is told.
    pub(super) fn loss(&self) -> Loss {
        let base = self.subject.header.base;
        let at = |ordinal: u32| base + u64::from(ordinal);
        let mut lost: Vec<LostRange> = Vec::new();
        for piece in &self.pieces {
            let Lost { ordinals, is_known } = piece.lost.clone();
            let (from, upto) = (at(ordinals.start), at(ordinals.end) - 1);
            match lost.last_mut() {
                Some(last) if last.is_known == is_known && last.positions.end() + 1 == from => {
                    last.positions = *last.positions.start()..=upto;
                }
                _ => lost.push(LostRange { positions: from..=upto, is_known }),
            }
        }
        let event = |one: &Remains| LostEvent {
            position: Position(at(one.ordinal)),
            stream: one.stream.clone(),
            revision: one.revision,
            event_type: one.event_type.clone(),
        };
        Loss {
            base: Position(base),
            last: Position(at(self.count) - 1),
            file: self.subject.path.clone(),
            damage: self.subject.damage.clone(),
            kept: self.kept_events,
            lost,
            events: self.pieces.iter().flat_map(|piece| &piece.remains).map(event).collect(),
            is_newest: self.subject.next.is_none(),
            aside: None,
        }
    }
}

impl Subject {
    /// How many positions the segment took, as far as anybody knows; one at least.
    fn count(&self) -> u32 {
        let base = self.header.base;
        if let Some(next) = self.next {
            return u32::try_from(next - base).unwrap_or(u32::MAX);
        }
        let scanned = self.salvage.as_ref().map_or(0, |salvage| {
            // An end that is gone had an event at least.
            salvage.scan.index.next().saturating_add(u32::from(self.is_short))
        });
        let indexed = self.index.as_ref().map_or(0, Index::next);
        scanned.max(indexed).max(1)
    }

    /// What the segment says is lost since it took the place of a damaged one.
    fn lost_before(&self) -> Vec<Piece> {
        let Some(salvage) = &self.salvage else { return Vec::new() };
        salvage.lost.clone()
    }

    /// What the index knows of events, if it is whole, of all positions of the segment, and says of
    /// those that are there what they are.
    fn recalled(&self, count: u32) -> Option<BTreeMap<u32, Remains>> {
        let index = self.index.as_ref().filter(|index| index.next() >= count)?;
        let recalled = recall::recall(index).ok()?;
        let Some(salvage) = &self.salvage else { return Some(recalled) };
        let index = &salvage.scan.index;
        let agrees = salvage.events.iter().all(|event| {
            recalled.get(&event.ordinal).is_some_and(|known| {
                known.revision == event.revision
                    && index.stream_name(event.stream).as_ref() == Some(&known.stream)
                    && index.event_type(event.event_type).as_ref() == Some(&known.event_type)
            })
        });
        agrees.then_some(recalled)
    }

    /// The ordinals of events that stay, in ranges.
    fn kept_ordinals(&self) -> Vec<Range<u32>> {
        let events = self.salvage.as_ref().map_or(&[][..], |salvage| &salvage.events);
        in_ranges(events.iter().map(|event| event.ordinal))
    }

    /// Where events may be lost that no index knows: in a segment that was rewritten there was none
    /// at some of its positions.
    fn may_be_lost(&self, count: u32, keeps_whole: bool) -> Vec<Range<u32>> {
        let was_rewritten = self.header.features & REWRITTEN != 0;
        match &self.salvage {
            Some(salvage) if was_rewritten && keeps_whole => {
                let missing = salvage.scan.missing.iter().map(|one| one.ordinals.clone());
                let rest = salvage.scan.index.next()..count;
                let halves = salvage.half.iter().map(|ordinal| *ordinal..*ordinal + 1);
                let mut all: Vec<_> = missing.chain(halves).chain([rest]).collect();
                all.sort_by_key(|range| range.start);
                all
            }
            _ => Vec::from([Range { start: 0, end: count }]),
        }
    }
}

/// Ascending ordinals in ranges.
fn in_ranges(ordinals: impl Iterator<Item = u32>) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for ordinal in ordinals {
        match ranges.last_mut() {
            Some(last) if last.end == ordinal => last.end += 1,
            _ => ranges.push(ordinal..ordinal + 1),
        }
    }
    ranges
}

/// What an index knows of events that are not covered.
fn known(recalled: BTreeMap<u32, Remains>, covered: &[Range<u32>], count: u32) -> Vec<Piece> {
    let is_covered = |ordinal: u32| {
        let after = covered.partition_point(|range| range.start <= ordinal);
        after
            .checked_sub(1)
            .and_then(|nth| covered.get(nth))
            .is_some_and(|it| it.contains(&ordinal))
    };
    let mut pieces: Vec<Piece> = Vec::new();
    let is_lost = |one: &Remains| one.ordinal < count && !is_covered(one.ordinal);
    for one in recalled.into_values().filter(is_lost) {
        let ordinal = one.ordinal;
        match pieces.last_mut() {
            Some(last) if last.lost.ordinals.end == ordinal => {
                last.lost.ordinals.end += 1;
                last.remains.push(one);
            }
            _ => {
                let lost = Lost { ordinals: ordinal..ordinal + 1, is_known: true };
                pieces.push(Piece { lost, remains: vec![one] });
            }
        }
    }
    pieces
}

/// What of some ranges is not covered, both in order.
fn unknown(ranges: &[Range<u32>], covered: &[Range<u32>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut put = |ordinals: Range<u32>| {
        if !ordinals.is_empty() {
            let lost = Lost { ordinals, is_known: false };
            pieces.push(Piece { lost, remains: Vec::new() });
        }
    };
    for range in ranges {
        let mut at = range.start;
        for one in covered.iter().filter(|one| one.end > range.start && one.start < range.end) {
            put(at..one.start.max(at));
            at = at.max(one.end);
        }
        put(at..range.end);
    }
    pieces
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are what is meant")]
mod tests {
    use super::*;

    fn check(ranges: &[Range<u32>], covered: &[Range<u32>], expected: &[Range<u32>]) {
        let found: Vec<_> =
            unknown(ranges, covered).into_iter().map(|piece| piece.lost.ordinals).collect();
        assert_eq!(found, expected, "{ranges:?} without {covered:?}");
    }

    #[test]
    fn what_is_not_covered_is_lost() {
        check(&[0..10], &[], &[0..10]);
        check(&[0..10], &[0..2, 4..5, 9..10], &[2..4, 5..9]);
        check(&[0..10], &[0..10], &[]);
        check(&[2..4, 6..8], &[0..3, 7..20], &[3..4, 6..7]);
        check(&[2..4], &[0..1, 5..6], &[2..4]);
        assert_eq!(in_ranges([1, 2, 3, 7, 9, 10].into_iter()), [1..4, 7..8, 9..11]);
    }
}
