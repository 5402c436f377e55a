//! Bits flipped in a closed store, one at a time: in the end each bit of each of its bytes.

use super::{Find, Meter, store::Closed};
use crate::{dice::Dice, work::folder};

/// Of the zeroes after what a file holds, one byte in so many.
const ZEROES_EVERY: usize = 97;
/// A store's bytes are dealt out to so many cases, so that each is short.
const SLICES: u64 = 16;
/// Each byte is met so often, each time with another bit.
const BITS: u64 = 8;
const STORES: u64 = 16;
/// All bits of each byte of these stores.
pub(super) const CASES: u64 = STORES * BITS * SLICES;

pub(super) fn case(number: u64, meter: &mut Meter) -> Result<(), Find> {
    let (slice, round) = (number % SLICES, number / SLICES);
    let (round, seed) = (round % BITS, round / BITS);
    let store = Closed::new(seed)?;
    let mut places = Vec::new();
    for (path, content) in &store.files {
        let len = store.disk.bytes(store.disk.find(path).expect("it is there")).len();
        places.extend((0..*content).map(|at| (path, at)));
        places.extend((*content..len).step_by(ZEROES_EVERY).map(|at| (path, at)));
    }
    // Dealt out one by one: where time is short, what was looked at is spread over all files.
    let slice = usize::try_from(slice).expect("below 16");
    for (path, at) in places.into_iter().skip(slice).step_by(SLICES as usize) {
        if meter.is_over() {
            return Ok(());
        }
        meter.done += 1;
        let mut dice = Dice::of(seed, at as u64);
        let bit = (dice.below(BITS) + round) % BITS;
        let mut damaged = store.disk.clone();
        damaged.damage(path, |bytes| bytes[at] ^= 1 << bit);
        let mut dice = Dice::of(number, at as u64);
        if dice.one_in(2) {
            // Without a word of how long the log was, the log itself must tell.
            damaged.damage(&folder().join("CLOSED"), Vec::clear);
        }
        let checked = store.check(damaged, &mut dice);
        checked.map_err(|find| format!("bit {bit} of byte {at} of {}: {find}", path.display()))?;
    }
    Ok(())
}
