//! Rows, and the programs that run them.

use std::{error::Error, path::PathBuf, process::Command, time::Duration};

use super::Asked;
use crate::workspace::{self, Workspace, capture};

/// A row, as its program names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    /// What it counts.
    pub(super) unit: String,
    /// How many are enough for a release; 0: all cases.
    pub(super) goal: u64,
    /// How many cases there are; 0: as many as there are seeds.
    pub(super) cases: u64,
}

impl Row {
    /// From a line `row NAME UNIT GOAL CASES`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("row ")?.split(' ');
        let (name, unit) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Self {
            name,
            unit,
            goal: words.next()?.parse().ok()?,
            cases: words.next()?.parse().ok()?,
        })
    }

    pub(super) fn goal_text(&self) -> String {
        if self.goal == 0 { "all".to_owned() } else { self.goal.to_string() }
    }
}

/// What a program tells of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) from: u64,
    pub(super) upto: u64,
    pub(super) done: u64,
    pub(super) finds: u64,
    pub(super) seconds: u64,
}

impl Told {
    /// From a line `ledger row=NAME from=N upto=N done=N unit=UNIT finds=N seconds=N`.
    fn parse(line: &str, row: &str) -> Option<Self> {
        let fields = line.strip_prefix("ledger ")?;
        let field = |name: &str| {
            let mut pairs = fields.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let number = |name| field(name)?.parse().ok();
        Some(Self {
            from: number("from").filter(|_| field("row") == Some(row))?,
            upto: number("upto")?,
            done: number("done")?,
            finds: number("finds")?,
            seconds: number("seconds")?,
        })
    }
}

/// What a run is given.
pub(super) struct Run<'a> {
    pub(super) row: &'a Row,
    pub(super) from: u64,
    pub(super) time: Duration,
    pub(super) asked: &'a Asked,
}

/// A program that runs rows: a binary of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) package: &'static str,
    pub(super) bin: &'static str,
    /// Features that it is built with, as cargo takes them.
    pub(super) features: &'static str,
    /// The folder of its workspace, where that is not this one.
    pub(super) folder: &'static str,
}

const PROGRAMS: [Program; 4] = [
    Program { package: "factum-sim", bin: "sim-smoke", features: "", folder: "" },
    Program { package: "factum-sim", bin: "sim-schedules", features: "schedules", folder: "" },
    Program { package: "factum-prove", bin: "prove-real", features: "", folder: "" },
    Program { package: "factum-fuzz", bin: "fuzz-prove", features: "", folder: "fuzz" },
];

impl Program {
    /// Those that there are.
    pub(super) fn all(workspace: &Workspace) -> Vec<Self> {
        let is_here = |program: &Self| {
            let known = workspace.package(program.package);
            let is_own = || workspace.root.join(program.folder).join("Cargo.toml").is_file();
            known.map_or_else(
                || !program.folder.is_empty() && is_own(),
                |known| known.bins.iter().any(|one| one == program.bin),
            )
        };
        PROGRAMS.into_iter().filter(is_here).collect()
    }

    fn command(&self, workspace: &Workspace) -> Command {
        let Self { package, bin, features, folder } = self;
        let mut command = workspace::cargo();
        command.current_dir(workspace.root.join(folder)).env("CARGO_TARGET_DIR", &workspace.target);
        command.args(["run", "--quiet", "--release", "--package", package, "--bin", bin]);
        command.args(["--features", features, "--"]);
        command
    }

    pub(super) fn rows(&self, workspace: &Workspace) -> Result<Vec<Row>, Box<dyn Error>> {
        let named = capture(self.command(workspace).arg("--rows"))?;
        Ok(named.lines().filter_map(Row::parse).collect())
    }

    /// Runs a row, shows what it prints, and returns what it tells.
    pub(super) fn run(
        &self,
        workspace: &Workspace,
        run: &Run<'_>,
    ) -> Result<Vec<Told>, Box<dyn Error>> {
        if self.package == "factum-prove" {
            build_command(workspace)?;
        }
        let mut command = self.command(workspace);
        command.env("ROW", &run.row.name).env("FROM", run.from.to_string());
        command.env("SIM_SECONDS", run.time.as_secs().to_string());
        command.env("FACTUM_BIN", binary(workspace));
        if let Some(threads) = run.asked.threads {
            command.env("THREADS", threads.to_string());
        }
        // A find is an exit code too, and is told like the rest.
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        print!("{text}");
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        let told: Vec<Told> =
            text.lines().filter_map(|line| Told::parse(line, &run.row.name)).collect();
        match told.is_empty() && !output.status.success() {
            true => Err(format!("{}: {}", run.row.name, output.status).into()),
            false => Ok(told),
        }
    }
}

fn build_command(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let mut build = workspace::cargo();
    build.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    capture(build.args(["build", "--quiet", "--release", "--package", "factum-cli"])).map(drop)
}

/// The command as it is shipped, for the rows that run it.
fn binary(workspace: &Workspace) -> PathBuf {
    workspace.target.join("release").join(format!("factum{}", std::env::consts::EXE_SUFFIX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_row_is_read_from_its_line() {
        let row = Row::parse("row sequences images 0 11154").unwrap();
        assert_eq!((row.name.as_str(), row.unit.as_str()), ("sequences", "images"));
        assert_eq!((row.goal, row.cases, row.goal_text()), (0, 11154, "all".to_owned()));
        assert_eq!(Row::parse("row sequences images"), None);
        assert_eq!(Row::parse("rows 1 2 3"), None);
    }

    #[test]
    fn what_is_told_is_read_for_its_own_row_only() {
        let line = "ledger row=a from=3 upto=7 done=900 unit=images finds=1 seconds=60";
        let told = Told { from: 3, upto: 7, done: 900, finds: 1, seconds: 60 };
        assert_eq!(Told::parse(line, "a"), Some(told));
        assert_eq!(Told::parse(line, "b"), None);
        assert_eq!(Told::parse("power-cut 3 of 9 images", "a"), None);
    }
}
