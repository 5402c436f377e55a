//! What the rows share: numbers that follow from a seed, and what a client was told.

use factum_app::Receipt;

/// A number that is spread over all bits (the finisher of SplitMix64).
pub(crate) fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Numbers that follow from a seed.
pub(crate) struct Spread(pub(crate) u64);

impl Spread {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = spread(self.0);
        self.0 % end
    }
}

/// What a client was told.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was done.
    Wrote(Receipt),
    /// Nothing was to be done, or it was refused, because of this.
    Saw(String),
    /// It failed: it may have been done.
    Failed,
}
