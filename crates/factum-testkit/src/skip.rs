//! How a case says that it was not run: as every test of this workspace does.
//!
//! The line `name: reason` goes to the file that `FACTUM_SKIPS` names, as the test harness hides
//! what a passing test prints; `cargo xtask test` counts it. It is printed too.

use std::{fs::OpenOptions, io::Write};

/// The variable that names the file.
const SKIPS: &str = "FACTUM_SKIPS";

/// Says that a case was skipped, and why. A file that cannot be written changes no verdict.
#[allow(clippy::print_stderr, reason = "what a test says to whoever runs it")]
pub(crate) fn skipped(name: &str, why: &str) {
    eprintln!("SKIPPED: {name}: {why}");
    let Some(path) = std::env::var_os(SKIPS) else { return };
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
        // One write a line: tests run beside each other.
        let _ = file.write_all(format!("{name}: {why}\n").as_bytes());
    }
}
