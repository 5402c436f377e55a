//! `cargo xtask test`: the gates, one after the other, and what came of them.
//!
//! A gate is a name, a line that says what it is for, and a function ([`list::GATES`]: add a row,
//! and it runs in CI). All gates run, also after one failed; the exit code is non-zero if any did.
//! The closing line, `N passed, N failed, N skipped`, sums their tests; a gate that failed without
//! a failed test counts as one failed, and one that was skipped as one skipped.
//!
//! **How a test says that it was skipped** (what it needs is absent, say `../shared/data`): it
//! appends the line `name: reason` to the file that the variable `FACTUM_SKIPS` names, if it is
//! set, prints `SKIPPED: name: reason` to stderr, and returns. A file, because the test harness
//! hides what a passing test prints. Such a test counts as skipped, not as passed; its name is
//! its own.
//!
//! **A program that is no test harness** (a simulation, say) prints `N passed, N failed` or
//! `N passed, N failed, N skipped` alone on a line, and is counted too.

mod examples;
mod failures;
mod interop;
mod list;
mod planted;
mod process;
mod real;
mod tally;
mod tools;

use std::{
    error::Error,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use tally::Tally;

use crate::workspace::{self, Workspace};

/// After this a gate has failed: something hangs.
const GATE_TIME_MAX: Duration = Duration::from_secs(20 * 60);

/// One thing that every change must pass.
struct Gate {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Runner) -> Result<(), Stop>,
}

/// Why a gate did not pass.
enum Stop {
    Failed(String),
    Skipped(String),
}

impl From<Box<dyn Error>> for Stop {
    fn from(error: Box<dyn Error>) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a gate works with: the workspace, and the door to every program that it runs.
struct Runner<'a> {
    workspace: &'a Workspace,
    skips: PathBuf,
    deadline: Instant,
    tally: Tally,
}

impl<'a> Runner<'a> {
    fn new(workspace: &'a Workspace) -> Self {
        let skips = workspace.target.join(format!("xtask/skips-{}.txt", std::process::id()));
        Self { workspace, skips, deadline: Instant::now() + GATE_TIME_MAX, tally: Tally::default() }
    }

    /// Cargo, with the target folder that all gates share.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = workspace::cargo();
        command.args(arguments).env("CARGO_TARGET_DIR", &self.workspace.target);
        command
    }

    /// Cargo on a workspace of its own, such as `fuzz/`.
    fn cargo_in(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = self.cargo(arguments);
        command.current_dir(self.workspace.root.join(folder));
        command
    }

    /// Runs a command in the root (unless it has a folder), shows and counts what it prints.
    fn execute(&mut self, mut command: Command) -> Result<(), Stop> {
        if command.get_current_dir().is_none() {
            command.current_dir(&self.workspace.root);
        }
        command.env("FACTUM_SKIPS", &self.skips);
        process::run(command, self.deadline, &mut |line| self.tally.see(line)).map_err(Stop::Failed)
    }

    /// Whether a folder holds a workspace of its own.
    fn has(&self, folder: &str) -> bool {
        self.workspace.root.join(folder).join("Cargo.toml").is_file()
    }

    /// Those of these folders that hold a workspace of their own.
    fn present(&self, folders: &[&'static str]) -> Vec<&'static str> {
        folders.iter().copied().filter(|folder| self.has(folder)).collect()
    }

    /// Runs one gate from a clean slate and returns what it counted.
    fn attempt(&mut self, gate: &Gate) -> Report {
        println!("\n== {}: {}", gate.name, gate.about);
        if let Some(parent) = self.skips.parent() {
            let _ = fs::create_dir_all(parent);
        }
        let _ = fs::remove_file(&self.skips);
        let started = Instant::now();
        self.deadline = started + GATE_TIME_MAX;
        self.tally = Tally::default();
        let stop = (gate.run)(self).err();
        self.tally.take_skips(&fs::read_to_string(&self.skips).unwrap_or_default());
        let _ = fs::remove_file(&self.skips);
        let tally = std::mem::take(&mut self.tally);
        Report { name: gate.name, time: started.elapsed(), stop, tally }
    }
}

/// What came of a gate.
struct Report {
    name: &'static str,
    time: Duration,
    stop: Option<Stop>,
    tally: Tally,
}

impl Report {
    fn result(&self) -> &'static str {
        match self.stop {
            None => "passed",
            Some(Stop::Failed(_)) => "FAILED",
            Some(Stop::Skipped(_)) => "skipped",
        }
    }

    /// The tests of this gate; the gate itself where it ended without one.
    fn counts(&self) -> Tally {
        let mut counts = self.tally.clone();
        match self.stop {
            Some(Stop::Failed(_)) if counts.failed == 0 => counts.failed = 1,
            Some(Stop::Skipped(_)) => counts.skipped += 1,
            _ => {}
        }
        counts
    }

    fn row(&self) -> String {
        let (name, result) = (self.name, self.result());
        let row = format!("{name:<10} {result:<8} {:>7.1} s", self.time.as_secs_f64());
        let tests = &self.tally;
        if tests.passed + tests.failed + tests.skipped == 0 {
            return row;
        }
        format!("{row}  {tests}")
    }
}

