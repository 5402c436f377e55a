//! How large a history and its events are.

use super::Between;
use crate::dice::Dice;

/// What a history is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sizes {
    /// Large events: a few groups fill a segment.
    Crossing,
    /// Events of a few bytes, and now and then a reopening: many operations, quickly.
    Many,
    /// Middling events, and nothing between: a store to damage.
    Still,
}

impl Sizes {
    pub(super) fn group(self, dice: &mut Dice) -> u64 {
        match self {
            Self::Crossing => 1 + dice.below(4),
            Self::Many | Self::Still => 1 + dice.below(2) * dice.below(4),
        }
    }

    /// Now and then an append is of many events: how many, and of how many bytes each. Four frames
    /// of large ones, or so many small ones that an index has several pages.
    pub(super) fn bulk(self, dice: &mut Dice) -> Option<(u64, usize)> {
        match (self, dice.below(80)) {
            (Self::Crossing, 0..6) => Some((3 + dice.below(4), 7_000)),
            (Self::Crossing, 6) => Some((150, 20)),
            _ => None,
        }
    }

    pub(super) fn events(self, dice: &mut Dice) -> u64 {
        match dice.below(10) {
            0 => 2 + dice.below(8),
            1..4 => 2,
            _ => 1,
        }
    }

    pub(super) fn event_bytes(self, dice: &mut Dice) -> usize {
        let bytes = match (self, dice.below(20)) {
            // More than a frame, and more than a segment.
            (Self::Crossing, 0) => *dice.pick(&[17_000, 17_000, 70_000]),
            (Self::Crossing, 1..9) => 1000 + dice.below(2000),
            (Self::Many, 0) => dice.below(4000),
            (Self::Still, _) => 100 + dice.below(700),
            _ => dice.below(60),
        };
        usize::try_from(bytes).expect("small")
    }

    pub(super) fn between(self, dice: &mut Dice) -> Between {
        match (self, dice.below(30)) {
            (Self::Still, _) => Between::Nothing,
            (_, 0) => Between::Reopen,
            (_, 1) => Between::Drop,
            (Self::Many, 2) => Between::DropIndexes,
            (_, 3..13) => Between::Index,
            _ => Between::Nothing,
        }
    }

    /// One task in so many is a change of a stream, one a tracked position alone, and so on.
    pub(super) fn rare_below(self) -> u64 {
        match self {
            Self::Crossing | Self::Many => 16,
            Self::Still => 24,
        }
    }
}
