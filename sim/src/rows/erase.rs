//! One event erased, and the power cut at each call of it: it is what it was, or erased; once it
//! was said to be erased, it is; asking again ends what was begun, with one audit.

use super::{
    Find, Meter,
    cuts::{self, Walk},
    rewrite,
};
use crate::{
    check,
    dice::Dice,
    disk::{Fs, Op, SimDisk},
    model::Model,
    work::{Session, Stage, drop_indexes, folder},
};
use factum_core::{Limits, RecordedEvent};
use factum_log::{
    Job,
    disk::Disk,
    rewrite::{EraseRequest, Erased},
};

/// Ways to lose what is not durable, at each call.
const CUTS: u64 = 3;

/// An erasure that ran well.
struct Ran {
    trace: Vec<Op>,
    before: Vec<RecordedEvent>,
    request: EraseRequest,
    erased: Erased,
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut dice = Dice::new(seed);
    let (mut session, _) = rewrite::filled(seed, &mut dice)?;
    let before = check::everything(&session.reader)?;
    let ours = |event: &&RecordedEvent| !event.event_type().as_str().starts_with('$');
    let ours: Vec<_> = before.iter().filter(ours).collect();
    let event = *dice.pick(&ours);
    let (stream, revision) = (event.stream().clone(), event.revision());
    let request = EraseRequest { stream, revision, reason: "\"why\"".into(), by: "sim".into() };
    if dice.one_in(2) {
        session.stage.compress().map_err(|error| format!("compressing: {error}"))?;
    }
    let base = session.stage.disk.fs();
    session.stage.disk.record();
    let erased = erase(&mut session, &request)?;
    let trace = session.stage.disk.take_trace();
    let ran = Ran { trace, before, request, erased };
    ran.check(&mut session, true, &mut dice)?;
    drop(session);
    let walk = Walk { seed, disk: base, trace: &mut ran.trace.iter(), ways: CUTS };
    cuts::each(walk, meter, |_| true, |at| ran.after(at.cut(), at.calls, at.seed))
}

/// As the engine does it, without threads.
fn erase(session: &mut Session, request: &EraseRequest) -> Result<Erased, Find> {
    let maintenance = session.reader.maintenance();
    let erasing = match maintenance.erase(request.clone()) {
        Ok(Ok(erasing)) => erasing,
        Ok(Err(erased)) => return Ok(erased),
        Err(error) => return Err(format!("erasing: {error}")),
    };
    let audit = Job::append(erasing.audit(), &Limits::default());
    let audit = audit.map_err(|error| format!("the audit: {error}"))?;
    let answers = session.writer.step(vec![audit, Job::seal(erasing.position())]);
    for answer in answers {
        answer.map_err(|error| format!("the audit: {error}"))?;
    }
    drop(session.writer.take_unindexed());
    let erased = erasing.finish().map_err(|error| format!("erasing: {error}"))?;
    let names = session.stage.disk.list(&folder()).expect("the folder is there");
    match names.iter().find(|name| names.contains(&format!("{name}.zst"))) {
        Some(name) => Err(format!("{name}.zst has the event still")),
        None => Ok(erased),
    }
}

impl Ran {
    fn after(&self, image: Fs, calls: usize, seed: u64) -> Result<(), Find> {
        let mut dice = Dice::new(seed);
        let stage = Stage::new(SimDisk::new(image), seed);
        if dice.one_in(4) {
            drop_indexes(&stage);
        }
        let mut session = Session::open(&stage, Model::default())?;
        self.check(&mut session, calls == self.trace.len(), &mut dice)?;
        let erased = erase(&mut session, &self.request)?;
        if erased.position != self.erased.position {
            return Err(format!("{erased:?} instead of {:?}", self.erased));
        }
        self.check(&mut session, true, &mut dice)
    }

    /// Everything is as it was, but for the event: it may be erased, or must be.
    fn check(&self, session: &mut Session, must: bool, dice: &mut Dice) -> Result<(), Find> {
        let events = check::coherent(&session.reader, dice, 2)?;
        let mut is_erased = false;
        for (was, is) in self.before.iter().zip(&events) {
            if was == is {
                continue;
            }
            let place =
                |one: &RecordedEvent| (one.id(), one.position(), one.revision(), one.recorded_at());
            is_erased = was.position() == self.erased.position
                && is.event_type().as_str() == "$erased"
                && place(was) == place(is)
                && (is.metadata().len(), is.tags().len()) == (0, 0);
            if !is_erased {
                return Err(format!("{was:?} is now {is:?}"));
            }
        }
        let audits = &events[self.before.len().min(events.len())..];
        let is_audit = |event: &RecordedEvent| event.event_type().as_str() == "$event.erased";
        if events.len() < self.before.len() || audits.len() > 1 || !audits.iter().all(is_audit) {
            return Err(format!("{} events after {}", events.len(), self.before.len()));
        }
        match (is_erased, audits.len()) {
            (true, 0) => Err("erased, and nothing says so".into()),
            (false, _) if must => Err("it was to be erased".into()),
            _ => Ok(()),
        }
    }
}
