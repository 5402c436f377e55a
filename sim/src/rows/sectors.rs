//! Sectors of a closed store zeroed, swapped, and written to the wrong file.

use super::{Find, Meter, store::Closed};
use crate::{
    dice::Dice,
    disk::{Fs, SECTOR},
};
use std::path::Path;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let store = Closed::new(seed)?;
    let mut dice = Dice::new(seed);
    for (path, content) in &store.files {
        for sector in 0..content.div_ceil(SECTOR) {
            if meter.is_over() {
                return Ok(());
            }
            let zeroed = damage(&store.disk, path, |bytes| zero(bytes, sector));
            let other = dice.index(content.div_ceil(SECTOR));
            let swapped = damage(&store.disk, path, |bytes| swap(bytes, sector, other));
            for (what, damaged) in [("zeroed", zeroed), ("swapped", swapped)] {
                meter.done += 1;
                store.check(damaged, &mut dice).map_err(|find| {
                    format!("sector {sector} of {} {what} ({other}): {find}", path.display())
                })?;
            }
        }
    }
    misdirected(&store, &mut dice, meter)
}

/// All that follows the head of one segment in the place of another's.
fn misdirected(store: &Closed, dice: &mut Dice, meter: &mut Meter) -> Result<(), Find> {
    for (from, _) in &store.files {
        for (to, _) in &store.files {
            let is_log = |path: &Path| path.extension().is_some_and(|one| one == "log");
            if from == to || !is_log(from) || !is_log(to) {
                continue;
            }
            let body =
                store.disk.bytes(store.disk.find(from).expect("it is there"))[4096..].to_vec();
            let mut damaged = damage(&store.disk, to, |bytes| {
                bytes.truncate(4096);
                bytes.extend_from_slice(&body);
            });
            // With the index the file would be met frame by frame; without, it is read whole.
            if dice.one_in(2) {
                damaged = store.without_indexes(damaged);
            }
            meter.done += 1;
            let checked = store.check(damaged, dice);
            checked.map_err(|find| {
                format!("the frames of {} in {}: {find}", from.display(), to.display())
            })?;
        }
    }
    Ok(())
}

fn damage(disk: &Fs, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Fs {
    let mut damaged = disk.clone();
    damaged.damage(path, change);
    damaged
}

pub(super) fn zero(bytes: &mut [u8], sector: usize) {
    let end = ((sector + 1) * SECTOR).min(bytes.len());
    bytes[sector * SECTOR..end].fill(0);
}

pub(super) fn swap(bytes: &mut [u8], one: usize, other: usize) {
    for at in 0..SECTOR {
        let (a, b) = (one * SECTOR + at, other * SECTOR + at);
        if a.max(b) < bytes.len() {
            bytes.swap(a, b);
        }
    }
}
