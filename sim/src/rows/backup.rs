//! Power cuts while a backup is taken and while one is restored: the backup before is whole, the
//! next one goes on, and nobody takes half of a restored store for a store.

use super::{Find, Meter};
use crate::{
    check,
    dice::Dice,
    disk::{Fs, Op, SimDisk},
    model::Model,
    work::{Author, Session, Sizes, Stage, tracks},
};
use factum_core::RecordedEvent;
use factum_log::{
    OpenError,
    backup::{Restore, RestoreError, Upto, backup, restore},
    disk::Disk,
    verify::verify,
};
use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// Groups before each backup.
const GROUPS: u64 = 9;
/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 2;

fn backup_dir() -> PathBuf {
    Path::new("/data/backup").to_owned()
}

fn restored_dir() -> PathBuf {
    Path::new("/data/restored").to_owned()
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let story = Story::tell(seed)?;
    let mut fs = Fs::default();
    for (nth, op) in story.trace.iter().enumerate() {
        fs.apply(op);
        let calls = nth + 1;
        let is_inside = |taken: &Taken| taken.calls.contains(&calls);
        if !story.taken.iter().any(is_inside) {
            continue;
        }
        for cut in 0..CUTS {
            if meter.is_over() {
                return Ok(());
            }
            let mut dice = Dice::of(seed, (calls as u64) << 8 | cut);
            let image = fs.cut(&mut dice);
            meter.done += 1;
            let checked = story.check(calls, &image, &mut dice);
            checked.map_err(|find| format!("cut {cut} after call {calls} ({op:?}): {find}"))?;
        }
    }
    Ok(())
}

/// A backup in the story: the calls of it, and what the store was.
struct Taken {
    calls: RangeInclusive<usize>,
    events: Vec<RecordedEvent>,
    model: Model,
}

/// Two backups into one folder, with appends before each.
struct Story {
    trace: Vec<Op>,
    taken: Vec<Taken>,
}

impl Story {
    fn tell(seed: u64) -> Result<Self, Find> {
        let mut author = Author::new(seed, Sizes::Crossing);
        let stage = Stage::new(SimDisk::new(Fs::default()), seed);
        stage.disk.record();
        let mut session = Session::open(&stage, Model::default())?;
        let mut taken = Vec::new();
        for _ in 0..2 {
            for _ in 0..GROUPS {
                session = session.step(&author.step())?;
            }
            let from = stage.disk.recorded() + 1;
            take(&session)?;
            let calls = from..=stage.disk.recorded();
            let events = check::everything(&session.reader)?;
            taken.push(Taken { calls, events, model: session.model.clone() });
        }
        drop(session);
        Ok(Self { trace: stage.disk.take_trace(), taken })
    }

    fn check(&self, calls: usize, image: &Fs, dice: &mut Dice) -> Result<(), Find> {
        let [first, second] = &*self.taken else { return Err("two backups".into()) };
        let stage = Stage::new(SimDisk::new(image.clone()), dice.roll());
        let is_first = calls <= *first.calls.end();
        let found = match restored(&stage)? {
            None if calls < *first.calls.end() => None,
            None => return Err("a backup that was taken is gone".into()),
            Some(found) => Some(found),
        };
        if let Some((events, _)) = &found {
            let is = |taken: &Taken| taken.events == *events;
            let must_be_second = calls == *second.calls.end();
            let fits =
                if is_first { is(first) } else { is(second) || (!must_be_second && is(first)) };
            if !fits {
                return Err(format!("{} events are restored, which no backup had", events.len()));
            }
            let taken = if is(first) { first } else { second };
            tracked(&stage, &taken.model)?;
        }
        let taken = if is_first { first } else { second };
        // The store itself is as it was, and the next backup goes on.
        let session = Session::open(&stage, taken.model.clone())?;
        if check::everything(&session.reader)? != taken.events {
            return Err("the store is not what it was".into());
        }
        take(&session)?;
        drop(session);
        whole(&stage, &backup_dir())?;
        cut_restoring(&stage, taken, dice)
    }
}

fn take(session: &Session) -> Result<(), Find> {
    let world = session.stage.world();
    let taken = backup(&session.reader, &backup_dir(), &world, &mut |_| true);
    taken.map(drop).map_err(|error| format!("backup: {error}"))
}

fn whole(stage: &Stage, dir: &Path) -> Result<(), Find> {
    let report = verify(dir, &stage.world(), &mut |_| true).map_err(|error| error.to_string())?;
    if report.is_damaged() { Err(format!("damaged: {:?}", report.findings)) } else { Ok(()) }
}

fn restore_all(stage: &Stage) -> Result<(), RestoreError> {
    let (from, dir) = (backup_dir(), restored_dir());
    let what = Restore { backup: &from, dir: &dir, upto: Upto::End, is_new_store: false };
    restore(&what, &stage.world(), &mut |_| true).map(drop)
}

/// What is restored on a copy of the disk; `None` if there is no backup.
fn restored(stage: &Stage) -> Result<Option<(Vec<RecordedEvent>, Stage)>, Find> {
    let copy = Stage::new(SimDisk::new(stage.disk.fs()), 1);
    match restore_all(&copy) {
        Err(RestoreError::NoBackup { .. }) => return Ok(None),
        ended => ended.map_err(|error| format!("restore: {error}"))?,
    }
    let (writer, reader) = copy.open_at(&restored_dir()).map_err(|error| error.to_string())?;
    if let Some(why) = writer.read_only() {
        return Err(format!("restored to read only: {why}"));
    }
    let events = check::everything(&reader)?;
    drop((writer, reader));
    Ok(Some((events, copy)))
}

fn tracked(stage: &Stage, model: &Model) -> Result<(), Find> {
    let Some((_, copy)) = restored(stage)? else { return Err("no backup".into()) };
    let (_writer, reader) = copy.open_at(&restored_dir()).map_err(|error| error.to_string())?;
    tracks(&reader, model)
}

/// Cuts restoring at some call of it, and restores again.
fn cut_restoring(stage: &Stage, taken: &Taken, dice: &mut Dice) -> Result<(), Find> {
    let before = stage.disk.fs();
    stage.disk.record();
    restore_all(stage).map_err(|error| format!("restore: {error}"))?;
    let trace = stage.disk.take_trace();
    let mut fs = before;
    let calls = dice.index(trace.len() + 1);
    trace[..calls].iter().for_each(|op| fs.apply(op));
    let after = Stage::new(SimDisk::new(fs.cut(dice)), dice.roll());
    let names = after.disk.list(&restored_dir()).unwrap_or_default();
    let is_store = names.iter().any(|name| name.ends_with(".log"));
    let opened = is_store.then(|| after.open_at(&restored_dir()));
    match opened {
        Some(Ok((_, reader))) if check::everything(&reader)? == taken.events => return Ok(()),
        Some(Ok(_)) => return Err("half of a restored store passes for a store".into()),
        Some(Err(OpenError::Unfinished { .. })) | None if calls < trace.len() => {}
        Some(Err(error)) => return Err(format!("after restoring: {error}")),
        None => return Err("what was restored is gone".into()),
    }
    restore_all(&after).map_err(|error| format!("restoring again: {error}"))?;
    let (_, reader) = after.open_at(&restored_dir()).map_err(|error| error.to_string())?;
    match check::everything(&reader)? == taken.events {
        true => Ok(()),
        false => Err("restored again, and not what it was".into()),
    }
}
