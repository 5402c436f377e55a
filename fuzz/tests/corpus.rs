//! The corpus that is checked in, replayed; then mutated for a moment: `FUZZ_SECONDS` (2) a target,
//! `FUZZ_SEED` (1) for other mutations. `FUZZ_MAKE=1` writes the corpus anew.
#![allow(clippy::print_stdout)]

use factum_fuzz::{TARGETS, seeds};
use factum_sim::dice::Dice;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path());
    let mut all: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    all.sort();
    assert!(!all.is_empty(), "{target} has no corpus");
    all
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_corpus_of_what_the_engine_writes() {
    if number("FUZZ_MAKE").is_none() {
        return replay();
    }
    for (target, name, bytes) in seeds::make() {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), bytes).unwrap();
    }
}

fn replay() {
    for (name, run) in TARGETS {
        for (path, data) in corpus(name) {
            println!("{}", path.display());
            run(&data);
            let step = if name == "segment" { 61 } else { 1 };
            for len in (0..data.len().min(600)).step_by(step) {
                run(&data[..len]);
            }
        }
    }
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

fn check_mutations(target: &str) {
    let (_, run) = *TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let corpus = corpus(target);
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(2));
    let mut count = 0u64;
    while Instant::now() < until {
        let mut dice = Dice::of(seed, count);
        let mut data = dice.pick(&corpus).1.clone();
        let other = dice.pick(&corpus).1.clone();
        mutate(&mut data, &other, &mut dice);
        let shown = data.clone();
        let ended = std::panic::catch_unwind(|| run(&data));
        if let Err(panic) = ended {
            let path = std::env::temp_dir().join(format!("factum-fuzz-{target}-{count}"));
            fs::write(&path, shown).unwrap();
            println!("the input is in {}: add it to corpus/{target}", path.display());
            std::panic::resume_unwind(panic);
        }
        count += 1;
    }
    println!("{target}: {count} mutations");
    assert!(count > 0);
}

#[test]
fn frames_mutated() {
    check_mutations("frame");
}

#[test]
fn headers_mutated() {
    check_mutations("header");
}

#[test]
fn bodies_mutated() {
    check_mutations("body");
}

#[test]
fn segments_mutated() {
    check_mutations("segment");
}

#[test]
fn indexes_mutated() {
    check_mutations("index");
}

#[test]
fn metadata_mutated() {
    check_mutations("metadata");
}
