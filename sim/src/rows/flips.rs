//! One bit flipped in each byte of a closed store.

use super::{Find, Meter, store::Closed};
use crate::{dice::Dice, work::folder};

/// Of the zeroes after what a file holds, one byte in so many.
const ZEROES_EVERY: usize = 97;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let store = Closed::new(seed)?;
    let mut places = Vec::new();
    for (path, content) in &store.files {
        let len = store.disk.bytes(store.disk.find(path).expect("it is there")).len();
        places.extend((0..*content).map(|at| (path, at)));
        places.extend((*content..len).step_by(ZEROES_EVERY).map(|at| (path, at)));
    }
    // In an order of its own: where time is short, what was looked at is spread over all files.
    let mut dice = Dice::new(seed);
    for nth in (1..places.len()).rev() {
        places.swap(nth, dice.index(nth + 1));
    }
    for (path, at) in places {
        if meter.is_over() {
            return Ok(());
        }
        meter.done += 1;
        let mut dice = Dice::of(seed, at as u64);
        let bit = dice.below(8);
        let mut damaged = store.disk.clone();
        damaged.damage(path, |bytes| bytes[at] ^= 1 << bit);
        if dice.one_in(2) {
            // Without a word of how long the log was, the log itself must tell.
            damaged.damage(&folder().join("CLOSED"), Vec::clear);
        }
        let checked = store.check(damaged, &mut dice);
        checked.map_err(|find| format!("bit {bit} of byte {at} of {}: {find}", path.display()))?;
    }
    Ok(())
}
