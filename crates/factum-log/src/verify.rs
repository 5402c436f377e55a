//! Verifying: every byte of a store, read and compared with every other that says the same.
//!
//! Apart from opening, which reads what it needs and trusts the rest until somebody asks for it.
//! What must hold: not a byte changes; each finding names its file and offset; nothing that opening
//! or reading would stumble over goes without one. The frames are walked by the same code as at
//! opening, so that the two cannot differ in what is whole.

mod finding;
mod folder;
mod index;
mod live;
mod run;
mod segment;
mod streams;

pub use finding::{Defect, Finding, Severity};
pub use folder::verify;

use factum_core::{Position, Uuid};

/// Findings that are kept; more are counted only.
pub const FINDINGS_MAX: usize = 10_000;

/// How far a verification is, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Read so far.
    pub bytes: u64,
    /// To be read.
    pub bytes_total: u64,
}

/// Who is told of progress, and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> bool;

/// What a verification saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The store's id, where a segment says it.
    pub store: Option<Uuid>,
    /// The position of the last whole event.
    pub head: Position,
    /// Files of the log.
    pub segments: u64,
    /// Whole events.
    pub events: u64,
    /// Bytes of all files that were read.
    pub bytes: u64,
    /// What is wrong, in the order in which it was met.
    pub findings: Vec<Finding>,
    /// Findings above [`FINDINGS_MAX`].
    pub findings_left_out: u64,
    /// Streams whose revisions were not followed from segment to segment, as there are more than
    /// are remembered. Inside of each segment they were.
    pub streams_not_followed: u64,
    /// It was stopped before its end.
    pub is_partial: bool,
}

impl Report {
    /// Whether bytes are not what they were, in the log or in a file made from it.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        let counts = |finding: &Finding| finding.severity.is_damage();
        self.findings_left_out > 0 || self.findings.iter().any(counts)
    }

    /// Whether events are lost, and that was accepted.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Lost)
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }
}
