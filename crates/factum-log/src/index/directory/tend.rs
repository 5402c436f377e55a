//! Which runs there are and ought to be: finding them at opening, making them as segments come.
//!
//! A run has its name only when it is durable, and what it replaces is removed after that: a crash
//! at any point leaves runs that are whole, some of them superfluous, which the next opening
//! removes.

use super::{
    merge::{Part, merge},
    run::{Cover, Run},
};
use crate::{
    disk::Mode,
    error::Fault,
    index::hash,
    options::Options,
    planted::{Bug, is_on},
    segment::Segment,
};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Ends the name of a run.
const SUFFIX: &str = ".dir";
/// Pairs in a run, at most: a table is smaller than 4 GiB. Runs of this size are not merged.
const PAIRS_MAX: u64 = 1 << 29;
/// The fewest that are merged at once.
const FAN_OUT_MIN: usize = 2;

/// The name says the first position of the first and of the last segment.
fn run_path(dir: &Path, covered: &[Arc<Segment>]) -> PathBuf {
    let base = |segment: Option<&Arc<Segment>>| segment.map_or(0, |segment| segment.base());
    dir.join(format!("{:020}-{:020}{SUFFIX}", base(covered.first()), base(covered.last())))
}

/// Runs are of these very segments: a segment that took another's place makes another seed.
fn seed_of(covered: &[Arc<Segment>]) -> u64 {
    let words = covered.iter().flat_map(|segment| [segment.base(), segment.header.seed]);
    let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    hash(&bytes)
}

fn cover(covered: &[Arc<Segment>], run: &Arc<Run>) {
    for (nth, segment) in (0u32..).zip(covered) {
        segment.index.set_cover(Some(Cover { run: run.clone(), nth }));
    }
}

/// Finds the runs of a folder and has them cover its segments. The names of those that are of no
/// use.
pub(crate) fn load(
    dir: &Path,
    options: &Options,
    segments: &[Arc<Segment>],
) -> Result<Vec<String>, Fault> {
    let names = options.world.disk.list(dir).map_err(Fault::io("list", dir))?;
    let (mut found, mut stale) = (Vec::new(), Vec::new());
    for name in names.into_iter().filter(|name| name.ends_with(SUFFIX)) {
        match covered_by(&name, segments) {
            Some(range) => found.push((range, name)),
            None => stale.push(name),
        }
    }
    // The largest first: smaller ones that it was made of are left from a crash.
    found.sort_by_key(|(range, _)| std::cmp::Reverse(range.len()));
    for (range, name) in found {
        let covered = segments.get(range).unwrap_or_default();
        let is_free = covered.iter().all(|segment| segment.index.with_cover(|it| it.is_none()));
        match open(dir.join(&name), options, covered).filter(|_| is_free) {
            Some(run) => cover(covered, &Arc::new(run)),
            None => stale.push(name),
        }
    }
    Ok(stale)
}

fn open(path: PathBuf, options: &Options, covered: &[Arc<Segment>]) -> Option<Run> {
    let file = options.world.disk.open(&path, Mode::Read).ok()?;
    let run = Run::open(file, path, seed_of(covered), &options.index_pages)?;
    (run.segments as usize == covered.len()).then_some(run)
}

/// The segments that a run's name says, if they are there.
fn covered_by(name: &str, segments: &[Arc<Segment>]) -> Option<Range<usize>> {
    let place = |base| segments.binary_search_by_key(&base, |segment| segment.base()).ok();
    let (first, last) = bases_of(name)?;
    let (first, last) = (place(first)?, place(last)?);
    (first <= last).then_some(first..last + 1)
}

