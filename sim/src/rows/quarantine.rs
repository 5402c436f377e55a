//! Damaged segments put aside, and the power cut at each call of it: the damaged file is in its
//! place or aside; every event is what it was, or said to be lost; what is said to be lost is never
//! served, nor passed over; streams go on where they were; and with what was put aside, everything
//! is back.

mod asked;

use super::{
    Find, Meter,
    cuts::{self, Moment, Walk},
    rewrite,
};
use crate::{
    check,
    dice::Dice,
    disk::{Fs, Op, SECTOR, SimDisk},
    model::Model,
    work::{Session, Stage, folder},
};
use asked::Asked;
use factum_core::RecordedEvent;
use factum_log::{
    disk::Disk,
    format::{
        frame::{FrameHeader, Kind},
        header::HEADER_BYTES,
    },
    quarantine::{Loss, Quarantine, Undo, quarantine, survey, undo},
    verify::{Severity, verify},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 2;
/// Places that are damaged, at most.
const PLACES_MAX: u64 = 4;

/// A damaged store, and what it was.
struct Damaged {
    /// The disk before the damage, closed in good order.
    whole: Fs,
    disk: Fs,
    events: Vec<RecordedEvent>,
    model: Model,
    /// Positions of each append of more than one event.
    appends: Vec<BTreeSet<u64>>,
    /// The damaged files, as they are.
    files: Vec<(PathBuf, Vec<u8>)>,
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut dice = Dice::new(seed);
    let damaged = Damaged::new(seed, &mut dice)?;
    let stage = Stage::new(SimDisk::new(damaged.disk.clone()), Dice::of(seed, 1).roll());
    stage.clock.step(1_000_000_000_000);
    stage.disk.record();
    let told = all(&stage, false)?;
    if !stage.disk.take_trace().is_empty() {
        return Err("a survey changed the disk".into());
    }
    meter.done += 1;
    if told.is_empty() {
        // It hit what nothing depends on.
        return Ok(());
    }
    stage.disk.record();
    let done = all(&stage, true)?;
    same(&told, &done)?;
    let trace = stage.disk.take_trace();
    damaged.check(&stage, &told, &mut dice)?;
    let walk = Walk { seed, disk: damaged.disk.clone(), trace: &mut trace.iter(), ways: CUTS };
    let wants = |at: &Moment<'_>| is_turning(at.op) || dice.one_in(8);
    cuts::each(walk, meter, wants, |at| damaged.after(at.cut(), at.seed, &told))
}

fn is_turning(op: &Op) -> bool {
    !matches!(op, Op::Write(..) | Op::Create(_) | Op::CreateDir(_) | Op::Truncate(_))
}

/// All that is damaged: told, or put aside.
fn all(stage: &Stage, accepts: bool) -> Result<Vec<Loss>, Find> {
    let dir = folder();
    let what = Quarantine { dir: &dir, segments: &[], keeps_whole: true };
    let ran = if accepts { quarantine } else { survey }(&what, &stage.world());
    ran.map_err(|error| format!("quarantine: {error}"))
}

fn same(told: &[Loss], done: &[Loss]) -> Result<(), Find> {
    let without_aside = |loss: &Loss| Loss { aside: None, ..loss.clone() };
    match told.iter().cloned().eq(done.iter().map(without_aside)) {
        true => Ok(()),
        false => Err(format!("told {told:?}, and did {done:?}")),
    }
}

impl Damaged {
    fn new(seed: u64, dice: &mut Dice) -> Result<Self, Find> {
        let (mut session, _) = rewrite::filled(seed, dice)?;
        let fs = session.stage.disk.fs();
        let mut appends: Vec<BTreeSet<u64>> =
            logs(&session.stage).iter().flat_map(|path| appends(&fs, path)).collect();
        if dice.one_in(4) {
            session.scavenge(0)?;
            let events = check::everything(&session.reader)?;
            session.model.forget(&events);
        }
        session.index()?;
        let events = check::everything(&session.reader)?;
        session.writer.close().map_err(|fault| format!("closing: {fault}"))?;
        let (stage, model) = session.let_go();
        let whole = stage.disk.fs();
        let mut disk = whole.clone();
        let logs: Vec<PathBuf> = logs(&stage);
        let there: BTreeSet<u64> = events.iter().map(|event| event.position().0).collect();
        appends.iter_mut().for_each(|append| append.retain(|position| there.contains(position)));
        let mut hit = BTreeSet::new();
        for _ in 0..=dice.below(2) {
            // The newest as often as all others together.
            let path = if dice.one_in(2) { dice.pick(&logs) } else { &logs[logs.len() - 1] };
            let is_newest = *path == logs[logs.len() - 1];
            damage(&mut disk, path, is_newest, dice);
            hit.insert(path.clone());
        }
        let bytes = |path: PathBuf| {
            let ino = disk.find(&path)?;
            Some((path, disk.bytes(ino).to_vec()))
        };
        let files = hit.into_iter().filter_map(bytes).collect();
        Ok(Self { whole, events, model, appends, files, disk })
    }

    /// What a cut left: put aside again, it is done.
    fn after(&self, image: Fs, seed: u64, told: &[Loss]) -> Result<(), Find> {
        let mut dice = Dice::new(seed);
        let stage = Stage::new(SimDisk::new(image), seed);
        stage.clock.step(1_000_000_000_000);
        self.is_kept(&stage)?;
        let left = all(&stage, true)?;
        let is_told =
            |loss: &Loss| told.iter().any(|one| (one.base, &one.lost) == (loss.base, &loss.lost));
        if !left.iter().all(is_told) {
            return Err(format!("told {told:?}, and then {left:?}"));
        }
        self.check(&stage, told, &mut dice)
    }

    /// That each damaged file is in its place, or aside.
    fn is_kept(&self, stage: &Stage) -> Result<(), Find> {
        let fs = stage.disk.fs();
        let aside = folder().join("quarantine");
        let names = fs.list(&aside).unwrap_or_default();
        for (path, bytes) in &self.files {
            let is_it = |path: &Path| fs.find(path).is_some_and(|ino| fs.bytes(ino) == &**bytes);
            if !is_it(path) && !names.iter().any(|name| is_it(&aside.join(name))) {
                return Err(format!("{} is gone", path.display()));
            }
        }
        Ok(())
    }

    /// Everything about a store of which something was put aside.
    fn check(&self, stage: &Stage, told: &[Loss], dice: &mut Dice) -> Result<(), Find> {
        self.is_kept(stage)?;
        // What came after the last position that is known is not known.
        let newest = told.iter().find(|loss| loss.is_newest);
        let end = newest.map_or(u64::MAX, |loss| loss.last.0);
        let known = self.events.partition_point(|event| event.position().0 <= end);
        let asked = Asked::new(&self.events[..known], told)?;
        for append in &self.appends {
            let is_lost = |position: &&u64| **position > end || asked.is_lost(**position);
            let lost = append.iter().filter(is_lost).count();
            if lost != 0 && lost != append.len() {
                return Err(format!("{lost} of the append {append:?} are lost: {told:?}"));
            }
        }
        if dice.one_in(2) {
            self.comes_back(stage, told)?;
        }
        drop(Session::open(stage, Model::default())?);
        verified(stage, &asked)?;
        let mut session = Session::open(stage, Model::default())?;
        asked.answers(&session.reader, dice)?;
        asked.go_on(&mut session)?;
        if dice.one_in(3) {
            scavenge(&session)?;
            drop(session);
            verified(stage, &asked)?;
        }
        Ok(())
    }

    /// With the files as they were before the damage, everything is as it was.
    fn comes_back(&self, stage: &Stage, told: &[Loss]) -> Result<(), Find> {
        let stage = Stage::new(SimDisk::new(stage.disk.fs()), 7);
        let dir = folder();
        for loss in told {
            let from = Path::new("/data/mended.log");
            let ino = self.whole.find(&loss.file).ok_or("what is gone was never there")?;
            let bytes = self.whole.bytes(ino).to_vec();
            let file = stage.disk.open(from, factum_log::disk::Mode::Create);
            file.and_then(|file| file.write_at(&bytes, 0)).map_err(|error| error.to_string())?;
            let what = Undo { dir: &dir, segment: loss.base, from: Some(from) };
            let undone = undo(&what, &stage.world());
            undone.map_err(|error| format!("bringing {} back: {error}", loss.base))?;
        }
        let session = Session::open(&stage, self.model.clone())?;
        let events = check::everything(&session.reader)?;
        if events != self.events {
            return Err("brought back, and not what it was".into());
        }
        session.tracked()?;
        drop(session);
        let report = verify(&dir, &stage.world(), &mut |_| true).map_err(|e| e.to_string())?;
        match report.is_damaged() || report.has_lost() {
            true => Err(format!("brought back: {:?}", report.findings)),
            false => Ok(()),
        }
    }
}

fn scavenge(session: &Session) -> Result<(), Find> {
    let options = factum_log::rewrite::ScavengeOptions {
        grace_s: 0,
        threshold_percent: 0,
        ..Default::default()
    };
    let maintenance = session.reader.maintenance();
    let ran = maintenance.scavenge(&options, &Default::default(), &mut |_| {});
    ran.map(drop).map_err(|error| format!("scavenge: {error}"))
}

/// Verifying says what is lost, and finds no damage.
fn verified(stage: &Stage, asked: &Asked<'_>) -> Result<(), Find> {
    let report = verify(&folder(), &stage.world(), &mut |_| true).map_err(|e| e.to_string())?;
    let lost = report.findings.iter().filter(|one| one.severity == Severity::Lost);
    let lost: BTreeSet<u64> = lost.filter_map(|one| one.lost.clone()).flatten().collect();
    match !report.is_damaged() && asked.all_lost() == lost {
        true => Ok(()),
        false => Err(format!("verified: {:?}", report.findings)),
    }
}

fn logs(stage: &Stage) -> Vec<PathBuf> {
    let names = stage.disk.list(&folder()).expect("the folder is there");
    let mut logs: Vec<PathBuf> = names
        .iter()
        .filter(|name| name.ends_with(".log"))
        .map(|name| folder().join(name))
        .collect();
    logs.sort();
    logs
}

/// The appends of several events, as the frames of a segment say them.
fn appends(disk: &Fs, path: &Path) -> Vec<BTreeSet<u64>> {
    let bytes = disk.bytes(disk.find(path).expect("it was listed"));
    let name = path.file_stem().and_then(|name| name.to_str()).expect("digits");
    let base: u64 = name.parse().expect("digits");
    let mut found: Vec<BTreeSet<u64>> = Vec::new();
    let mut at = HEADER_BYTES;
    while let Some(header) = bytes.get(at..).and_then(FrameHeader::decode) {
        if bytes[at..at + 4] == [0; 4] {
            break;
        }
        if header.kind == Kind::Events {
            if header.first {
                found.push(BTreeSet::new());
            }
            let first = base + u64::from(header.ordinal);
            let append = found.last_mut().expect("an append has begun");
            append.extend(first..first + u64::from(header.count));
        }
        at += header.frame_bytes();
    }
    found
}

/// Damages a segment, or takes it away; and perhaps what its index knows.
fn damage(disk: &mut Fs, path: &Path, is_newest: bool, dice: &mut Dice) {
    let index = path.with_extension("idx");
    if dice.one_in(3) && disk.find(&index).is_some() {
        disk.damage(&index, |bytes| {
            let at = dice.index(bytes.len());
            bytes[at] ^= 1;
        });
    }
    if disk.find(path).is_none() {
        return;
    }
    match dice.below(8) {
        0 => {
            disk.apply(&Op::Remove(path.to_owned()));
            disk.apply(&Op::SyncDir(folder()));
        }
        1 => disk.damage(path, |bytes| bytes[dice.index(128)] ^= 1),
        2 => disk.damage(path, |bytes| bytes.truncate(dice.index(bytes.len()))),
        3 => disk.damage(path, |bytes| bytes[HEADER_BYTES + 10] ^= 1),
        _ => disk.damage(path, |bytes| {
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            for _ in 0..=dice.below(PLACES_MAX) {
                // Unused bytes of the head lose nothing.
                let at = HEADER_BYTES + dice.index(end.saturating_sub(HEADER_BYTES).max(1));
                if at >= bytes.len() {
                    continue;
                }
                if dice.one_in(2) || is_newest {
                    bytes[at] ^= 1 << dice.below(8);
                } else {
                    let sector = at / SECTOR * SECTOR;
                    let end = (sector + SECTOR).min(bytes.len());
                    bytes[sector..end].fill(0);
                }
            }
        }),
    }
}
