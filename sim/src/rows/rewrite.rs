//! Segments rewritten while the store serves, and the power cut at each call of it: every segment
//! is the old one or the new one, whole; what is visible is what it was; a cursor that had begun
//! goes on.

use super::{
    Find, Meter,
    cuts::{self, Moment, Walk},
};
use crate::{
    check,
    dice::Dice,
    disk::{Fs, Op, SimDisk},
    model::{Model, Task, Truth, scavenged},
    work::{Author, Session, Sizes, Stage, drop_indexes},
};
use factum_core::{
    Batch, Change, Check, EventData, Query, Read, RecordedEvent, StreamMetadata, StreamName,
};
use factum_log::{
    clock::Clock,
    rewrite::{ScavengeOptions, Stop},
};
use std::collections::BTreeMap;

/// Bytes of a history: six segments of 64 KiB or so, more than a batch.
const BYTES: u64 = 360_000;
/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 3;
/// Images of one history, at most.
const IMAGES_MAX: u64 = 400;

/// The scavenge begins so long after the history.
const AFTER_NS: i64 = 30_000_000_000;

/// A scavenge that ran well.
struct Ran {
    /// The disk before.
    base: Fs,
    trace: Vec<Op>,
    /// All events, those appended meanwhile too, before anything was taken.
    full: Vec<RecordedEvent>,
    /// All events afterwards.
    after: Vec<RecordedEvent>,
    /// How many were acknowledged, after so many calls.
    known: Vec<(usize, usize)>,
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut dice = Dice::new(seed);
    let ran = run(seed, &mut dice)?;
    meter.done += 1;
    let every = (ran.trace.len() as u64 * CUTS / IMAGES_MAX).max(1);
    let walk = Walk { seed, disk: ran.base.clone(), trace: &mut ran.trace.iter(), ways: CUTS };
    let mut is_wanted = false;
    let wants = |at: &Moment<'_>| {
        // All ways of a call, or none.
        if at.way == 0 {
            is_wanted = dice.one_in(every) || is_turning(at.op);
        }
        is_wanted
    };
    cuts::each(walk, meter, wants, |at| ran.check(at.cut(), at.calls, at.seed))
}

/// Where names change, every cut is of interest.
fn is_turning(op: &Op) -> bool {
    matches!(op, Op::Rename(..) | Op::SyncDir(_) | Op::Remove(_) | Op::Sync(_))
}

/// A store of several segments, of which much is hidden.
pub(super) fn filled(seed: u64, dice: &mut Dice) -> Result<(Session, Author), Find> {
    let mut author = Author::new(seed, Sizes::Crossing);
    let stage = Stage::new(SimDisk::new(Fs::default()), seed);
    let mut session = Session::open(&stage, Model::default())?;
    while session.bytes() < BYTES {
        session = session.step(&author.step())?;
    }
    let events = check::everything(&session.reader)?;
    let mut streams = check::streams(&events);
    streams.retain(|stream| !stream.is_metadata());
    let mut tasks = Vec::new();
    for stream in streams {
        let keep = dice.below(8);
        let change = match dice.below(5) {
            0 => Change::Delete,
            1 => Change::SetMetadata(StreamMetadata {
                max_count: Some(1 + keep),
                ..StreamMetadata::default()
            }),
            2 => Change::SetMetadata(StreamMetadata {
                max_age_s: Some(1 + keep),
                ..StreamMetadata::default()
            }),
            _ => continue,
        };
        tasks.push(Task::Change(stream, change, None));
    }
    session.group(&tasks)?;
    author.model = session.model.clone();
    if dice.one_in(2) {
        session.index()?;
    }
    Ok((session, author))
}

fn run(seed: u64, dice: &mut Dice) -> Result<Ran, Find> {
    let (mut session, mut author) = filled(seed, dice)?;
    let before = check::everything(&session.reader)?;
    let stage = session.stage.clone();
    if dice.one_in(2) {
        stage.compress().map_err(|error| format!("compressing: {error}"))?;
    }
    // The clock of histories goes back more than forth.
    stage.clock.step(AFTER_NS);
    let grace_s = if dice.one_in(2) { 0 } else { dice.below(60) };
    let fates = Truth(&before).fates(stage.clock.now(), grace_s);
    let mut cursor = session.reader.read(Read::query(Query::All)).unwrap().cursor;
    let first = cursor.next_batch().map_err(|error| format!("reading: {error}"))?;
    let base = stage.disk.fs();
    stage.disk.record();
    let mut known = vec![(0, before.len())];
    let maintenance = session.reader.maintenance();
    let options = ScavengeOptions { grace_s, threshold_percent: 0, ..Default::default() };
    let mut found = Ok(());
    let report = maintenance.scavenge(&options, &Stop::default(), &mut |_| {
        if found.is_ok() && dice.one_in(2) {
            let tasks: Vec<Task> = author.step().tasks;
            let tasks: Vec<Task> =
                tasks.into_iter().filter(|one| is_fresh(&session, one)).collect();
            found = session.group(&tasks);
            known.push((stage.disk.recorded(), session.model.events.len()));
        }
    });
    report.map_err(|error| format!("scavenge: {error}"))?;
    found?;
    let trace = stage.disk.take_trace();
    let after = check::everything(&session.reader)?;
    let kept = after.partition_point(|event| event.position().0 <= before.len() as u64);
    scavenged(&before, &after[..kept], &fates)?;
    let full: Vec<_> = before.iter().chain(&after[kept..]).cloned().collect();
    goes_on(cursor, first, (&before, &after))?;
    session.model.forget(&after);
    session.whole(dice, 6)?;
    Ok(Ran { base, trace, full, after, known })
}

