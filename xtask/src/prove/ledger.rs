//! The ledger: a line a run, never changed. Lines of two branches are both kept.

use std::{
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::row::{Row, Told};
use crate::workspace::{Workspace, capture, command};

/// Where it is, from the root.
pub(super) const FILE: &str = "docs/ledger.jsonl";

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When it ended: year, month, day.
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) row: Row,
    pub(super) told: Told,
}

impl Line {
    pub(super) fn new(row: &Row, told: Told, commit: &str) -> Self {
        let date = capture(command("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default();
        let (date, commit) = (date.trim().to_owned(), commit.to_owned());
        Self { date, commit, row: row.clone(), told }
    }

    fn to_json(&self) -> String {
        let Self { date, commit, row, told } = self;
        let line = json!({
            "date": date, "commit": commit, "row": row.name, "unit": row.unit, "goal": row.goal,
            "cases": row.cases, "from": told.from, "upto": told.upto, "done": told.done,
            "finds": told.finds, "seconds": told.seconds,
        });
        line.to_string()
    }

    fn parse(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| json.get(key)?.as_str().map(str::to_owned);
        let number = |key: &str| json.get(key)?.as_u64();
        let row = Row {
            name: text("row")?,
            unit: text("unit")?,
            goal: number("goal")?,
            cases: number("cases")?,
        };
        let told = Told {
            from: number("from")?,
            upto: number("upto")?,
            done: number("done")?,
            finds: number("finds")?,
            seconds: number("seconds")?,
        };
        Some(Self { date: text("date")?, commit: text("commit")?, row, told })
    }
}

/// All runs.
pub(super) struct Ledger {
    path: PathBuf,
    pub(super) lines: Vec<Line>,
}

impl Ledger {
    /// Reads it; it is empty where there is no file yet.
    pub(super) fn load(workspace: &Workspace) -> Result<Self, Box<dyn Error>> {
        Self::read(&workspace.root.join(FILE))
    }

    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
            let line = Line::parse(line);
            lines.push(line.ok_or_else(|| format!("{}:{number}: no run", path.display()))?);
        }
        Ok(Self { path: path.to_owned(), lines })
    }

    /// Adds a run, at the end of the file.
    pub(super) fn add(&mut self, line: &Line) -> Result<(), Box<dyn Error>> {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.path)?;
        writeln!(file, "{}", line.to_json())?;
        self.lines.push(line.clone());
        Ok(())
    }

    /// The first case that no run has gone through; those of a row that has only so many begin
    /// again when all were.
    pub(super) fn next(&self, row: &Row) -> u64 {
        let upto = self.of(&row.name).map(|line| line.told.upto);
        // Of a row with so many cases only runs over as many count: others went another way.
        let is_same = |line: &&Line| line.row.cases == row.cases;
        let last = self.lines.iter().rfind(|line| line.row.name == row.name);
        match row.cases {
            0 => upto.max().unwrap_or(0),
            cases => last.filter(is_same).map_or(0, |last| last.told.upto % cases),
        }
    }

    fn of<'a>(&'a self, row: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.row.name == row)
    }

    /// How many were looked at.
    pub(super) fn done(&self, row: &str) -> u64 {
        self.of(row).map(|line| line.told.done).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(from: u64, upto: u64, cases: u64) -> Line {
        let (name, unit) = ("a".to_owned(), "images".to_owned());
        let told = Told { from, upto, done: 10, finds: 0, seconds: 1 };
        let (date, commit) = ("2026-01-02".to_owned(), "abc".to_owned());
        Line { date, commit, row: Row { name, unit, goal: 5, cases }, told }
    }

    fn ledger(lines: Vec<Line>) -> Ledger {
        Ledger { path: PathBuf::new(), lines }
    }

    #[test]
    fn a_line_comes_back_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::read(&path).unwrap();
        ledger.add(&line(0, 3, 0)).unwrap();
        ledger.add(&line(3, 9, 0)).unwrap();
        assert_eq!(Ledger::read(&path).unwrap().lines, [line(0, 3, 0), line(3, 9, 0)]);
        fs::write(&path, "{}\n").unwrap();
        assert!(Ledger::read(&path).err().unwrap().to_string().contains(":1:"));
    }

    #[test]
    fn the_next_run_goes_on_behind_all_others() {
        let row = line(0, 0, 0).row;
        assert_eq!(ledger(Vec::new()).next(&row), 0);
        assert_eq!(ledger(vec![line(3, 9, 0), line(0, 3, 0)]).next(&row), 9);
    }

    #[test]
    fn cases_that_were_all_met_begin_again() {
        let row = line(0, 0, 12).row;
        assert_eq!(ledger(vec![line(0, 7, 12)]).next(&row), 7);
        assert_eq!(ledger(vec![line(0, 7, 12), line(7, 12, 12)]).next(&row), 0);
        assert_eq!(ledger(vec![line(0, 7, 11)]).next(&row), 0, "other cases by now");
    }
}
