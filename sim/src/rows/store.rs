//! A store that was closed in good order, to be damaged, and what is asked of it then.

use super::Find;
use crate::{
    check::{self, Question},
    dice::Dice,
    disk::{Fs, SimDisk},
    model::{Model, Truth},
    work::{Author, Session, Sizes, Stage, drop_indexes, folder, tracks},
};
use factum_core::{AppendError, Query, Read, ReadError};
use std::path::PathBuf;

/// Groups of a history: two segments of 64 KiB, the second half full.
const BYTES: u64 = 90_000;
/// Questions asked of each damaged store, of those that are worked out once.
const ASKED: u64 = 3;

/// Of every other store the sealed segment is compressed.
fn is_packed(seed: u64) -> bool {
    !seed.is_multiple_of(2)
}

/// A closed store.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) disk: Fs,
    /// Its files, and how many bytes each has up to the zeroes at its end.
    pub(super) files: Vec<(PathBuf, usize)>,
    everything: Question,
    questions: Vec<Question>,
    moments: Vec<Question>,
    tracked: Model,
}

impl Closed {
    pub(super) fn new(seed: u64) -> Result<Self, Find> {
        Self::of_bytes(seed, BYTES)
    }

    /// One with so many bytes of history.
    pub(super) fn of_bytes(seed: u64, bytes: u64) -> Result<Self, Find> {
        let mut author = Author::new(seed, Sizes::Still);
        let stage = Stage::new(SimDisk::new(Fs::default()), seed);
        let mut session = Session::open(&stage, Model::default())?;
        while session.bytes() < bytes {
            session = session.step(&author.step())?;
        }
        session.index()?;
        session.writer.close().map_err(|fault| format!("closing: {fault}"))?;
        let mut dice = Dice::new(seed);
        let events = session.whole(&mut dice, 10)?;
        let (stage, tracked) = session.let_go();
        if is_packed(seed) {
            stage.compress().map_err(|error| format!("compressing: {error}"))?;
        }
        let truth = Truth(&events);
        let mut everything = check::all_backward(&truth);
        everything.read = Read::query(Query::All);
        everything.events.reverse();
        everything.unlimited.reverse();
        let mut questions: Vec<_> = (0..40).map(|_| check::question(&truth, &mut dice)).collect();
        questions.push(check::all_backward(&truth));
        let moments = (0..16).map(|_| check::moment(&truth, &mut dice)).collect();
        let disk = stage.disk.fs();
        let names = disk.list(&folder()).expect("the folder is there");
        let is_stored = |name: &&String| [".log", ".zst", ".idx"].iter().any(|e| name.ends_with(e));
        let stored = names.iter().filter(is_stored);
        let files = stored.map(|name| {
            let path = folder().join(name);
            let bytes = disk.bytes(disk.find(&path).expect("it was listed"));
            let content = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            (path, content)
        });
        let files = files.collect();
        Ok(Self { disk, files, everything, questions, moments, tracked })
    }

    /// Opens the damaged disk and asks: no wrong answer, and none too short without a word.
    pub(super) fn check(&self, damaged: Fs, dice: &mut Dice) -> Result<(), Find> {
        let stage = Stage::new(SimDisk::new(damaged), dice.roll());
        let (writer, reader) = match stage.open() {
            Ok(open) => open,
            // A head whose checksum is right cannot be of a newer release.
            Err(error) => return Err(format!("opening: {error}")),
        };
        if let Some(why) = writer.read_only()
            && !check::names_a_place(&why)
        {
            return Err(format!("no file and offset in {why:?}"));
        }
        check::ask_damaged(&reader, &self.everything)?;
        check::ask_damaged(&reader, dice.pick(&self.moments))?;
        for _ in 0..ASKED {
            check::ask_damaged(&reader, dice.pick(&self.questions))?;
        }
        if writer.read_only().is_none() {
            tracks(&reader, &self.tracked)?;
            if dice.one_in(16) {
                self.go_on(Session::around(&stage, writer, reader), dice)?;
            }
        }
        Ok(())
    }

    /// The same disk without index files.
    pub(super) fn without_indexes(&self, disk: Fs) -> Fs {
        let stage = Stage::new(SimDisk::new(disk), 0);
        drop_indexes(&stage);
        stage.disk.fs()
    }

    /// A store that takes appends keeps them, damaged or not.
    fn go_on(&self, mut session: Session, dice: &mut Dice) -> Result<(), Find> {
        let mut author = Author::new(dice.roll(), Sizes::Still);
        author.model = self.tracked.clone();
        session.model = self.tracked.clone();
        let tasks = author.step().tasks;
        for (task, answer) in tasks.iter().zip(session.submit(&tasks)) {
            let right = session.model.clone().perform(task);
            match answer {
                // What it must be judged by cannot be read.
                Err(AppendError::ReadOnly { why }) if check::names_a_place(&why) => {}
                answer if answer == right => drop(session.model.perform(task)),
                answer => return Err(format!("{task:?}: {answer:?} instead of {right:?}")),
            }
        }
        let (stage, model) = session.let_go();
        let (_writer, reader) = stage.open().map_err(|error| format!("opening: {error}"))?;
        let answer = check::read(&reader, Read::query(Query::All));
        match answer.error {
            None => model.compare(&answer.events),
            Some(ReadError::Damaged { what }) if check::names_a_place(&what) => Ok(()),
            Some(error) => Err(format!("after going on: {error}")),
        }
    }
}
