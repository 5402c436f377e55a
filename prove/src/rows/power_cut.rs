//! The power goes, for real: an ext4 in a file is shut down while a process appends, without its
//! journal being written out, and mounted again.

use crate::{aftermath::Aftermath, mounts::Image, power, work::OPS, worker::Worker};
use factum_sim::{
    dice::Dice,
    rows::{Find, Meter},
};
use std::{
    cell::RefCell,
    thread,
    time::{Duration, Instant},
};

/// Microseconds between two acknowledgements, about.
const PAUSE_US_MAX: u64 = 4_000;
/// Cuts after which the image is made anew: each leaves a folder behind.
const CUTS_OF_AN_IMAGE: u64 = 40;

thread_local! {
    static IMAGE: RefCell<Option<(Image, u64)>> = const { RefCell::new(None) };
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    meter.done += 1;
    IMAGE.with_borrow_mut(|held| {
        if held.as_ref().is_none_or(|(_, cuts)| *cuts >= CUTS_OF_AN_IMAGE) {
            *held = Some((Image::new()?, 0));
        }
        let (image, cuts) = held.as_mut().expect("it was made above");
        *cuts += 1;
        cut(image, seed)
    })
}

fn cut(image: &Image, seed: u64) -> Result<(), Find> {
    let mut dice = Dice::new(seed);
    let mount = image.mount()?;
    let name = format!("data-{seed}");
    let mut worker = Worker::start(&mount.path().join(&name), seed)?;
    for _ in 0..dice.below(OPS) {
        worker.hear();
    }
    let until = Instant::now() + Duration::from_micros(dice.below(PAUSE_US_MAX));
    while Instant::now() < until {
        thread::yield_now();
    }
    power::cut(mount.path()).map_err(|error| format!("cutting the power: {error}"))?;
    let heard = worker.kill();
    drop(mount);
    let mount = image.mount()?;
    let folder = mount.path().join(&name);
    let checked = Aftermath { folder: &folder, seed, heard: &heard }.check();
    let _ = std::fs::remove_dir_all(&folder);
    checked.map_err(|find| format!("cut after {} answers: {find}", heard.len()))
}
