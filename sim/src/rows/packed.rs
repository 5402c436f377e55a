//! Segments compressed and brought back: the power cut at each call of it, errors of the disk, and
//! a disk that stores wrong bits. No event is missing or another, the store stays writable, and
//! what was begun is ended.

use super::{
    Find, Meter,
    cuts::{self, Walk},
};
use crate::{
    check,
    dice::Dice,
    disk::{Fault, FaultKind, Fs, Op, SimDisk},
    work::{Stage, closed, drop_indexes, folder},
};
use factum_core::RecordedEvent;
use factum_log::{packed::PackError, verify::verify};

/// Bytes of a history: four segments of 64 KiB or so.
const BYTES: u64 = 240_000;
/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 3;
/// Errors of the disk that are tried on each history.
const ERRORS: u64 = 12;

/// A store, and what compressing it did to the disk.
struct Ran {
    base: Fs,
    /// Compressing alone.
    packing: Vec<Op>,
    /// Bringing back what was compressed.
    expanding: Vec<Op>,
    events: Vec<RecordedEvent>,
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let ran = run(seed)?;
    meter.done += 1;
    let mut dice = Dice::new(seed);
    for kind in FaultKind::ALL.into_iter().cycle().take(ERRORS as usize) {
        if meter.is_over() {
            return Ok(());
        }
        meter.done += 1;
        let nth = 1 + dice.below(ran.packing.len() as u64);
        let tried = ran.fail(Fault::at(kind, nth), seed);
        tried.map_err(|find| format!("{kind:?} at call {nth}: {find}"))?;
    }
    ran.garble(seed, &mut dice)?;
    let trace = &mut ran.packing.iter().chain(&ran.expanding);
    let walk = Walk { seed, disk: ran.base.clone(), trace, ways: CUTS };
    cuts::each(walk, meter, |_| true, |at| ran.check(at.cut_or_ended(), at.seed))
}

fn run(seed: u64) -> Result<Ran, Find> {
    let (stage, events) = closed(seed, BYTES)?;
    let base = stage.disk.fs();
    stage.disk.record();
    let packed = stage.compress().map_err(|error| format!("compressing: {error}"))?.segments;
    let packing = stage.disk.take_trace();
    if packed == 0 {
        return Err("nothing was compressed".into());
    }
    whole(&stage, &events).map_err(|find| format!("compressed: {find}"))?;
    verified(&stage)?;
    // As it was compressed, without what opening it wrote.
    let image = packing.iter().fold(base.clone(), |mut fs, op| {
        fs.apply(op);
        fs
    });
    let stage = Stage::new(SimDisk::new(image), seed);
    stage.disk.record();
    let expanded = stage.packed().expand(&folder(), &mut |_| true);
    let expanded = expanded.map_err(|error| format!("bringing back: {error}"))?.segments;
    if expanded != packed {
        return Err(format!("{packed} segments were compressed, and {expanded} brought back"));
    }
    let expanding = stage.disk.take_trace();
    whole(&stage, &events).map_err(|find| format!("brought back: {find}"))?;
    Ok(Ran { base, packing, expanding, events })
}

/// Opens the store; it must be writable and have all events.
fn whole(stage: &Stage, events: &[RecordedEvent]) -> Result<(), Find> {
    let (writer, reader) = stage.open().map_err(|error| format!("opening: {error}"))?;
    if let Some(why) = writer.read_only() {
        return Err(format!("opened to read only: {why}"));
    }
    let found = check::coherent(&reader, &mut Dice::new(events.len() as u64), 2)?;
    if found != events {
        return Err(format!("{} events are there, and not {}", found.len(), events.len()));
    }
    Ok(())
}

fn verified(stage: &Stage) -> Result<(), Find> {
    let report = verify(&folder(), &stage.world(), &mut |_| true);
    let report = report.map_err(|error| format!("verifying: {error}"))?;
    match report.findings.first() {
        Some(finding) => Err(format!("verifying found {finding}")),
        None => Ok(()),
    }
}

impl Ran {
    /// The disk after a cut: all is there, and what was begun is ended.
    fn check(&self, image: Fs, seed: u64) -> Result<(), Find> {
        let stage = Stage::new(SimDisk::new(image), seed);
        if seed.is_multiple_of(4) {
            drop_indexes(&stage);
        }
        whole(&stage, &self.events)?;
        stage.compress().map_err(|error| format!("again: {error}"))?;
        whole(&stage, &self.events).map_err(|find| format!("compressed again: {find}"))?;
        verified(&stage)
    }

    /// An error of the disk: the segment is as it was, and it can be begun again.
    fn fail(&self, fault: Fault, seed: u64) -> Result<(), Find> {
        let stage = Stage::new(SimDisk::new(self.base.clone()), seed);
        stage.disk.arm(fault);
        let failed = stage.compress().is_err();
        let struck = stage.disk.disarm();
        if struck != failed {
            return Err(format!("it struck: {struck}, it was said: {failed}"));
        }
        self.check(stage.disk.fs(), seed)
    }

    /// A disk that stores another bit than it was given: the plain segment stays.
    fn garble(&self, seed: u64, dice: &mut Dice) -> Result<(), Find> {
        let writes = self.packing.iter().filter(|op| matches!(op, Op::Write(..))).count();
        let stage = Stage::new(SimDisk::new(self.base.clone()), seed);
        let nth = 1 + dice.below(writes as u64);
        stage.disk.arm(Fault::at(FaultKind::Garble, nth));
        let told = stage.compress();
        if !stage.disk.disarm() || !matches!(told, Err(PackError::Different { .. })) {
            return Err(format!("write {nth} was garbled, and compressing said {told:?}"));
        }
        self.check(stage.disk.fs(), seed)
    }
}
