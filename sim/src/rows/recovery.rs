//! Crashes inside recovery: a power cut, and while the store is opened another, and another.

use super::{Find, Meter, power::GROUPS, survivor::Survivor};
use crate::{
    check,
    dice::Dice,
    disk::{Fs, SimDisk},
    model::Model,
    work::{Record, Session, Sizes, Stage},
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
    // The power goes, or the program only: then what was written is there still, durable or not.
    let mut image = if dice.one_in(2) { fs.cut(&mut dice) } else { fs };
    let mut known = record.known(calls);
    for _ in 0..DEPTH {
        let seen;
        (image, seen) = cut_in_recovery(image, &mut dice)?;
        // What was served once is durable.
        let fits = |done: &usize| seen.is_none_or(|seen| record.models[*done].events.len() >= seen);
        let least = known.clone().find(fits);
        let least = least.ok_or_else(|| format!("{seen:?} events were served, too many"))?;
        known = least..=*known.end();
    }
    let survivor = Survivor { record, known, image };
    survivor.check(seed).map_err(|find| format!("after call {calls}: {find}"))
}

/// The disk after a cut at some call of opening it; and how many events were served before, where
/// the cut came after the last call.
fn cut_in_recovery(image: Fs, dice: &mut Dice) -> Result<(Fs, Option<usize>), Find> {
    let stage = Stage::new(SimDisk::new(image.clone()), dice.roll());
    stage.disk.record();
    let session = Session::open(&stage, Model::default())?;
    let served = check::everything(&session.reader)?.len();
    drop(session);
    let trace = stage.disk.take_trace();
    let mut fs = image;
    let calls = if dice.one_in(3) { trace.len() } else { dice.index(trace.len() + 1) };
    trace[..calls].iter().for_each(|op| fs.apply(op));
    let after = if dice.one_in(3) { fs } else { fs.cut(dice) };
    Ok((after, (calls == trace.len()).then_some(served)))
}
