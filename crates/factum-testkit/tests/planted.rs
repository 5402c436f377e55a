//! Plants each bug that the framework can have, and runs the row that is to catch it.
//!
//! `--planted-table` prints which row that is; `FACTUM_BUG=NAME` tries one, or several with commas
//! between, and leaves those of other programs to them.

#![allow(clippy::print_stdout, reason = "a program that says what it finds")]

#[path = "rows/mod.rs"]
mod rows;

use factum_app::planted::{Bug, set};
use factum_testkit::{Report, Sim};
use std::{
    panic::{catch_unwind, set_hook, take_hook},
    process::ExitCode,
};

/// How many seeds a row has to catch a bug.
const SEEDS_MAX: u64 = 200;

/// The row that catches a bug.
fn catcher(bug: Bug) -> (&'static str, fn(Sim) -> Report) {
    match bug {
        Bug::DropCondition
        | Bug::DropKeyCheck
        | Bug::TrustCacheForRefusal
        | Bug::DecideAnewAfterLostReply
        | Bug::ForgetKeyAtRefusal
        | Bug::ForgetDeletion
        | Bug::ReadApart
        | Bug::SnapshotClaimsMore => ("decisions", rows::decisions::run),
        Bug::HandleRepeated
        | Bug::CheckpointBeforeRows
        | Bug::ForgetTimers
        | Bug::SendWithoutKey => ("shop", rows::shop::run),
        Bug::MarkBeforePublish | Bug::SkipPoison => ("outbox", rows::outbox::run),
        Bug::TellWithoutNote | Bug::AckBeforeAnswer | Bug::BeginExpired => {
            ("commands", rows::commands::run)
        }
    }
}

/// After how many seeds the row finds the bug.
fn caught(bug: Bug) -> Option<u64> {
    let (_, run) = catcher(bug);
    set(Some(bug));
    let found = (0..SEEDS_MAX).find(|seed| catch_unwind(|| run(Sim::new(*seed))).is_err());
    set(None);
    found.map(|seed| seed + 1)
}

fn is_asked_for(bug: Bug) -> bool {
    let named = std::env::var("FACTUM_BUG").unwrap_or_default();
    named.is_empty() || named.split(',').any(|name| name == format!("{bug:?}"))
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--planted-table") {
        for bug in Bug::ALL {
            println!("planted {bug:?} {} {}", catcher(*bug).0, bug.about());
        }
        return ExitCode::SUCCESS;
    }
    // The rows panic where they find something: that is what is wanted here.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let mut missed = 0;
    for bug in Bug::ALL.iter().copied().filter(|bug| is_asked_for(*bug)) {
        let (row, _) = catcher(bug);
        match caught(bug) {
            Some(seeds) => println!("{bug:?}: caught by {row} with seed {}", seeds - 1),
            None => {
                println!("{bug:?}: NOT caught by {row} in {SEEDS_MAX} seeds. {}", bug.about());
                missed += 1;
            }
        }
    }
    set_hook(hook);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
