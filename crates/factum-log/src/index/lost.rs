//! Which events of a segment are lost, and accepted as such: ranges of ordinals.

use std::ops::Range;

/// Ordinals in a row whose events are lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lost {
    pub(crate) ordinals: Range<u32>,
    /// The index has what was there: streams, revisions, types, tags. Otherwise nothing is known.
    pub(crate) is_known: bool,
}

/// All that a segment has lost, in order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct AllLost(Vec<Lost>);

impl AllLost {
    /// Adds a range after the last one.
    pub(crate) fn push(&mut self, lost: Lost) {
        match self.0.last_mut() {
            Some(last)
                if last.ordinals.end == lost.ordinals.start && last.is_known == lost.is_known =>
            {
                last.ordinals.end = lost.ordinals.end;
            }
            _ => self.0.push(lost),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Lost> {
        self.0.iter()
    }

    /// How many positions.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|lost| u64::from(lost.ordinals.end - lost.ordinals.start)).sum()
    }

    /// The range that an ordinal is in.
    pub(crate) fn at(&self, ordinal: u32) -> Option<&Lost> {
        let after = self.0.partition_point(|lost| lost.ordinals.start <= ordinal);
        let lost = after.checked_sub(1).and_then(|last| self.0.get(last))?;
        lost.ordinals.contains(&ordinal).then_some(lost)
    }

    /// The first range of which nothing is known, among those that touch these ordinals.
    pub(crate) fn unknown_in(&self, ordinals: Range<u32>) -> Option<&Lost> {
        let touches =
            |lost: &&Lost| lost.ordinals.start < ordinals.end && ordinals.start < lost.ordinals.end;
        self.0.iter().filter(|lost| !lost.is_known).find(touches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(ordinals: Range<u32>, is_known: bool) -> Lost {
        Lost { ordinals, is_known }
    }

    #[test]
    fn neighbours_become_one_range_if_they_are_alike() {
        let mut all = AllLost::default();
        for one in [lost(2..4, true), lost(4..5, true), lost(5..7, false), lost(9..10, false)] {
            all.push(one);
        }
        let expected = [lost(2..5, true), lost(5..7, false), lost(9..10, false)];
        assert_eq!(all.0, expected);
        assert_eq!((all.count(), all.is_empty()), (6, false));
        let at = |ordinal| all.at(ordinal).map(|lost| lost.ordinals.start);
        assert_eq!(
            [1, 2, 4, 5, 7, 9, 10].map(at),
            [None, Some(2), Some(2), Some(5), None, Some(9), None]
        );
        let unknown = |range| all.unknown_in(range).map(|lost| lost.ordinals.start);
        assert_eq!(unknown(0..5), None);
        assert_eq!((unknown(0..6), unknown(6..100)), (Some(5), Some(5)));
        assert_eq!((unknown(7..9), unknown(9..10)), (None, Some(9)));
    }
}