/// The first positions of the first and of the last segment that a run covers, by its name.
pub(crate) fn bases_of(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Removes runs that are of no use. What cannot be removed is found again at the next opening.
pub(crate) fn remove(dir: &Path, options: &Options, stale: &[String]) {
    for name in stale {
        let _ = options.world.disk.remove(&dir.join(name));
    }
}

/// A run, or a segment that none covers, among the segments in a row.
struct Unit {
    part: Option<Part>,
    range: Range<usize>,
}

/// What there is to merge. Where a run's segments are not all there any more, or an index is in
/// memory still, there is nothing.
fn units(segments: &[Arc<Segment>]) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut at = 0;
    while let Some(segment) = segments.get(at) {
        let of_run = segment.index.with_cover(|cover| match cover {
            Some(Cover { run, nth: 0 }) => Some(run.clone()),
            _ => None,
        });
        let len = of_run.as_ref().map_or(1, |run| run.segments as usize);
        let is_whole = of_run.as_ref().is_none_or(|run| {
            let covered = segments.get(at..at + len).unwrap_or_default();
            covered.len() == len && covered.iter().all(|one| is_covered_by(one, run))
        });
        let is_alone = || segment.index.with_cover(|cover| cover.is_none());
        let (part, len) = match of_run {
            Some(run) if is_whole => (Some(Part::Run(run)), len),
            None if is_alone() => (segment.index.as_file().map(Part::Segment), 1),
            _ => (None, 1),
        };
        units.push(Unit { part, range: at..at + len });
        at += len;
    }
    units
}

fn is_covered_by(segment: &Segment, run: &Arc<Run>) -> bool {
    segment.index.with_cover(|cover| cover.is_some_and(|cover| Arc::ptr_eq(&cover.run, run)))
}

/// Merges what is due, at most so many times: the smallest first. Whether there is more to do.
///
/// Failing loses nothing: the segments that a run would cover are asked themselves.
pub(crate) fn tend(
    dir: &Path,
    options: &Options,
    (segments, merges_max): (&[Arc<Segment>], usize),
) -> Result<bool, Fault> {
    for _ in 0..merges_max {
        let units = units(segments);
        let Some(due) = due(&units, options.index_fan_out.max(FAN_OUT_MIN)) else {
            return Ok(false);
        };
        merge_units(dir, options, (segments, due))?;
    }
    Ok(true)
}

/// The first units in a row that are of one level, the lowest there is.
fn due(units: &[Unit], fan_out: usize) -> Option<&[Unit]> {
    let level = |unit: &Unit| unit.part.as_ref().map(Part::level);
    let is_due = |window: &&[Unit]| {
        let pairs: u64 = window.iter().filter_map(|u| Some(u.part.as_ref()?.count_all())).sum();
        let first = window.first().and_then(level);
        first.is_some() && window.iter().all(|unit| level(unit) == first) && pairs <= PAIRS_MAX
    };
    units.windows(fan_out).filter(is_due).min_by_key(|window| window.first().and_then(level))
}

fn merge_units(
    dir: &Path,
    options: &Options,
    (segments, units): (&[Arc<Segment>], &[Unit]),
) -> Result<(), Fault> {
    let parts: Vec<Part> = units.iter().filter_map(|unit| unit.part.clone()).collect();
    let range = units.first().map_or(0, |unit| unit.range.start)
        ..units.last().map_or(0, |unit| unit.range.end);
    let covered = segments.get(range).expect("units are of these segments");
    let disk = &*options.world.disk;
    let path = run_path(dir, covered);
    let unfinished = path.with_extension("dir.tmp");
    let file = disk.open(&unfinished, Mode::Create).map_err(Fault::io("create", &unfinished))?;
    let file = merge(&parts, (file, &unfinished), seed_of(covered)).inspect_err(|fault| {
        // A run that cannot be read is made anew of its segments, next time.
        if !fault.is_full() {
            forget_runs(&parts, covered);
        }
        let _ = disk.remove(&unfinished);
    })?;
    if !is_on(Bug::UnsyncedIndex) {
        file.sync().map_err(Fault::io("sync", &unfinished))?;
    }
    disk.rename(&unfinished, &path).map_err(Fault::io("rename", &unfinished))?;
    disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
    let Some(run) = open(path.clone(), options, covered) else {
        let error = io::Error::other("what was written does not come back");
        return Err(Fault::io("read", path)(error));
    };
    cover(covered, &Arc::new(run));
    for part in &parts {
        if let Part::Run(run) = part {
            let _ = disk.remove(&run.path);
        }
    }
    Ok(())
}

fn forget_runs(parts: &[Part], covered: &[Arc<Segment>]) {
    if parts.iter().any(|part| matches!(part, Part::Run(_))) {
        covered.iter().for_each(|segment| segment.index.set_cover(None));
    }
}
