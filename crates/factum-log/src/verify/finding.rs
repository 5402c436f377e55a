//! What a verification can find, and how bad it is.

use crate::error::Damage;
use std::{fmt, ops::RangeInclusive, path::PathBuf};

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Bytes of the log are not what was written. What cannot be read says [`Finding::lost`].
    Damage,
    /// What is not there any more since a damaged segment was put aside: known, and accepted.
    Lost,
    /// Bytes of a file that is made from the log: deleting it loses nothing.
    Derived,
    /// What a crash leaves, and the next opening clears away.
    Leftover,
    /// Nothing of the store's.
    Foreign,
}

impl Severity {
    /// Whether bytes changed that nobody wrote.
    #[must_use]
    pub fn is_damage(self) -> bool {
        matches!(self, Self::Damage | Self::Derived)
    }

    /// One word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Lost => "lost",
            Self::Derived => "derived",
            Self::Leftover => "leftover",
            Self::Foreign => "foreign",
        }
    }
}

/// What is wrong.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Defect {
    /// What opening or reading would stumble over too.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// Events are lost since a damaged segment was put aside; what it could tell of them is known.
    #[error("events are lost since the damaged segment was put aside; their streams are known")]
    Lost,
    /// The same, and nothing is known of them.
    #[error("events are lost since the damaged segment was put aside; nothing is known of them")]
    LostUnknown,
    /// Bytes that nothing uses are not zero any more: the disk changes what it holds.
    #[error("bytes that are not in use are not zero, as they were written")]
    NotZero,
    /// The disk refused to read.
    #[error("it cannot be read: {why}")]
    Unreadable {
        /// What the system said.
        why: String,
    },
    /// A stream's events do not follow each other.
    #[error("stream {stream} goes on with revision {found}, after {before}")]
    Revisions {
        /// Its name.
        stream: String,
        /// Its last revision before, or that it had none.
        before: String,
        /// The revision that follows.
        found: u64,
    },
    /// An append was recorded before the one that precedes it.
    #[error("an append was recorded before the one that precedes it")]
    Times,
    /// An index file is whole, and says something else than its segment.
    #[error(
        "the index does not say what its segment says: delete this file, and opening the \
             store makes it anew"
    )]
    IndexDiffers,
    /// A sealed segment has no index file: opening makes it.
    #[error("there is no index file: opening the store makes it anew")]
    NoIndex,
    /// What was written when the log was closed cannot be read. The next closing writes it again.
    #[error("what closing said of the log's length is damaged: the next closing says it again")]
    Closed,
    /// The manifest of a backup cannot be read: take another backup, into another folder.
    #[error("the backup's manifest is damaged: what the backup holds is not known")]
    Manifest,
    /// A file of a backup is not what the manifest says: take another backup, into another folder.
    #[error("the file is not what was backed up, by its length or its checksum")]
    NotAsBackedUp,
    /// A write that never was: nobody was told of it.
    #[error(
        "a write was not finished here, and nobody was told of it: opening the store clears it"
    )]
    Torn,
    /// A file that was not finished, or belongs to nothing any more.
    #[error("a file that was never finished, or is of no use any more")]
    Unfinished,
    /// A file that the store knows nothing of.
    #[error("no file of the store")]
    Foreign,
}

/// Something that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which file.
    pub file: PathBuf,
    /// Where in it, in bytes: the beginning of the append, page or field that is wrong.
    pub offset: u64,
    /// What.
    pub defect: Defect,
    /// The positions that cannot be read because of it, as far as they are known.
    pub lost: Option<RangeInclusive<u64>>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}", self.file.display(), self.offset, self.defect)?;
        match self.lost.as_ref().map(|lost| (lost.start(), lost.end())) {
            None => Ok(()),
            Some((from, upto)) if from == upto => write!(f, "; position {from} cannot be read"),
            Some((from, upto)) => write!(f, "; positions {from} to {upto} cannot be read"),
        }
    }
}
