//! A replica, driven by hand.

use crate::{
    check,
    dice::Dice,
    rows::Find,
    work::{Session, Stage, folder, tracks},
};
use factum_log::{
    Reader,
    copy::{Held, PIECE_BYTES_MAX, Source},
    replica::{Replica, ReplicaError},
    verify::verify,
};

/// Steps after which a replica that has not come to an end is taken to have none.
const STEPS_MAX: usize = 10_000;

/// An open replica.
pub(super) struct Copy {
    stage: Stage,
    replica: Replica,
    pub(super) reader: Reader,
}

fn open(stage: &Stage, source: &Reader) -> Result<Copy, ReplicaError> {
    let why = "append to the source".into();
    let (replica, reader) = Replica::open((&folder(), stage.options()), source, why)?;
    Ok(Copy { stage: stage.clone(), replica, reader })
}

/// Opens a replica and follows until something fails, or nothing is left to do: how far readers
/// have seen.
pub(super) fn until_failure(stage: &Stage, source: &Reader, dice: &mut Dice) -> u64 {
    let Ok(mut copy) = open(stage, source) else { return 0 };
    for _ in 0..STEPS_MAX {
        match copy.try_step(source, dice) {
            Ok(true) | Err(ReplicaError::Full { .. }) => {}
            Ok(false) | Err(_) => break,
        }
    }
    copy.reader.head().0
}

impl Copy {
    pub(super) fn open(stage: &Stage, source: &Reader) -> Result<Self, Find> {
        open(stage, source).map_err(|error| format!("opening the replica: {error}"))
    }

    /// The same, opened again.
    pub(super) fn again(mut self, source: &Reader, is_closed: bool) -> Result<Self, Find> {
        if is_closed {
            self.replica.close();
        }
        let Self { stage, replica, reader } = self;
        let head = reader.head();
        drop((replica, reader));
        let copy = Self::open(&stage, source)?;
        match copy.reader.head() == head {
            true => Ok(copy),
            false => Err(format!("the head was {head}, and is {} now", copy.reader.head())),
        }
    }

    fn try_step(&mut self, source: &Reader, dice: &mut Dice) -> Result<bool, ReplicaError> {
        let more = self.replica.step(source, &source.inventory()?)?;
        for segment in self.replica.take_unindexed() {
            if dice.one_in(2) {
                // Without its file an index stays in memory.
                let _ = segment.write();
            }
        }
        Ok(more)
    }

    /// One step; whether there may be more to do.
    pub(super) fn step(&mut self, source: &Reader, dice: &mut Dice) -> Result<bool, Find> {
        let before = self.reader.head();
        let more = self.try_step(source, dice).map_err(|error| format!("following: {error}"))?;
        match self.reader.head() < before {
            true => Err(format!("the head went back from {before}")),
            false => Ok(more),
        }
    }

    /// Follows until nothing is left: it is the source, then, in all ways of reading and byte for
    /// byte.
    pub(super) fn converge(&mut self, source: &Session, dice: &mut Dice) -> Result<(), Find> {
        let mut steps = 0;
        while self.step(&source.reader, dice)? {
            steps += 1;
            if steps > STEPS_MAX {
                return Err("it follows without an end".into());
            }
        }
        let gone = |position| source.model.is_gone(position);
        let events = check::scavenged(&self.reader, dice, (2, &gone))?;
        source.model.compare(&events)?;
        tracks(&self.reader, &source.model)?;
        same_bytes(&source.reader, &self.reader)
    }

    /// Closes it: every byte of the folder is one of a whole store, which opens as one.
    pub(super) fn close_and_verify(mut self, source: &Session) -> Result<(), Find> {
        self.replica.close();
        let Self { stage, replica, reader } = self;
        drop((replica, reader));
        let report = verify(&folder(), &stage.world(), &mut |_| true);
        let report = report.map_err(|error| format!("verifying: {error}"))?;
        if report.is_damaged() {
            return Err(format!("damaged: {:?}", report.findings));
        }
        let promoted = Session::open(&stage, source.model.clone())?;
        promoted.tracked()?;
        source.model.compare(&check::everything(&promoted.reader)?)
    }
}

/// Whether two stores have the same segments, and the same bytes in them.
fn same_bytes(source: &Reader, copy: &Reader) -> Result<(), Find> {
    let [theirs, ours] =
        [source, copy].map(|one| one.inventory().map_err(|error| error.to_string()));
    let (theirs, ours) = (theirs?, ours?);
    let what = |held: &Held| (held.base, held.seed, held.origin, held.is_sealed);
    let lists = [&theirs, &ours].map(|one| one.segments.iter().map(what).collect::<Vec<_>>());
    if (theirs.store, theirs.head) != (ours.store, ours.head) || lists[0] != lists[1] {
        return Err(format!("{theirs:?} is not {ours:?}"));
    }
    for (theirs, ours) in theirs.segments.iter().zip(&ours.segments) {
        let end = theirs.end.min(ours.end);
        if !theirs.is_sealed && theirs.end != ours.end {
            return Err(format!("{theirs:?} ends elsewhere than {ours:?}"));
        }
        let mut at = 0;
        while at < end {
            let upto = end.min(at + PIECE_BYTES_MAX);
            let [there, here] = [source, copy].map(|one| one.piece(theirs, at..upto));
            if there.map_err(|e| e.to_string())? != here.map_err(|e| e.to_string())? {
                return Err(format!("other bytes in {theirs:?}"));
            }
            at = upto;
        }
    }
    Ok(())
}
