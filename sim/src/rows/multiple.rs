//! Several faults at once in a closed store of three segments, half of them in the last but one:
//! what one of them hides must not make another go unseen.
//!
//! How far the log reached (`CLOSED`) stays: without it, damage to all of the last group is the
//! same as a torn write, as the documentation says.

use super::{
    Find, Meter,
    sectors::{swap, zero},
    store::Closed,
};
use crate::{
    dice::Dice,
    disk::{Fs, SECTOR},
};
use std::path::{Path, PathBuf};

/// Of a history: two whole segments of 64 KiB, and some of a third.
const BYTES: u64 = 150_000;
/// Damaged stores of a case: what they are made of is made once.
const STORES: u64 = 100;

/// What is done to one file.
#[derive(Debug)]
enum Fault {
    Flip {
        at: usize,
        bit: u64,
    },
    Garbage {
        at: usize,
        seed: u64,
    },
    Zero {
        sector: usize,
    },
    Swap {
        sectors: (usize, usize),
    },
    /// A sector holds what belongs in the same place of another file.
    Misdirect {
        sector: usize,
        from: PathBuf,
    },
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let store = Closed::of_bytes(seed, BYTES)?;
    let mut dice = Dice::of(seed, 7);
    for _ in 0..STORES {
        if meter.is_over() {
            return Ok(());
        }
        meter.done += 1;
        let faults: Vec<_> = (0..2 + dice.below(4)).map(|_| draw(&store, &mut dice)).collect();
        let mut damaged = store.disk.clone();
        for (path, fault) in &faults {
            apply(&mut damaged, path, fault);
        }
        let checked = store.check(damaged, &mut dice);
        checked.map_err(|find| format!("{faults:?}: {find}"))?;
    }
    Ok(())
}

fn draw(store: &Closed, dice: &mut Dice) -> (PathBuf, Fault) {
    let is_log = |path: &Path| path.extension().is_some_and(|end| end == "log" || end == "zst");
    let mut logs: Vec<_> = store.files.iter().filter(|(path, _)| is_log(path)).collect();
    logs.sort_unstable();
    let last_but_one = logs.iter().nth_back(1).expect("there are three segments");
    let (path, content) = if dice.one_in(2) { last_but_one } else { dice.pick(&store.files) };
    let at = dice.index(*content);
    let fault = match dice.below(6) {
        0 | 1 => Fault::Flip { at, bit: dice.below(8) },
        2 => Fault::Garbage { at, seed: dice.roll() },
        3 => Fault::Zero { sector: at / SECTOR },
        4 => Fault::Swap { sectors: (at / SECTOR, dice.index(content.div_ceil(SECTOR))) },
        _ => Fault::Misdirect { sector: at / SECTOR, from: dice.pick(&store.files).0.clone() },
    };
    (path.clone(), fault)
}

fn apply(disk: &mut Fs, path: &Path, fault: &Fault) {
    let of_other = match fault {
        Fault::Misdirect { from, .. } => {
            disk.bytes(disk.find(from).expect("it was listed")).to_vec()
        }
        _ => Vec::new(),
    };
    disk.damage(path, |bytes| match fault {
        Fault::Flip { at, bit } => bytes[*at] ^= 1 << bit,
        Fault::Garbage { at, seed } => {
            let mut dice = Dice::new(*seed);
            let end = (at + 1 + dice.index(24)).min(bytes.len());
            bytes[*at..end].fill_with(|| u8::try_from(dice.below(256)).expect("a byte"));
        }
        Fault::Zero { sector } => zero(bytes, *sector),
        Fault::Swap { sectors: (one, other) } => swap(bytes, *one, *other),
        Fault::Misdirect { sector, .. } => {
            let end = ((sector + 1) * SECTOR).min(bytes.len()).min(of_other.len());
            let from = (sector * SECTOR).min(end);
            bytes[from..end].copy_from_slice(&of_other[from..end]);
        }
    });
}
