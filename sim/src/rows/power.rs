//! Power cuts: after each call of a history, several ways in which what was not durable is lost.

use super::{Find, Meter, survivor::Survivor};
use crate::{
    dice::Dice,
    disk::Fs,
    work::{Record, Sizes},
};

/// Groups of a history: enough for two or three segments.
pub(super) const GROUPS: u64 = 22;
/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 6;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let record = Record::run(seed, Sizes::Crossing, GROUPS)?;
    let mut fs = Fs::default();
    for (nth, op) in record.trace.iter().enumerate() {
        fs.apply(op);
        let calls = nth + 1;
        // Where nothing is at stake one image is as good as many.
        let cuts = if fs.is_dirty() { CUTS } else { 1 };
        for cut in 0..cuts {
            if meter.is_over() {
                return Ok(());
            }
            let of_image = Dice::of(seed, (calls as u64) << 8 | cut).roll();
            let image = fs.cut(&mut Dice::new(of_image));
            let survivor = Survivor { record: &record, known: record.known(calls), image };
            meter.done += 1;
            let checked = survivor.check(of_image);
            checked.map_err(|find| format!("cut {cut} after call {calls} ({op:?}): {find}"))?;
        }
    }
    Ok(())
}
