//! What can go wrong in the engine. Each error names the file; damage names the offset too.

use crate::disk::Rotten;
use factum_core::{AppendError, ReadError, StreamName};
use std::{
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is wrong with bytes.
#[derive(thiserror::Error, Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The head of a segment has a wrong checksum, or is no head.
    #[error("the segment's head is damaged")]
    Header,
    /// A frame has a wrong checksum, and acknowledged data follows it.
    #[error("a frame is damaged, and acknowledged events follow it")]
    Frame,
    /// A sealed segment ends before its seal.
    #[error("the sealed segment ends too early")]
    Unsealed,
    /// The log is shorter than it was when it was closed in good order.
    #[error("the log was longer when it was closed: its end is gone")]
    Shortened,
    /// A frame is whole and says what cannot be.
    #[error("a frame contradicts its segment")]
    Contradiction,
    /// A block of a compressed segment. As an offset of the `.log`, it is where its events are.
    #[error("the segment is compressed (.log.zst), and a block of it is damaged")]
    Block,
    /// A page of an index file. Deleting the file loses nothing: opening makes it anew.
    #[error("the index is damaged: delete this file, and opening the store makes it anew")]
    Index,
    /// A segment is missing, or belongs to another store.
    #[error("the segment does not follow the one before it")]
    Sequence,
}

/// Why a segment's head is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// It is damaged.
    Damaged(Damage),
    /// A newer release wrote it.
    Newer {
        /// Its format.
        version: u32,
        /// The features that this release does not know, as bits.
        unknown: u64,
    },
}

/// Why a folder could not be opened.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the folder open. Use its URL, or stop it.
    #[error("{} is in use by another process{}", dir.display(), holding(holder.as_deref()))]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// The URL at which the process that holds it serves it, if it does.
        holder: Option<String>,
    },
    /// A newer release wrote the folder. Open it with that release.
    #[error(
        "{} has format {version} (unknown features {unknown:#x}); this release reads format {} \
         without them: use the release that wrote it, or a later one",
        file.display(), crate::format::header::FORMAT_VERSION
    )]
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// Its format.
        version: u32,
        /// The features that this release does not know, as bits.
        unknown: u64,
    },
    /// There is no segment in the folder. Check its name.
    #[error("there is no store in {}", dir.display())]
    NoStore {
        /// The folder.
        dir: PathBuf,
    },
    /// A restore into the folder was not finished. Run it again: it begins anew.
    #[error("a restore into {} was not finished: run it again", dir.display())]
    Unfinished {
        /// The folder.
        dir: PathBuf,
    },
    /// Segments of the folder were moved to object storage. Open it with that storage in front of
    /// the disk: [`crate::tier::TierDisk`].
    #[error("segments of {} were moved to {}: open it with that storage", dir.display(),
        location.as_deref().unwrap_or("object storage"))]
    Tiered {
        /// The folder.
        dir: PathBuf,
        /// Where they are, if the folder says it.
        location: Option<String>,
    },
    /// A segment is compressed, and the disk that the folder was opened on does not read it. Build
    /// with the feature `zstd`, and where the disk is not the usual one, put a
    #[cfg_attr(feature = "zstd", doc = "[`PackedDisk`](crate::packed::PackedDisk) in front of it.")]
    #[cfg_attr(not(feature = "zstd"), doc = "`PackedDisk` in front of it.")]
    #[error(
        "{} is a compressed segment, which is not read here: build with the feature `zstd` and \
         open it on the usual disk, or bring segments back first (`factum compress --undo`)",
        file.display()
    )]
    Packed {
        /// The compressed file.
        file: PathBuf,
    },
    /// The disk refused something. Nothing was changed that recovery does not understand.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

fn holding(url: Option<&str>) -> String {
    url.map_or_else(|| ": stop it first".into(), |url| format!(": use {url} instead, or stop it"))
}

/// Why stored bytes could not be read or written while the store is open.
#[derive(thiserror::Error, Debug, Clone)]
pub enum Fault {
    /// The bytes are damaged.
    #[error("{} at offset {offset}: {what}", file.display())]
    Damaged {
        /// Where.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What.
        what: Damage,
    },
    /// The events are lost: a damaged file that had them was put aside, and its operator accepted
    /// that. Whoever can do without them goes on behind them.
    #[error("{}", lost(file, positions, of.as_ref()))]
    Lost {
        /// The segment that says so.
        file: PathBuf,
        /// Which positions.
        positions: RangeInclusive<u64>,
        /// Of a read of a stream: which revision it wanted, and of what.
        of: Option<(StreamName, u64)>,
    },
    /// The disk refused.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

fn lost(file: &Path, positions: &RangeInclusive<u64>, of: Option<&(StreamName, u64)>) -> String {
    let (from, upto) = (positions.start(), positions.end());
    let places = match from == upto {
        true => format!("position {from}"),
        false => format!("positions {from} to {upto}"),
    };
    let file = file.display();
    match of {
        None => format!(
            "the events at {places} are lost, as {file} was damaged and put aside; go on after \
             position {upto}, or bring them back with `factum quarantine --undo`"
        ),
        Some((stream, revision)) => format!(
            "revision {revision} of {stream} is lost, or one before it: {file} was damaged and \
             put aside, with the events at {places}; read what is on the other side of them, or \
             bring them back with `factum quarantine --undo`"
        ),
    }
}

impl Fault {
    /// The same, of a read of a stream that wanted this revision.
    pub(crate) fn of_stream(self, stream: &StreamName, revision: u64) -> Self {
        match self {
            Self::Lost { file, positions, of: None } => {
                Self::Lost { file, positions, of: Some((stream.clone(), revision)) }
            }
            other => other,
        }
    }

    /// Whether the disk has no room.
    pub(crate) fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// For `map_err`: what was tried on which file. What is damaged below it is damage.
    pub(crate) fn io(
        action: &'static str,
        file: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |source| match Rotten::of(&source) {
            Some(Rotten { file, offset, .. }) => {
                Self::Damaged { file: file.clone(), offset: *offset, what: Damage::Block }
            }
            None => Self::Io { action, file, source: Arc::new(source) },
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io { action, file, source } => Self::Io { action, file, source },
            Fault::Damaged { ref file, .. } | Fault::Lost { ref file, .. } => Self::Io {
                action: "read",
                file: file.clone(),
                source: Arc::new(io::Error::new(io::ErrorKind::InvalidData, fault.to_string())),
            },
        }
    }
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged { .. } | Fault::Lost { .. } => {
                Self::Damaged { what: fault.to_string().into() }
            }
            // A block from object storage that is not what it was.
            Fault::Io { ref source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                Self::Damaged { what: fault.to_string().into() }
            }
            Fault::Io { .. } => Self::Unavailable { why: fault.to_string().into() },
        }
    }
}

impl From<Fault> for AppendError {
    fn from(fault: Fault) -> Self {
        match fault {
            // Retrying does not mend it.
            Fault::Damaged { .. } => Self::ReadOnly { why: fault.to_string().into() },
            // All other appends are taken.
            Fault::Lost { .. } => {
                Self::Unsupported { what: format!("judge this append, as {fault}").into() }
            }
            Fault::Io { .. } => Self::Unavailable { why: fault.to_string().into() },
        }
    }
}
