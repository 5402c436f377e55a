//! A replica of a store that appends, seals, is scavenged, restarts and loses its power; and the
//! power cut at each call of the replica's disk, or one call that fails: what it serves is whole
//! appends of the source, up to a place that never goes back, and in the end byte for byte the
//! source.

mod copy;
mod past;

use super::{
    Find, Meter,
    cuts::{self, Moment, Walk},
};
use crate::{
    dice::Dice,
    disk::{Fault, FaultKind, Fs, Op, SimDisk},
    model::Model,
    work::{Author, Session, Sizes, Stage},
};
use copy::Copy;
use past::Past;

/// Groups of the source before there is a replica, and with it.
const GROUPS: (u64, u64) = (8, 26);
/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 2;
/// Images of one story, at most.
const IMAGES_MAX: u64 = 300;
/// Runs of one story in which a call fails.
const FAULTS: u64 = 24;
/// A call that fails is among the first so many; a sync among fewer.
const CALLS_MAX: u64 = 400;
const SYNCS_MAX: u64 = 8;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut dice = Dice::of(seed, 1);
    let story = Story::tell(seed, &mut dice)?;
    meter.done += 1;
    for nth in 0..FAULTS {
        if meter.is_over() {
            return Ok(());
        }
        meter.done += 1;
        story.under_fault(&mut dice).map_err(|find| format!("fault {nth}: {find}"))?;
    }
    let every = (story.trace.len() as u64 * CUTS / IMAGES_MAX).max(1);
    let walk = Walk { seed, disk: Fs::default(), trace: &mut story.trace.iter(), ways: CUTS };
    let mut is_wanted = false;
    let wants = |at: &Moment<'_>| {
        // All ways of a call, or none.
        if at.way == 0 {
            is_wanted = dice.one_in(every) || matches!(at.op, Op::Rename(..));
        }
        is_wanted
    };
    cuts::each(walk, meter, wants, |at| story.after_cut(at.cut(), at.calls, at.seed))
}

/// A source and its replica, as they went on.
struct Story {
    /// The calls of the replica's disk.
    trace: Vec<Op>,
    /// Its head, after so many calls.
    shown: Vec<(usize, u64)>,
    past: Past,
    /// The source at the end.
    source: Session,
}

impl Story {
    fn tell(seed: u64, dice: &mut Dice) -> Result<Self, Find> {
        let mut author = Author::new(seed, Sizes::Crossing);
        let stage = Stage::new(SimDisk::new(Fs::default()), seed);
        let mut source = Session::open(&stage, Model::default())?;
        let mut past = Past::default();
        for _ in 0..GROUPS.0 {
            source = past.step(source, &author.step())?;
        }
        let place = Stage::new(SimDisk::new(Fs::default()), dice.roll());
        place.disk.record();
        let mut copy = Copy::open(&place, &source.reader)?;
        let mut shown = vec![(place.disk.recorded(), copy.reader.head().0)];
        for _ in 0..GROUPS.1 {
            source = past.step(source, &author.step())?;
            source = disturb(source, &mut past, dice)?;
            if dice.one_in(10) {
                copy = copy.again(&source.reader, dice.one_in(2))?;
            }
            for _ in 0..dice.below(4) {
                copy.step(&source.reader, dice)?;
                shown.push((place.disk.recorded(), copy.reader.head().0));
            }
            past.is_front(&copy.reader, 0)?;
        }
        copy.converge(&source, dice)?;
        drop(copy);
        Ok(Self { trace: place.disk.take_trace(), shown, past, source })
    }

    /// Opens what a cut left of the replica, and follows to the end.
    fn after_cut(&self, image: Fs, calls: usize, seed: u64) -> Result<(), Find> {
        let mut dice = Dice::new(seed);
        let known = self.shown.iter().rev().find(|(from, _)| *from <= calls);
        let stage = Stage::new(SimDisk::new(image), seed);
        let mut copy = Copy::open(&stage, &self.source.reader)?;
        self.past.is_front(&copy.reader, known.map_or(0, |(_, head)| *head))?;
        copy.converge(&self.source, &mut dice)?;
        if dice.one_in(4) {
            copy.close_and_verify(&self.source)?;
        }
        Ok(())
    }

    /// Goes on from some place of the story while a call fails.
    fn under_fault(&self, dice: &mut Dice) -> Result<(), Find> {
        let kind = *dice.pick(&FaultKind::ALL);
        let calls = if kind == FaultKind::SyncDrops { SYNCS_MAX } else { CALLS_MAX };
        let nth = 1 + dice.below(calls);
        let mut fs = Fs::default();
        self.trace[..dice.index(self.trace.len())].iter().for_each(|op| fs.apply(op));
        let stage = Stage::new(SimDisk::new(fs.cut_clean(true)), dice.roll());
        stage.disk.arm(Fault::at(kind, nth));
        let seen = copy::until_failure(&stage, &self.source.reader, dice);
        stage.disk.disarm();
        // All that was not durable is lost: what readers have seen must be there.
        let image = stage.disk.fs().cut_clean(false);
        let after = Stage::new(SimDisk::new(image), dice.roll());
        let found = |find| format!("{kind:?} at call {nth}: {find}");
        let mut copy = Copy::open(&after, &self.source.reader).map_err(found)?;
        self.past.is_front(&copy.reader, seen).map_err(found)?;
        copy.converge(&self.source, dice).map_err(found)
    }
}

/// What happens to a source besides appends.
fn disturb(mut source: Session, past: &mut Past, dice: &mut Dice) -> Result<Session, Find> {
    match dice.below(14) {
        0 => {
            source.stage.clock.step(20_000_000_000);
            past.note(&source.reader)?;
            source.scavenge(0)?;
            past.note(&source.reader)?;
        }
        1 => {
            let (stage, model) = source.let_go();
            source = Session::open(&stage.after_power_cut(dice), model)?;
        }
        _ => {}
    }
    Ok(source)
}
