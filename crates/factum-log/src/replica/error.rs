//! Why a replica does not follow.

use crate::{
    copy::SourceError,
    error::{Fault, OpenError},
};
use factum_core::{Position, Uuid};
use std::{path::PathBuf, sync::Arc};

/// Why a replica was not opened, or does not go on. What it has is as it was, and can be read.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The folder could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Bytes of the replica are damaged. Move the folder away, and follow into a new one.
    #[error("the replica in {} is damaged: {why}", dir.display())]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// File, offset and what.
        why: Arc<str>,
    },
    /// The folder holds another store than the source. Follow into another folder.
    #[error("{} holds the store {here}, and the source is {there}", dir.display())]
    OtherStore {
        /// The folder.
        dir: PathBuf,
        /// Which store is in it.
        here: Uuid,
        /// Which store the source is.
        there: Uuid,
    },
    /// The replica has what the source has not: that is an older copy, or was restored from one.
    /// Follow into another folder, so that it is not lost.
    #[error(
        "{} goes up to position {here}, and the source, which goes up to {there}, does not have \
         all of it: the source is an older copy, or was restored from one",
        dir.display()
    )]
    Ahead {
        /// The folder.
        dir: PathBuf,
        /// The replica's head.
        here: Position,
        /// The source's head.
        there: Position,
    },
    /// The source and the replica have one beginning, and went on each for itself: one of them was
    /// restored, or was opened as a store and written to. Follow into another folder.
    #[error(
        "{} and the source have different events somewhere from position {from} on: one of them \
         was restored, or was a replica and was written to",
        dir.display()
    )]
    Diverged {
        /// The folder.
        dir: PathBuf,
        /// The first position of the segment in which they differ.
        from: Position,
    },
    /// The source has put a damaged segment aside, and with it events that are here. They stay:
    /// have the replica take the source's place, or follow into another folder.
    #[error(
        "the source has lost events that {} has, from position {from} on: they stay here",
        dir.display()
    )]
    SourceLost {
        /// The folder.
        dir: PathBuf,
        /// The position of the first of them, or of the first of its segment.
        from: Position,
    },
    /// The source does not answer, its disk fails, or it is damaged. Trying again may help.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is no room for what comes. Free some: it goes on by itself.
    #[error("the disk is full: {fault}")]
    Full {
        /// Where.
        fault: Fault,
    },
    /// The disk of the replica failed: nothing more is added until it is opened again.
    #[error(transparent)]
    Disk(Fault),
}

impl ReplicaError {
    /// Whether nothing is added any more until the folder is opened again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Open(_) | Self::Damaged { .. })
    }

    /// Whether the source is not the one that this folder is a replica of.
    #[must_use]
    pub fn is_unlike(&self) -> bool {
        matches!(self, Self::OtherStore { .. } | Self::Ahead { .. } | Self::Diverged { .. })
    }

    /// What to do.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Open(_) => "mend that, and follow again",
            Self::Damaged { .. } => {
                "move the folder away, and follow into a new one; `factum verify` says what is \
                 damaged"
            }
            Self::OtherStore { .. } => "check the source's URL, or follow into another folder",
            Self::Ahead { .. } | Self::Diverged { .. } => {
                "follow into another folder, so that what only this one has is not lost"
            }
            Self::SourceLost { .. } => {
                "have this one take the source's place, or follow into another folder"
            }
            Self::Source(SourceError::Fault(_)) => "`factum verify` at the source says what it has",
            Self::Source(_) => "start the source, or correct its URL: it goes on by itself then",
            Self::Full { .. } => "free some space: it goes on by itself then",
            Self::Disk(_) => "look at the disk, and start again: it goes on from what it has",
        }
    }
}

impl From<Fault> for ReplicaError {
    fn from(fault: Fault) -> Self {
        if fault.is_full() { Self::Full { fault } } else { Self::Disk(fault) }
    }
}
