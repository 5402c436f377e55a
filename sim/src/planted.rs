//! Whether the rows catch what they are for: each bug that can be planted in the engine is planted,
//! and the row that is to catch it is run.

use crate::rows::{self, Budget, ROWS};
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

/// The row that catches a bug.
fn catcher(bug: Bug) -> &'static str {
    match bug {
        Bug::AcknowledgeBeforeSync
        | Bug::SkipFolderSync
        | Bug::NameBeforeSync
        | Bug::CloseBeforeMark
        | Bug::ClaimTooMuch
        | Bug::KeepTornTail
        | Bug::AcceptIncomplete
        | Bug::UnsyncedIndex
        | Bug::ForgetFloor => "power-cut",
        Bug::PublishBeforeSync
        | Bug::IgnoreSyncError
        | Bug::RetrySync
        | Bug::KeepRefusals
        | Bug::GoOnAfterSeal
        | Bug::ReadToIndexEnd => "disk-errors",
        Bug::SealWithoutSync | Bug::NameBeforeSeal => "sequences",
        Bug::FindInNewestOnly | Bug::TrustHint => "duplicates",
        Bug::IgnoreClosed => "truncation",
        Bug::SkipSyncAtOpen => "recovery-crash",
        Bug::CutAtFirstBad | Bug::TrustFrames | Bug::TrustIndex | Bug::TrustRecordedTimes => {
            "bit-flips"
        }
        Bug::IgnoreSeed => "sectors",
        Bug::SkipLock
        | Bug::ForgetTracking
        | Bug::ClockGoesBack
        | Bug::ForgetInMerge
        | Bug::HeadBehind
        | Bug::JudgeDurableOnly
        | Bug::TrackedOfDurableOnly
        | Bug::CountInSegment
        | Bug::StaleMetadata
        | Bug::ForgetTombstone
        | Bug::NoMatchInclusive
        | Bug::ResumeTooLate
        | Bug::AsOfOneMore
        | Bug::PassWithoutRoom => "history",
        Bug::WakeBeforePublish => "threads",
        Bug::UnsyncedPacking | Bug::RemoveBeforePacked | Bug::TrustPacking => "packed",
        Bug::SkipUnused | Bug::SkipIndexScrub | Bug::TrustBlocks => "verify",
        Bug::UnsyncedCopy | Bug::ManifestFirst => "backup",
        Bug::RemoveUnmarked | Bug::UnsyncedFetch => "tier",
        Bug::UnsyncedRewrite | Bug::ScavengeLastEvent | Bug::ForgetGrace | Bug::StaleNames => {
            "rewrite-crash"
        }
        Bug::EraseOnPaper | Bug::KeepOutdated => "erase-crash",
        Bug::WriteLater => "kill-at-random",
        Bug::IgnoreWriteError => "call-errors",
        Bug::PoisonWhenFull => "full-disk",
        Bug::ReplaceBeforeAside | Bug::SalvageHalf | Bug::ForgetRange => "quarantine",
        Bug::ReplicaShowsEarly | Bug::ReplicaClaimsMore | Bug::ReplicaKeepsOld => "replica",
    }
}

/// Rows that are not run here but in `prove/`, with real processes.
const ELSEWHERE: [&str; 3] = ["kill-at-random", "call-errors", "full-disk"];

/// Whether the bug is for a row that is run here.
#[must_use]
pub fn is_caught_here(bug: Bug) -> bool {
    !ELSEWHERE.contains(&catcher(bug))
}

/// Each bug, the row that catches it, and what the bug is.
pub fn table() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    Bug::ALL.iter().map(|bug| (format!("{bug:?}"), catcher(*bug), bug.about()))
}

/// Plants a bug, and runs the row that is to catch it, or another one. That another row would have
/// caught it too does not count: that each has its own is what is claimed.
///
/// # Panics
/// If there is no such row here.
#[must_use]
pub fn catch(bug: Bug, other: Option<&str>, budget: Budget) -> Caught {
    let start = Instant::now();
    let name = other.unwrap_or(catcher(bug));
    let row = ROWS.iter().find(|row| row.name == name).expect("the catcher is a row");
    set(Some(bug));
    let mut outcome = rows::run(row, budget);
    set(None);
    let by = outcome.finds.pop().map(|(_, find)| (row.name, outcome.done, find));
    Caught { bug, by, took: start.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bug_has_a_row_that_there_is() {
        for (bug, row, _) in table() {
            let is_here = ROWS.iter().any(|one| one.name == row);
            assert!(is_here != ELSEWHERE.contains(&row), "{bug}: {row}");
        }
    }
}
