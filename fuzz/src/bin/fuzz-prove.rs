//! Every target as a row of `cargo xtask prove`: mutations of its corpus, by the second of a
//! processor's time. Without a guide through the code, as that needs another compiler: `cargo fuzz
//! run NAME` is the better search where there is one, and this the one that always runs.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use factum_fuzz::{
    TARGETS,
    mutate::{corpus, mutated},
};
use factum_sim::{
    dice::Dice,
    program,
    rows::{Cases, Find, Meter, Row},
};
use rustix::time::{ClockId, clock_gettime};
use std::{fs, process::ExitCode};

/// The budget of all rows together, where nothing is said.
const SECONDS: u64 = 60;
/// 24 hours of a processor each.
const RELEASE_CPU_SECONDS: u64 = 24 * 3_600;
/// Inputs between two looks at the clock.
const INPUTS: u64 = 64;

/// A row for each target: a function that a name is known to.
macro_rules! rows {
    ($($name:literal),+) => {
        [$(Row {
            name: concat!("fuzz-", $name),
            unit: "cpu-seconds",
            goal: 2,
            release: RELEASE_CPU_SECONDS,
            share: 1,
            cases: Cases::Drawn,
            case: |seed, meter| slice($name, seed, meter),
        }),+]
    };
}

const ROWS: [Row; TARGETS.len()] =
    rows!("frame", "header", "body", "segment", "index", "metadata", "call");

fn cpu_seconds() -> i64 {
    clock_gettime(ClockId::ThreadCPUTime).tv_sec
}

/// A second of a processor's time.
fn slice(target: &str, seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).expect("a row for each");
    let corpus = corpus(target);
    let mut dice = Dice::new(seed);
    let began = cpu_seconds();
    while cpu_seconds() == began {
        if meter.is_over() {
            return Ok(());
        }
        for _ in 0..INPUTS {
            let data = mutated(&corpus, &mut dice);
            let ended = std::panic::catch_unwind(|| run(&data));
            if ended.is_err() {
                let path = std::env::temp_dir().join(format!("factum-fuzz-{target}-{seed}"));
                fs::write(&path, &data).map_err(|error| error.to_string())?;
                return Err(format!("{}: add it to fuzz/corpus/{target}", path.display()));
            }
        }
    }
    meter.done += 1;
    Ok(())
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--rows") {
        program::list(&ROWS);
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let (passed, failed) = program::run(&ROWS, SECONDS, u64::MAX);
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
