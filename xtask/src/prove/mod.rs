//! `cargo xtask prove`: the rows of the reliability programme towards the size of a release.
//!
//! A run goes on where the last one of the row stopped, until its time is up, and adds a line to
//! the ledger, `docs/ledger.jsonl`: date, commit, row, which cases, how many were looked at, how
//! many finds. The ledger only grows; git merges it by keeping the lines of both sides. The table
//! in `docs/guarantees.md` is made of it, and `cargo xtask tidy` sees that it is not stale.
//!
//! What a row is, is known by the program that runs it: asked for `--rows` it names them, and at
//! the end of each it prints a line for the ledger. Nothing here knows one row from another.

mod ledger;
mod row;
pub(crate) mod summary;

use std::{error::Error, fs, time::Duration};

use crate::workspace::{Workspace, capture, command};
use ledger::{Ledger, Line};
use row::{Program, Row};

/// Minutes that all chosen rows have together, where nothing is said.
const MINUTES: u64 = 20;

const USAGE: &str = "\
Usage: cargo xtask prove [ROW…] [--minutes N] [--threads N]

  Runs the rows, or those named, each from where its last run stopped, and tells the ledger.
  All together take N minutes (20). A name in front of others (`fuzz`) means all of these.

  --list        name the rows, and how far each is
  --summary     write the table in docs/guarantees.md anew
";

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    rows: Vec<String>,
    minutes: Option<u64>,
    threads: Option<u64>,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut asked = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut number = || -> Result<Option<u64>, Box<dyn Error>> {
                let text = rest.next().ok_or_else(|| format!("{argument} needs a number"))?;
                let number = text.parse().map_err(|_| format!("{argument} {text}: no number"))?;
                Ok(Some(number))
            };
            match argument.as_str() {
                "--minutes" => asked.minutes = number()?,
                "--threads" => asked.threads = number()?,
                flag if flag.starts_with("--") => return Err(format!("{flag}?\n\n{USAGE}").into()),
                row => asked.rows.push(row.to_owned()),
            }
        }
        Ok(asked)
    }
}

/// Runs the command; true where nothing was found.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    match arguments {
        [flag] if flag == "--help" => {
            print!("{USAGE}");
            Ok(true)
        }
        [flag] if flag == "--list" => list(workspace).map(|()| true),
        [flag] if flag == "--summary" => summary::write(workspace).map(|()| true),
        arguments => prove(workspace, &Asked::parse(arguments)?),
    }
}

fn list(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::load(workspace)?;
    for (row, _) in rows(workspace)? {
        let done = ledger.done(&row.name);
        println!("{:<20} {done:>10} of {:>10} {}", row.name, row.goal_text(), row.unit);
    }
    Ok(())
}

/// All rows, each with the program that runs it.
fn rows(workspace: &Workspace) -> Result<Vec<(Row, Program)>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for program in Program::all(workspace) {
        rows.extend(program.rows(workspace)?.into_iter().map(|row| (row, program)));
    }
    Ok(rows)
}

fn chosen(
    all: Vec<(Row, Program)>,
    names: &[String],
) -> Result<Vec<(Row, Program)>, Box<dyn Error>> {
    let is_meant = |row: &Row, name: &String| {
        let rest = row.name.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let is_unknown = |name: &&String| !all.iter().any(|(row, _)| is_meant(row, name));
    if let Some(unknown) = names.iter().find(is_unknown) {
        let known: Vec<&str> = all.iter().map(|(row, _)| row.name.as_str()).collect();
        return Err(format!("no row is called {unknown}; there are {}", known.join(", ")).into());
    }
    let is_chosen = |row: &Row| names.is_empty() || names.iter().any(|name| is_meant(row, name));
    Ok(all.into_iter().filter(|(row, _)| is_chosen(row)).collect())
}

fn prove(workspace: &Workspace, asked: &Asked) -> Result<bool, Box<dyn Error>> {
    let rows = chosen(rows(workspace)?, &asked.rows)?;
    let count = u32::try_from(rows.len()).expect("rows are few");
    let time = Duration::from_secs(asked.minutes.unwrap_or(MINUTES) * 60) / count.max(1);
    let commit = commit(workspace)?;
    let mut is_well = true;
    for (row, program) in rows {
        let mut ledger = Ledger::load(workspace)?;
        let from = ledger.next(&row);
        println!("\n== {} from {from}, {} s", row.name, time.as_secs());
        let told = program.run(workspace, &row::Run { row: &row, from, time, asked })?;
        for told in told {
            is_well &= told.finds == 0;
            ledger.add(&Line::new(&row, told, &commit))?;
        }
    }
    summary::write(workspace)?;
    Ok(is_well)
}

/// What is proved: the commit, with a `+` where files differ from it that are built.
fn commit(workspace: &Workspace) -> Result<String, Box<dyn Error>> {
    let git = |arguments: &[&str]| {
        let mut git = command("git");
        git.current_dir(&workspace.root).args(arguments);
        capture(&mut git)
    };
    let hash = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--", "*.rs", "*.toml", "Cargo.lock"])?;
    let mark = if changed.trim().is_empty() { "" } else { "+" };
    Ok(format!("{}{mark}", hash.trim()))
}

/// What a document should say, and the document as it is: for `tidy`.
pub(crate) fn stale(workspace: &Workspace) -> Result<bool, Box<dyn Error>> {
    let block = summary::block(&Ledger::load(workspace)?);
    let text = fs::read_to_string(workspace.root.join(block.file))?;
    Ok(!block.is_in(&text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn asked(arguments: &[&str]) -> Result<Asked, String> {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        Asked::parse(&arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_and_limits_are_told_apart() {
        let expect = Asked { rows: vec!["a".into(), "b".into()], minutes: Some(3), threads: None };
        assert_eq!(asked(&["a", "--minutes", "3", "b"]), Ok(expect));
        assert!(asked(&["--minutes"]).unwrap_err().contains("needs a number"));
        assert!(asked(&["--minutes", "x"]).unwrap_err().contains("no number"));
        assert!(asked(&["--hours", "1"]).unwrap_err().contains("--hours"));
    }

    #[test]
    fn an_unknown_row_is_refused_with_the_known_ones() {
        let row = Row::parse("row power-cut images 10 0").unwrap();
        let program = Program { package: "p", bin: "b", features: "", folder: "" };
        for unknown in ["powercut", "pow", "power-cuts"] {
            let error = chosen(vec![(row.clone(), program)], &[unknown.to_owned()]).err().unwrap();
            assert!(error.to_string().contains("power-cut"), "{error}");
        }
    }

    #[test]
    fn a_name_in_front_of_others_means_all_of_these() {
        let row = |name| Row::parse(&format!("row {name} images 10 0")).unwrap();
        let program = Program { package: "p", bin: "b", features: "", folder: "" };
        let all = ["fuzz-a", "fuzz-b", "fuzzy"].map(|name| (row(name), program)).to_vec();
        let names = |asked: &str| {
            let chosen = chosen(all.clone(), &[asked.to_owned()]).unwrap();
            chosen.into_iter().map(|(row, _)| row.name).collect::<Vec<_>>()
        };
        assert_eq!(names("fuzz"), ["fuzz-a", "fuzz-b"]);
        assert_eq!(names("fuzz-b"), ["fuzz-b"]);
    }
}