/// Names the gates.
pub(crate) fn print_list() {
    for gate in list::GATES {
        println!("{:<10} {}", gate.name, gate.about);
    }
}

/// Runs the gates of these names, or all; true where none failed.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<bool, Box<dyn Error>> {
    let gates = chosen(names)?;
    let mut runner = Runner::new(workspace);
    let mut reports = Vec::new();
    for gate in gates {
        let report = runner.attempt(gate);
        println!("== {}: {}, {:.1} s", report.name, report.result(), report.time.as_secs_f64());
        if let Some(Stop::Failed(why) | Stop::Skipped(why)) = &report.stop {
            println!("   {why}");
        }
        reports.push(report);
    }
    Ok(conclude(&reports))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Gate>, Box<dyn Error>> {
    if names.is_empty() {
        return Ok(list::GATES.iter().collect());
    }
    let known = list::GATES.iter().map(|gate| gate.name).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        let gate = list::GATES.iter().find(|gate| gate.name == name);
        gate.ok_or_else(|| format!("no gate is called {name}; there are {known}").into())
    };
    names.iter().map(find).collect()
}

/// Prints the table, what was skipped, what failed, and the closing line.
fn conclude(reports: &[Report]) -> bool {
    println!("\ngate       result        time  tests");
    for report in reports {
        println!("{}", report.row());
    }
    section("Skipped", reports.iter().flat_map(skipped));
    section("Failed", reports.iter().flat_map(failed));
    let mut sum = Tally::default();
    for report in reports {
        sum.add(&report.counts());
    }
    println!("\n{sum}");
    sum.failed == 0
}

fn skipped(report: &Report) -> Vec<String> {
    let mut all = report.tally.notes.clone();
    if let Some(Stop::Skipped(why)) = &report.stop {
        all.push(format!("{}: {why}", report.name));
    }
    all
}

fn failed(report: &Report) -> Vec<String> {
    let Some(Stop::Failed(why)) = &report.stop else { return Vec::new() };
    let tests = report.tally.failures.lines().map(|line| format!("  {line}"));
    std::iter::once(format!("{}: {why}", report.name)).chain(tests).collect()
}

fn section(title: &str, lines: impl Iterator<Item = String>) {
    for (number, line) in lines.enumerate() {
        if number == 0 {
            println!("\n{title}:");
        }
        println!("  {line}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn report(stop: Option<Stop>, tally: Tally) -> Report {
        Report { name: "gate", time: Duration::ZERO, stop, tally }
    }

    #[test]
    fn a_gate_that_failed_before_its_tests_is_a_failure() {
        let broken = report(Some(Stop::Failed("does not compile".to_owned())), Tally::default());
        assert_eq!(broken.counts().failed, 1);
        assert!(!conclude(&[broken]));
    }

    #[test]
    fn a_failed_test_is_not_counted_twice() {
        let tally = Tally { passed: 3, failed: 2, ..Tally::default() };
        assert_eq!(report(Some(Stop::Failed(String::new())), tally).counts().failed, 2);
    }

    #[test]
    fn a_skipped_gate_is_no_failure_and_says_why() {
        let absent = report(Some(Stop::Skipped("no such tool".to_owned())), Tally::default());
        assert_eq!(skipped(&absent), ["gate: no such tool"]);
        assert_eq!(absent.counts().skipped, 1);
        assert!(conclude(&[absent]));
    }

    #[test]
    fn a_gate_that_failed_names_its_tests_in_the_end() {
        let mut tally = Tally::default();
        for line in ["---- adds_up stdout ----", "left: 1", "failures:"] {
            tally.see(line);
        }
        let red = report(Some(Stop::Failed("exit status: 101".to_owned())), tally);
        assert_eq!(failed(&red), ["gate: exit status: 101", "  adds_up", "      left: 1"]);
    }

    #[test]
    fn an_unknown_gate_is_refused_with_the_known_ones() {
        let error = chosen(&["clipy".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("clipy") && error.contains("clippy"), "{error}");
    }

    #[test]
    fn gates_have_names_of_their_own() {
        let mut names: Vec<_> = list::GATES.iter().map(|gate| gate.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), list::GATES.len());
    }
}
