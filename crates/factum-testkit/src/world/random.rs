//! Numbers that follow from a seed, and which seeds a test tries.

use crate::build::mix;

/// A source of numbers: the same seed, the same numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// A number below `end`; 0 where there is none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The skew of a remainder is one in 2^64 / end, which no test here can see.
        if end == 0 { 0 } else { self.next() % end }
    }

    /// One time in so many; never in 0.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        times > 0 && self.below(times) == 0
    }
}

/// The seeds that a test tries: so many from 0 on; where the variable `SEED` is set, that one
/// only, to run a failure again; `SEEDS` sets another number of them.
///
/// ```
/// for seed in factum_testkit::seeds(3) {
///     let world = factum_testkit::SimWorld::new(seed);
///     world.run(async {});
/// }
/// ```
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let one = number("SEED");
    let from = one.unwrap_or(0);
    let count = one.map_or_else(|| number("SEEDS").unwrap_or(count), |_| 1);
    (0..count).map(move |nth| from.wrapping_add(nth))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text:?}")))
}
