//! The rows of the programme that run here, and what each is: a name, a goal, and a case that a
//! seed decides wholly.

mod power;
mod recovery;
mod runner;
mod survivor;

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

/// All of them.
pub const ROWS: &[Row] = &[
    Row { name: "power-cut", unit: "images", goal: 100_000, share: 30, case: power::case },
    Row { name: "recovery-crash", unit: "images", goal: 5_000, share: 10, case: recovery::case },
];
