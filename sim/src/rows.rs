//! The rows of the programme that run here, and what each is: a name, a goal, and a case that a
//! seed decides wholly.

mod backup;
mod faults;
mod flips;
mod history;
mod power;
mod recovery;
mod rewrite;
mod runner;
mod sectors;
mod store;
mod survivor;
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
}

impl Meter {
    /// Whether to stop. A case stops between two things it looks at.
    #[must_use]
    pub fn is_over(&self) -> bool {
        std::time::Instant::now() >= self.until
    }
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
    /// Its part of the time, among all parts.
    pub share: u32,
    /// One case.
    pub case: fn(u64, &mut Meter) -> Result<(), Find>,
}

/// All of them; the last has what time the others leave.
pub const ROWS: &[Row] = &[
    Row { name: "recovery-crash", unit: "images", goal: 5_000, share: 8, case: recovery::case },
    Row { name: "history", unit: "histories", goal: 10_000, share: 24, case: history::case },
    Row { name: "disk-errors", unit: "runs", goal: 10_000, share: 12, case: faults::case },
    Row { name: "bit-flips", unit: "bytes", goal: 100_000, share: 24, case: flips::case },
    Row { name: "truncation", unit: "lengths", goal: 50_000, share: 10, case: truncation::case },
    Row { name: "sectors", unit: "sectors", goal: 5_000, share: 4, case: sectors::case },
    Row { name: "backup", unit: "images", goal: 5_000, share: 10, case: backup::case },
    Row { name: "verify", unit: "bytes", goal: 20_000, share: 8, case: verify::case },
    Row { name: "rewrite-crash", unit: "images", goal: 20_000, share: 12, case: rewrite::case },
    Row { name: "power-cut", unit: "images", goal: 100_000, share: 40, case: power::case },
];
