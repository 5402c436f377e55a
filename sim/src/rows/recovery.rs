//! Crashes inside recovery: a power cut, and while the store is opened another, and another.

use super::{Find, Meter, power::GROUPS, survivor::Survivor};
use crate::{
    dice::Dice,
    disk::{Fs, SimDisk},
    work::{Record, Sizes, Stage},
};

/// How often recovery is cut, one inside the other.
const DEPTH: u64 = 3;
/// Images of one history.
const IMAGES: u64 = 150;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let record = Record::run(seed, Sizes::Crossing, GROUPS)?;
    for nth in 0..IMAGES {
        if meter.is_over() {
            return Ok(());
        }
        let of_image = Dice::of(seed, nth).roll();
        meter.done += 1;
        one(&record, of_image).map_err(|find| format!("image {nth}: {find}"))?;
    }
    Ok(())
}

fn one(record: &Record, seed: u64) -> Result<(), Find> {
    let mut dice = Dice::new(seed);
    let calls = 1 + dice.index(record.trace.len());
    let mut fs = Fs::default();
    record.trace[..calls].iter().for_each(|op| fs.apply(op));
    let mut image = fs.cut(&mut dice);
    for _ in 0..DEPTH {
        image = cut_in_recovery(image, &mut dice)?;
    }
    let survivor = Survivor { record, known: record.known(calls), image };
    survivor.check(seed).map_err(|find| format!("after call {calls}: {find}"))
}

/// The disk after a cut at some call of opening it.
fn cut_in_recovery(image: Fs, dice: &mut Dice) -> Result<Fs, Find> {
    let stage = Stage::new(SimDisk::new(image.clone()), dice.roll());
    stage.disk.record();
    let opened = stage.open().map_err(|error| format!("opening after a cut: {error}"))?;
    drop(opened);
    let trace = stage.disk.take_trace();
    let mut fs = image;
    let calls = dice.index(trace.len() + 1);
    trace[..calls].iter().for_each(|op| fs.apply(op));
    Ok(fs.cut(dice))
}
