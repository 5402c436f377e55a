//! Real crashes of real processes on real file systems: what no simulation can stand for.
//!
//! Each row runs a process that appends and says what was acknowledged ([`work`]), takes the ground
//! from under it (a kill at a call of the system, an error of one, power that goes, a disk without
//! room), and then looks at what is left ([`aftermath`]). What a row needs and is not there (Linux,
//! `strace`, root and loop devices) makes it skipped, with the reason.
//!
//! What the program is told by arguments and variables: see `factum_sim::program`. `FACTUM_BIN` is
//! the built `factum`. `--work FOLDER SEED` is the process that is killed. `--planted` and
//! `--planted-table` (with the feature `planted`) are as those of `sim-smoke`, for the rows here.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a program that reports, and here a panic is a find"
)]

mod aftermath;
mod mounts;
#[cfg(feature = "planted")]
mod planted;
mod power;
mod rows;
mod server;
mod strace;
mod work;
mod worker;

use factum_sim::program;
use std::process::ExitCode;

/// The budget of all rows together, where nothing is said.
const SECONDS: u64 = 60;
/// One case at a time. A process that is being started holds copies of all files that are open
/// here, locks too, until its own program begins: a store that one case closes would seem in use.
const THREADS_MAX: u64 = 1;

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    match asked[..] {
        ["--work", folder, seed] => return work::run(folder.as_ref(), seed.parse().unwrap()),
        ["--rows"] => {
            program::list(&rows::all());
            return ExitCode::SUCCESS;
        }
        #[cfg(feature = "planted")]
        ["--planted-table"] => return planted::print_table(),
        #[cfg(feature = "planted")]
        ["--planted"] => return planted::run(),
        _ => {}
    }
    // Finds are reported with their seed; a panic is one of them.
    std::panic::set_hook(Box::new(|_| {}));
    let (rows, skipped) = rows::possible();
    for (row, why) in &skipped {
        skip(row, why);
    }
    let chosen = std::env::var("ROW").ok();
    let is_skipped = chosen.is_some_and(|row| skipped.iter().any(|(skipped, _)| *skipped == row));
    if rows.is_empty() || is_skipped {
        println!("0 passed, 0 failed");
        return ExitCode::SUCCESS;
    }
    let (passed, failed) = program::run(&rows, SECONDS, THREADS_MAX);
    // A skip is taken from what passed.
    println!("{} passed, {failed} failed", passed + skipped.len() as u64);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says that a row is skipped, as `cargo xtask test` asks for.
fn skip(row: &str, why: &str) {
    use std::io::Write;
    println!("SKIPPED: {row}: {why}");
    let Some(path) = std::env::var_os("FACTUM_SKIPS") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let _ = file.and_then(|mut file| writeln!(file, "{row}: {why}"));
}
