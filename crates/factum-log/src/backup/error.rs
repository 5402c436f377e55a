//! Why there is no backup, or no store from it.

use crate::{copy::SourceError, error::Fault};
use factum_core::{Position, Uuid};
use std::path::PathBuf;

/// Why a backup was not taken. The one before it, if any, is as it was.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// Somebody uses the folder: another backup, or a store. Wait, or choose another folder.
    #[error("{} is in use by another process", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder has files, and is no backup. Choose an empty one.
    #[error("{} is neither empty nor a backup", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder is inside of the store's, or the other way round. Choose one elsewhere.
    #[error("{} and the store's folder are inside of each other", dir.display())]
    Inside {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder holds a backup of another store. Choose another folder.
    #[error("{} is a backup of the store {there}, and this is {here}", dir.display())]
    OtherStore {
        /// The folder.
        dir: PathBuf,
        /// Whose backup it is.
        there: Uuid,
        /// Which store was to be backed up.
        here: Uuid,
    },
    /// The backup has events that the store has not: the store is an older copy, or was restored.
    /// Choose another folder, so that they are not lost.
    #[error(
        "{} goes up to position {there}, or to events that the store does not have; the store to \
         {here}: it was restored from an older copy",
        dir.display()
    )]
    Ahead {
        /// The folder.
        dir: PathBuf,
        /// The backup's head.
        there: Position,
        /// The store's head.
        here: Position,
    },
    /// The manifest is damaged. Choose another folder.
    #[error("{} is damaged: what this backup holds is not known", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
    },
    /// There is no room. Free some and begin again: it goes on.
    #[error("the disk is full: {fault}")]
    Full {
        /// Where.
        fault: Fault,
    },
    /// The store's disk, damage in the store, or a server that does not answer.
    #[error(transparent)]
    Source(SourceError),
    /// The disk of the backup refused.
    #[error(transparent)]
    Disk(Fault),
    /// It was told to stop. Beginning again goes on.
    #[error("the backup was stopped")]
    Stopped,
}

impl From<Fault> for BackupError {
    fn from(fault: Fault) -> Self {
        if fault.is_full() { Self::Full { fault } } else { Self::Disk(fault) }
    }
}

impl From<SourceError> for BackupError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// Why nothing was restored. The backup is as it was.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is no backup in the folder, or none was ever finished. Check its name.
    #[error("there is no backup in {}", dir.display())]
    NoBackup {
        /// The folder.
        dir: PathBuf,
    },
    /// The manifest is damaged. What is whole can be copied and opened as a store.
    #[error("{} is damaged: what this backup holds is not known", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
    },
    /// The folder has files. Choose one that is empty or is not there.
    #[error("{} is not empty: nothing is restored over what is there", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// A process has one of the folders open.
    #[error("{} is in use by another process", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The backup ends before the position. Ask for less, or for all.
    #[error("position {asked} is asked for, and the backup ends at {head}")]
    Beyond {
        /// What was asked for.
        asked: Position,
        /// Where the backup ends.
        head: Position,
    },
    /// A file of the backup is not what was written, or is gone. Verify it; an older one may do.
    #[error("the backup is damaged: {what}")]
    Damaged {
        /// File, offset and what.
        what: String,
    },
    /// There is no room. Free some and begin again.
    #[error("the disk is full: {fault}")]
    Full {
        /// Where.
        fault: Fault,
    },
    /// A disk refused.
    #[error(transparent)]
    Disk(Fault),
    /// It was told to stop. Begin again.
    #[error("the restore was stopped")]
    Stopped,
}

impl From<Fault> for RestoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged { .. } | Fault::Lost { .. } => Self::Damaged { what: fault.to_string() },
            fault if fault.is_full() => Self::Full { fault },
            fault => Self::Disk(fault),
        }
    }
}
