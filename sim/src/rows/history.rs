//! Model histories: long ones, with reopenings and deleted index files between, and no crash.

use super::{Find, Meter};
use crate::{
    dice::Dice,
    disk::{Fs, SimDisk},
    model::Model,
    work::{Author, Session, Sizes, Stage},
};
use factum_log::OpenError;

/// Operations of a history, at most.
const TASKS_MAX: u64 = 200;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut dice = Dice::new(seed);
    let sizes = if dice.one_in(4) { Sizes::Crossing } else { Sizes::Many };
    let tasks = 1 + dice.below(TASKS_MAX);
    let mut author = Author::new(seed, sizes);
    let stage = Stage::new(SimDisk::new(Fs::default()), seed);
    let mut session = Session::open(&stage, Model::default())?;
    let mut done = 0;
    meter.done += 1;
    while done < tasks {
        let step = author.step();
        done += step.tasks.len() as u64;
        session = session.step(&step).map_err(|find| format!("after {done} tasks: {find}"))?;
        if dice.one_in(12) {
            session.stage.clock.step(20_000_000_000);
            let grace_s = if dice.one_in(2) { 0 } else { dice.below(40) };
            let scavenged = session.scavenge(grace_s);
            scavenged.map_err(|find| format!("after {done} tasks: {find}"))?;
        }
        if dice.one_in(16) {
            session.whole(&mut dice, 2).map_err(|find| format!("after {done} tasks: {find}"))?;
            if !matches!(session.stage.open(), Err(OpenError::Locked { .. })) {
                return Err("a folder that is open was opened again".into());
            }
        }
    }
    session.whole(&mut dice, 12).map_err(|find| format!("after all {done} tasks: {find}"))?;
    let (stage, model) = session.let_go();
    Session::open(&stage, model)?.whole(&mut dice, 4).map(drop)
}
