//! Whether the rows catch what they are for: each bug that can be planted in the engine is planted,
//! and the rows are run until one finds it.

use crate::rows::{self, Budget, ROWS, Row};
use factum_log::planted::{Bug, set};
use std::time::{Duration, Instant};

/// What became of a planted bug.
#[derive(Debug)]
pub struct Caught {
    /// Which.
    pub bug: Bug,
    /// The row that found it, after how many of its cases, and what it said; `None` if none did.
    pub by: Option<(&'static str, u64, String)>,
    /// How long it took, all rows together.
    pub took: Duration,
}

/// Rows, the most likely first; the others come after.
fn likely(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::AcknowledgeBeforeSync
        | Bug::SkipFolderSync
        | Bug::SealWithoutSync
        | Bug::KeepTornTail
        | Bug::AcceptIncomplete => &["power-cut"],
        Bug::SkipSyncAtOpen | Bug::UnsyncedIndex => &["recovery-crash"],
        Bug::RetrySync => &["disk-errors"],
        Bug::CutAtFirstBad | Bug::TrustFrames | Bug::TrustIndex | Bug::TrustRecordedTimes => {
            &["bit-flips"]
        }
        Bug::IgnoreSeed => &["sectors"],
        Bug::ForgetTracking | Bug::ClockGoesBack => &["history"],
        Bug::SkipUnused => &["verify"],
        Bug::UnsyncedCopy | Bug::ManifestFirst => &["backup"],
        Bug::UnsyncedRewrite | Bug::ScavengeLastEvent | Bug::ForgetGrace | Bug::StaleNames => {
            &["rewrite-crash"]
        }
    }
}

/// Plants a bug, and runs rows of at most so long each until one finds it.
#[must_use]
pub fn catch(bug: Bug, of_row: Duration, seed: u64) -> Caught {
    let start = Instant::now();
    set(Some(bug));
    let first = |row: &&Row| likely(bug).contains(&row.name);
    let ordered = ROWS.iter().filter(first).chain(ROWS.iter().filter(|row| !first(row)));
    let by = ordered.into_iter().find_map(|row| {
        let budget = Budget { time: of_row, goal: u64::MAX, seed, only: false, threads: 2 };
        let mut outcome = rows::run(row, budget);
        let (_, find) = outcome.finds.pop()?;
        Some((row.name, outcome.done, find))
    });
    set(None);
    Caught { bug, by, took: start.elapsed() }
}
