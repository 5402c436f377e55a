//! The corpus that is checked in, replayed; then mutated for a moment: `FUZZ_SECONDS` (2) a target,
//! `FUZZ_SEED` (1) for other mutations. `FUZZ_MAKE=1` writes the corpus anew.
#![allow(clippy::print_stdout)]

use factum_fuzz::{
    TARGETS,
    mutate::{corpus, folder, mutated},
    seeds,
};
use factum_sim::dice::Dice;
use std::{
    fs,
    time::{Duration, Instant},
};

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

/// A seed that no service sees would try nothing.
#[test]
fn every_call_of_the_corpus_reaches_a_service() {
    for (path, data) in corpus("call") {
        assert!(factum_server::fuzzing::call(&data), "{}", path.display());
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

fn check_mutations(target: &str) {
    let (_, run) = *TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let corpus = corpus(target);
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(2));
    let mut count = 0u64;
    while Instant::now() < until {
        let mut dice = Dice::of(seed, count);
        let data = mutated(&corpus, &mut dice);
        let ended = std::panic::catch_unwind(|| run(&data));
        if let Err(panic) = ended {
            let path = std::env::temp_dir().join(format!("factum-fuzz-{target}-{count}"));
            fs::write(&path, &data).unwrap();
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

#[test]
fn calls_mutated() {
    check_mutations("call");
}
