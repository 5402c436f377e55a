//! `kill -9`, at each call of the system that a fixed piece of work makes, and at any moment.

use crate::{
    aftermath::Aftermath,
    strace::{self, CALLS},
    worker::{Worker, arguments, program},
};
use factum_sim::{
    dice::Dice,
    rows::{Find, Meter},
};
use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Pieces of work.
const WORKS: u64 = 3;
/// No thread makes more calls than this; a few more than those of the longest work.
const CALLS_MAX: u64 = 400;
pub(super) const CASES: u64 = WORKS * CALLS_MAX;
/// Shares no factor with the number of calls: a few of them are early ones and late ones.
const STRIDE: u64 = 143;
/// A run takes less.
const RUN_MAX: Duration = Duration::from_millis(60);

/// The nth call of a thread is its last; of which thread, the first to get so far decides.
pub(super) fn at_call(number: u64, meter: &mut Meter) -> Result<(), Find> {
    let work = number % WORKS;
    let nth = 1 + number / WORKS * STRIDE % CALLS_MAX;
    if nth > most_calls(work)? {
        return Ok(());
    }
    meter.done += 1;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let inject = format!("{CALLS}:signal=SIGKILL:when={nth}");
    let command = strace::command(&inject, &program(), &arguments(folder.path(), work));
    let heard = Worker::run(command)?.rest();
    let aftermath = Aftermath { folder: folder.path(), seed: work, heard: &heard };
    aftermath.check().map_err(|find| format!("work {work}, killed at call {nth}: {find}"))
}

fn most_calls(work: u64) -> Result<u64, Find> {
    static MOST: OnceLock<Vec<Result<u64, Find>>> = OnceLock::new();
    let count = |work| {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let most = strace::most_calls(&program(), &arguments(folder.path(), work))?;
        match most <= CALLS_MAX {
            true => Ok(most),
            false => Err(format!("{most} calls: raise CALLS_MAX")),
        }
    };
    let most = MOST.get_or_init(|| (0..WORKS).map(count).collect());
    most[usize::try_from(work).expect("below 3")].clone()
}

/// After some acknowledgements, or some time.
pub(super) fn at_random(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    meter.done += 1;
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut worker = Worker::start(folder.path(), seed)?;
    if dice.one_in(2) {
        for _ in 0..dice.below(crate::work::OPS) {
            worker.hear();
        }
    }
    let moment = Duration::from_micros(dice.below(RUN_MAX.as_micros() as u64 / 4));
    let until = Instant::now() + moment;
    while Instant::now() < until {
        thread::yield_now();
    }
    let heard = worker.kill();
    let aftermath = Aftermath { folder: folder.path(), seed, heard: &heard };
    aftermath.check().map_err(|find| format!("killed after {} answers: {find}", heard.len()))
}
