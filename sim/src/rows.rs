//! The rows of the programme that run here, and what each is: a name, a goal, and a case that a
//! seed decides wholly.

mod backup;
mod cuts;
mod duplicates;
mod erase;
mod faults;
mod flips;
mod history;
mod multiple;
mod packed;
mod power;
mod quarantine;
mod recovery;
mod replica;
mod rewrite;
mod runner;
mod sectors;
mod sequences;
mod store;
mod survivor;
mod threads;
mod tier;
mod truncation;
mod verify;

pub use runner::{Budget, Outcome, run};

/// How a case ends that found something: what is wrong.
pub type Find = String;

/// Counts what was looked at, and says when time is up.
#[derive(Debug)]
pub struct Meter {
    /// Images, histories or runs so far, in this case.
    pub done: u64,
    until: std::time::Instant,
    /// Time was up before the case's end.
    cut: bool,
}

impl Meter {
    /// What is left of the time: for a case that is as long as it can be.
    #[must_use]
    pub fn left(&self) -> std::time::Duration {
        self.until.saturating_duration_since(std::time::Instant::now())
    }

    /// Whether to stop. A case stops between two things it looks at.
    #[must_use]
    pub fn is_over(&mut self) -> bool {
        self.cut |= std::time::Instant::now() >= self.until;
        self.cut
    }
}

/// A case: what a seed or a number decides wholly.
pub type Case = fn(u64, &mut Meter) -> Result<(), Find>;

/// Which cases a row has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cases {
    /// As many as there are seeds.
    Drawn,
    /// So many and no more: a case is given its number, from 0.
    Numbered(u64),
}

/// A row.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its name, for the table and for `ROW=`.
    pub name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// How many at a change.
    pub goal: u64,
    /// How many at a release, all runs of the ledger together; 0: all cases, which are numbered.
    pub release: u64,
    /// Its part of the time, among all parts.
    pub share: u32,
    /// Which cases there are.
    pub cases: Cases,
    /// One case.
    pub case: Case,
}

/// A row of a name, what it counts, and its cases.
#[must_use]
pub const fn row(name: &'static str, unit: &'static str, case: Case) -> Row {
    Row { name, unit, goal: 0, release: 0, share: 1, cases: Cases::Drawn, case }
}

impl Row {
    /// How many at a change, and at a release.
    #[must_use]
    pub const fn size(self, goal: u64, release: u64) -> Self {
        Self { goal, release, ..self }
    }

    /// Its part of the time.
    #[must_use]
    pub const fn share(self, share: u32) -> Self {
        Self { share, ..self }
    }

    /// Its cases have numbers, and there are so many.
    #[must_use]
    pub const fn numbered(self, cases: u64) -> Self {
        Self { cases: Cases::Numbered(cases), ..self }
    }
}

/// All of them; the last has what time the others leave.
pub const ROWS: &[Row] = &[
    row("recovery-crash", "images", recovery::case).size(5_000, 500_000).share(8),
    row("history", "histories", history::case).size(10_000, 1_000_000).share(24),
    row("duplicates", "retries", duplicates::case).size(2_000, 200_000).share(4),
    row("threads", "histories", threads::case).size(300, 20_000).share(10),
    row("disk-errors", "runs", faults::case).size(10_000, 1_000_000).share(12),
    row("bit-flips", "bits", flips::case).size(100_000, 1_000_000).numbered(flips::CASES).share(20),
    row("truncation", "lengths", truncation::case).size(50_000, 1_000_000).share(10),
    row("sectors", "sectors", sectors::case).size(5_000, 1_000_000).share(4),
    row("multi-faults", "stores", multiple::case).size(5_000, 1_000_000).share(5),
    row("backup", "images", backup::case).size(5_000, 500_000).share(10),
    row("rewrite-crash", "images", rewrite::case).size(20_000, 1_000_000).share(12),
    row("erase-crash", "images", erase::case).size(5_000, 500_000).share(6),
    row("quarantine", "images", quarantine::case).size(5_000, 500_000).share(8),
    row("tier", "images", tier::case).size(5_000, 500_000).share(6),
    row("packed", "images", packed::case).size(5_000, 500_000).share(8),
    row("replica", "images", replica::case).size(5_000, 500_000).share(10),
    row("verify", "bytes", verify::case).size(20_000, 1_000_000).share(8),
    row("sequences", "images", sequences::case)
        .size(100_000, 0)
        .numbered(sequences::CASES)
        .share(14),
    row("power-cut", "images", power::case).size(100_000, 10_000_000).share(40),
];
