//! Changing inputs, without a guide: what a stable compiler has to offer.

mod call;

use factum_sim::dice::Dice;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An input, and the file that it is.
pub type Input = (PathBuf, Vec<u8>);

/// Where the corpus of a target is.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The corpus of a target, by name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn corpus(target: &str) -> Vec<Input> {
    let files = fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path());
    let mut all: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    all.sort();
    assert!(!all.is_empty(), "{target} has no corpus");
    all
}

/// One of the corpus, with a few changes.
#[must_use]
pub fn mutated(corpus: &[Input], dice: &mut Dice) -> Vec<u8> {
    let mut data = dice.pick(corpus).1.clone();
    let other = dice.pick(corpus).1.clone();
    if !dice.one_in(4)
        && let Some(changed) = call::mutated(&data, dice)
    {
        return changed;
    }
    mutate(&mut data, &other, dice);
    data
}

/// Changes a few bytes: to any value, to a small one, to the largest; cuts, doubles, zeroes.
fn mutate(data: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        if data.is_empty() {
            data.extend_from_slice(other);
            return;
        }
        let at = dice.index(data.len());
        match dice.below(8) {
            0 => data[at] ^= 1 << dice.below(8),
            1 => data[at] = dice.below(256) as u8,
            2 => data[at] = 0xff,
            3 => data[at] = dice.below(4) as u8,
            4 => data.truncate(at),
            5 => {
                let end = (at + 1 + dice.index(8)).min(data.len());
                data[at..end].fill(if dice.one_in(2) { 0xff } else { 0 });
            }
            6 => {
                let from = dice.index(other.len().max(1)).min(other.len());
                let piece = &other[from..(from + 1 + dice.index(64)).min(other.len())];
                data.splice(at..at, piece.iter().copied());
            }
            _ => drop(data.remove(at)),
        }
    }
}
