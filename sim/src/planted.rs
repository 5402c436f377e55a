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
        | Bug::SealWithoutSync
        | Bug::NameBeforeSeal
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
        | Bug::FindInNewestOnly
        | Bug::TrustHint
        | Bug::CountInSegment
        | Bug::StaleMetadata
        | Bug::ForgetTombstone
        | Bug::NoMatchInclusive
        | Bug::ResumeTooLate
        | Bug::AsOfOneMore
        | Bug::PassWithoutRoom => "history",
        Bug::WakeBeforePublish => "threads",
        Bug::SkipUnused | Bug::SkipIndexScrub => "verify",
        Bug::UnsyncedCopy | Bug::ManifestFirst => "backup",
        Bug::RemoveUnmarked | Bug::UnsyncedFetch => "tier",
        Bug::UnsyncedRewrite | Bug::ScavengeLastEvent | Bug::ForgetGrace | Bug::StaleNames => {
            "rewrite-crash"
        }
        Bug::EraseOnPaper => "erase-crash",
    }
}

/// Each bug, the row that catches it, and what the bug is.
pub fn table() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    Bug::ALL.iter().map(|bug| (format!("{bug:?}"), catcher(*bug), bug.about()))
}

/// Plants a bug, and runs the row that is to catch it. Another row that would have caught it does
/// not count: that each has its own is what is claimed.
#[must_use]
pub fn catch(bug: Bug, budget: Budget) -> Caught {
    let start = Instant::now();
    let row = ROWS.iter().find(|row| row.name == catcher(bug)).expect("the catcher is a row");
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
            assert!(ROWS.iter().any(|one| one.name == row), "{bug}: {row}");
        }
    }
}
