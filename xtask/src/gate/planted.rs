//! The gate that plants bugs in engine, server and framework: a row that finds no bug where there
//! is one proves nothing.
//!
//! Five at every change, others each time; `sim-smoke --planted` and `prove-real --planted` try all
//! there are, each those of its rows. Which row is to catch which bug is said there, once; the
//! table in the documentation is made from that, and must be what it says.

use super::{Runner, Stop, real};
use crate::{
    block::Block,
    workspace::{capture, command},
};
use std::fs;

/// Bugs planted at a change.
const AT_ONCE: usize = 5;
/// Seconds in which the row that is to catch a bug must do so.
const SECONDS: &str = "180";
const SMOKE: [&str; 8] = [
    "run",
    "--quiet",
    "--release",
    "--package",
    "factum-sim",
    "--features",
    "planted",
    "--bin=sim-smoke",
];

/// Of the program with real processes, and of the server that it starts.
const REAL_FEATURES: &str = "factum-prove/planted,factum-cli/planted";

/// Of the framework: its rows are tests of the test kit.
const FRAMEWORK: [&str; 8] = [
    "test",
    "--quiet",
    "--package",
    "factum-testkit",
    "--features",
    "planted",
    "--test=planted",
    "--",
];

/// A bug, the row that is to catch it, and what it does.
#[derive(Debug, PartialEq, Eq)]
struct Planted<'a> {
    name: &'a str,
    row: &'a str,
    about: &'a str,
}

impl<'a> Planted<'a> {
    /// From a line `planted NAME ROW WHAT IT IS`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.strip_prefix("planted ")?.splitn(3, ' ');
        Some(Self { name: words.next()?, row: words.next()?, about: words.next()? })
    }
}

/// Checks the table, and plants some.
pub(super) fn run(runner: &mut Runner) -> Result<(), Stop> {
    let mut ask = runner.cargo(&[&SMOKE[..], &["--", "--planted-table"]].concat());
    ask.current_dir(&runner.workspace.root);
    let mut answer = capture(&mut ask)?;
    real::build(runner, &["--features", REAL_FEATURES])?;
    answer.push_str(&capture(real::program(runner).arg("--planted-table"))?);
    let mut ask = runner.cargo(&[&FRAMEWORK[..], &["--planted-table"]].concat());
    ask.current_dir(&runner.workspace.root);
    let of_framework = capture(&mut ask)?;
    let bugs: Vec<Planted<'_>> = answer.lines().filter_map(Planted::parse).collect();
    let all = answer.lines().chain(of_framework.lines()).filter_map(Planted::parse);
    compare(runner, &all.collect::<Vec<_>>())?;
    let chosen = chosen(&bugs, change(runner)).join(",");
    println!("of {} bugs, at this change: {chosen}", bugs.len());
    // Each tries those that are for its own rows.
    let mut simulated = runner.cargo(&[&SMOKE[..], &["--"]].concat());
    let mut for_real = real::program(runner);
    for run in [&mut simulated, &mut for_real] {
        run.arg("--planted").env("FACTUM_BUG", &chosen).env("SIM_SECONDS", SECONDS);
    }
    runner.execute(simulated)?;
    runner.execute(for_real)?;
    // Those of the framework take seconds: all of them, each time.
    runner.execute(runner.cargo(&FRAMEWORK))
}

/// The table of the documentation must be this one. With `FACTUM_WRITE=1` it is made so.
fn compare(runner: &Runner, bugs: &[Planted<'_>]) -> Result<(), Stop> {
    let wanted = Block { file: Block::GUARANTEES, name: "planted", content: table(bugs) };
    let path = runner.workspace.root.join(wanted.file);
    let text = fs::read_to_string(&path)?;
    if wanted.is_in(&text) {
        return Ok(());
    }
    if std::env::var_os("FACTUM_WRITE").is_some() {
        fs::write(&path, wanted.put_into(&text).map_err(Stop::Failed)?)?;
        return Ok(());
    }
    let cure = "the table of planted bugs is stale: FACTUM_WRITE=1 cargo xtask test planted";
    Err(Stop::Failed(format!("{}: {cure}", wanted.file)))
}

/// One line a row, in the order in which the rows are first named.
fn table(bugs: &[Planted<'_>]) -> String {
    let mut rows: Vec<&str> = Vec::new();
    for bug in bugs.iter().filter(|bug| !bug.about.is_empty()) {
        if !rows.contains(&bug.row) {
            rows.push(bug.row);
        }
    }
    let mut table = String::from("| caught by | bug | what it does |\n|---|---|---|\n");
    for row in rows {
        for bug in bugs.iter().filter(|bug| bug.row == row) {
            table.push_str(&format!("| `{row}` | {} | {} |\n", bug.name, bug.about));
        }
    }
    table
}

/// Some in a row of the list, from a place that the number decides.
fn chosen<'a>(bugs: &[Planted<'a>], number: usize) -> Vec<&'a str> {
    let from = number % bugs.len().max(1);
    bugs.iter().cycle().skip(from).take(AT_ONCE.min(bugs.len())).map(|bug| bug.name).collect()
}

/// A number that is another at each change: the front of the commit's hash.
fn change(runner: &Runner) -> usize {
    let mut git = command("git");
    git.current_dir(&runner.workspace.root).args(["rev-parse", "--short=7", "HEAD"]);
    let hash = capture(&mut git).unwrap_or_default();
    usize::from_str_radix(hash.trim().get(..7).unwrap_or_default(), 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn bugs() -> Vec<Planted<'static>> {
        let lines =
            ["planted A x It is a.", "noise", "planted B y It is b.", "planted C x It is c."];
        lines.into_iter().filter_map(Planted::parse).collect()
    }

    #[test]
    fn the_table_has_a_line_a_bug_those_of_one_row_together() {
        let names: Vec<String> = table(&bugs()).lines().skip(2).map(str::to_owned).collect();
        assert_eq!(names[0], "| `x` | A | It is a. |");
        assert_eq!(names[1], "| `x` | C | It is c. |");
        assert_eq!(names[2], "| `y` | B | It is b. |");
    }

    #[test]
    fn each_change_plants_others_until_all_were() {
        assert_eq!(chosen(&bugs(), 1), ["B", "C", "A"]);
        let many: Vec<String> = (0..39).map(|nth| format!("planted B{nth} x It.")).collect();
        let many: Vec<_> = many.iter().filter_map(|line| Planted::parse(line)).collect();
        assert_eq!(chosen(&many, 38), ["B38", "B0", "B1", "B2", "B3"]);
    }
}