/// Whether what is being taken has no part in the answer to a task.
fn is_fresh(session: &Session, task: &Task) -> bool {
    let Task::Append(append) = task else { return false };
    let is_query = |check: &Check| matches!(check, Check::NoMatch { .. });
    let known = |(stream, event): &(StreamName, EventData)| session.model.knows(stream, event.id);
    !append.checks.iter().any(is_query) && !append.events.iter().any(known)
}

/// A read that had begun delivers everything that is left, as it was or as it is, once.
fn goes_on(
    mut cursor: factum_log::read::Cursor,
    first: Batch,
    (before, after): (&[RecordedEvent], &[RecordedEvent]),
) -> Result<(), Find> {
    let mut events: Vec<RecordedEvent> = first.events;
    let mut caught_up = first.caught_up;
    while !caught_up {
        let batch = cursor.next_batch().map_err(|error| format!("reading on: {error}"))?;
        caught_up = batch.caught_up;
        events.extend(batch.events);
    }
    let old = by_position(before);
    let new = by_position(after);
    let read = by_position(&events);
    if read.len() != events.len() || !events.iter().map(RecordedEvent::position).is_sorted() {
        return Err("a read that had begun went back".into());
    }
    for (position, event) in &read {
        if ![old.get(position), new.get(position)].contains(&Some(event)) {
            return Err(format!("a read that had begun met {event:?}"));
        }
    }
    let head = before.len() as u64;
    match new.keys().filter(|position| **position <= head).find(|one| !read.contains_key(one)) {
        Some(position) => Err(format!("a read that had begun left out position {position}")),
        None => Ok(()),
    }
}

fn by_position(events: &[RecordedEvent]) -> BTreeMap<u64, &RecordedEvent> {
    events.iter().map(|event| (event.position().0, event)).collect()
}

impl Ran {
    /// Opens what a cut left, looks at all of it, and scavenges again.
    fn check(&self, image: Fs, calls: usize, seed: u64) -> Result<(), Find> {
        let mut dice = Dice::new(seed);
        let stage = Stage::new(SimDisk::new(image), seed);
        if dice.one_in(4) {
            drop_indexes(&stage);
        }
        let mut session = Session::open(&stage, Model::default())?;
        let new = by_position(&self.after);
        let may_be_gone = |position: u64| !new.contains_key(&position);
        let events = check::scavenged(&session.reader, &mut dice, (2, &may_be_gone))?;
        let known = self.known.iter().rev().find(|(from, _)| *from <= calls);
        let known = known.map_or(0, |(_, count)| *count) as u64;
        if session.reader.head().0 < known {
            return Err(format!("{known} events were acknowledged"));
        }
        let old = by_position(&self.full);
        for event in &events {
            let position = event.position().0;
            if ![old.get(&position), new.get(&position)].contains(&Some(&event)) {
                return Err(format!("{event:?} was never that"));
            }
        }
        self.answers(&session, &events)?;
        if dice.one_in(3) {
            session.scavenge(0)?;
            let again = check::everything(&session.reader)?;
            self.answers(&session, &again)?;
        }
        Ok(())
    }

    /// Every stream is what it was, and what was visible of it is.
    fn answers(&self, session: &Session, events: &[RecordedEvent]) -> Result<(), Find> {
        let head = session.reader.head().0;
        let full = &self.full[..usize::try_from(head).expect("few").min(self.full.len())];
        let (was, is) = (Truth(full), Truth(events));
        for stream in check::streams(full) {
            let (was, is) = (was.of_stream(&stream), is.of_stream(&stream));
            if was.state != is.state || (!was.ages && was.events != is.events) {
                return Err(format!("{stream:?} was {was:?} and is {is:?}"));
            }
        }
        Ok(())
    }
}
