//! The power gone at each call of a trace: what the rows share that go through one run of
//! something and look at the disk as it may be found after each of its calls.

use super::{Find, Meter};
use crate::{
    dice::Dice,
    disk::{Fs, Op},
};

/// What is gone through.
pub(super) struct Walk<'a> {
    pub(super) seed: u64,
    /// The disk before the first call.
    pub(super) disk: Fs,
    pub(super) trace: &'a mut dyn Iterator<Item = &'a Op>,
    /// Ways to lose what is not durable, at each call.
    pub(super) ways: u64,
}

/// The end of a run, after one of its calls.
pub(super) struct Moment<'a> {
    pub(super) op: &'a Op,
    /// So many calls were made.
    pub(super) calls: usize,
    /// Which of the ways.
    pub(super) way: u64,
    /// Of this image, for what is drawn when it is looked at.
    pub(super) seed: u64,
    fs: &'a Fs,
}

impl Moment<'_> {
    /// The disk when the power has gone.
    pub(super) fn cut(&self) -> Fs {
        self.fs.cut(&mut Dice::new(self.seed))
    }

    /// The same; of the ways one is that the program ends only, and the disk has all it was given.
    pub(super) fn cut_or_ended(&self) -> Fs {
        if self.way == 0 { self.fs.clone() } else { self.cut() }
    }
}

/// Looks at each moment that is wanted, until time is up.
pub(super) fn each(
    walk: Walk<'_>,
    meter: &mut Meter,
    mut wants: impl FnMut(&Moment<'_>) -> bool,
    mut check: impl FnMut(&Moment<'_>) -> Result<(), Find>,
) -> Result<(), Find> {
    let Walk { seed, disk: mut fs, trace, ways } = walk;
    for (nth, op) in trace.enumerate() {
        fs.apply(op);
        for way in 0..ways {
            if meter.is_over() {
                return Ok(());
            }
            let of_image = Dice::of(seed, (nth as u64) << 8 | way).roll();
            let moment = Moment { op, calls: nth + 1, way, seed: of_image, fs: &fs };
            if !wants(&moment) {
                continue;
            }
            meter.done += 1;
            let checked = check(&moment);
            checked.map_err(|find| format!("cut {way} after call {} ({op:?}): {find}", nth + 1))?;
        }
    }
    Ok(())
}
