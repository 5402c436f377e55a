//! Putting a damaged segment aside, so that the store goes on without it: what is lost is said
//! exactly, durably, and to everybody who asks for it.
//!
//! Apart from scavenging and erasing, which take out of a store that is open what its users hid:
//! here a folder that nobody has open gives up what a disk has taken, because its operator says so.
//! What must hold: the damaged file stays, in the folder `quarantine`; whole appends stay in their
//! place; every other position is said to be lost, none is passed over without a word; a crash at
//! any call leaves the folder as damaged as it was, or done, and asking again goes on.
//!
//! | file | what |
//! |---|---|
//! | `survey` | which segments are damaged, or gone |
//! | `salvage` | what of one is whole |
//! | `recall` | what its index knows of the rest |
//! | `plan` | what stays, what is lost |
//! | `replace` | putting aside, and what stands in its place |
//! | `undo` | bringing it back |

mod folder;
mod patient;
mod plan;
mod recall;
mod replace;
mod salvage;
mod survey;
mod undo;

use crate::{
    error::{Fault, OpenError},
    options::World,
};
use factum_core::{EventType, Position, StreamName};
use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};
use survey::Survey;
pub use undo::{Undo, Undone, undo};

/// The folder that damaged files are put into.
pub(crate) const QUARANTINE: &str = "quarantine";

/// What to put aside.
#[derive(Clone, Copy, Debug)]
pub struct Quarantine<'a> {
    /// The folder of the store. Nobody may have it open.
    pub dir: &'a Path,
    /// The first positions of the segments that are meant; all that are damaged where there are
    /// none.
    pub segments: &'a [Position],
    /// Whether whole appends of a damaged segment stay where they are. Without it nothing stays.
    pub keeps_whole: bool,
}

/// Positions whose events are lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostRange {
    /// Which.
    pub positions: RangeInclusive<u64>,
    /// What was there is known, from the segment's index: heads of streams stay right, retries are
    /// recognised, and who reads a stream is told which revision is lost. Otherwise streams go on
    /// from what is left.
    pub is_known: bool,
}

/// A lost event of which something is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostEvent {
    /// Its place in the store.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in that.
    pub revision: u64,
    /// Its type.
    pub event_type: EventType,
}

/// A place in a damaged file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spot {
    /// In bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// A damaged segment: what of it is lost, and what stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// The position of the segment's first event.
    pub base: Position,
    /// The last position that is known to be of the segment.
    pub last: Position,
    /// The damaged file, which may be gone.
    pub file: PathBuf,
    /// Where it is damaged.
    pub damage: Vec<Spot>,
    /// Whole events that stay.
    pub kept: u64,
    /// What is lost, in order.
    pub lost: Vec<LostRange>,
    /// What is known of it, in order.
    pub events: Vec<LostEvent>,
    /// It was the newest segment: whether events came after the last position that is known is not
    /// known, and their positions are given again.
    pub is_newest: bool,
    /// Where the damaged file is now, once it was put aside.
    pub aside: Option<PathBuf>,
}

/// Why a segment was not put aside. Nothing that counts has changed: what was done stays done, and
/// asking again goes on.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum QuarantineError {
    /// The folder cannot be opened, as it could not be to serve it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A segment is whole. Leave it out.
    #[error("the segment {base} is whole: there is nothing to put aside")]
    Whole {
        /// Its first position.
        base: Position,
    },
    /// There is no such segment, nor a hole where it was. A segment is named by its first position,
    /// as its file is.
    #[error(
        "there is no segment {base}: segments are named by their first position, as `factum \
             verify` says them"
    )]
    NoSegment {
        /// The position.
        base: Position,
    },
    /// Not one segment has a head that can be trusted, or too many are gone: which store this is,
    /// or where its segments begin, cannot be told. Restore the folder from a backup.
    #[error("{}: {why}: restore the folder from a backup", dir.display())]
    Unplaced {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// The segment is in object storage, where there is nothing to put aside.
    #[error("{} is in object storage, and does not come back whole: restore its object, or the \
             folder from a backup", file.display())]
    Moved {
        /// Its name here.
        file: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] Fault),
}

/// Why a segment was not brought back. Nothing has changed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum UndoError {
    /// The folder cannot be opened, as it could not be to serve it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing is lost of this segment. `factum verify` says of which it is.
    #[error("nothing is lost of a segment {base}: `factum verify` says of which it is")]
    NothingLost {
        /// The position.
        base: Position,
    },
    /// Nothing was put aside of it: its file was gone. Say where it comes from.
    #[error("nothing of segment {base} was put aside: say where it comes from")]
    NoFile {
        /// The position.
        base: Position,
    },
    /// The file does not fit in the place any more. What of it is wanted can be read from a copy of
    /// the folder in which it does, and appended anew.
    #[error("{} does not fit: {why}", file.display())]
    Misfit {
        /// Which.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] Fault),
}

/// Says what putting aside would do, and does nothing.
///
/// Reads every byte of the store's segments.
///
/// # Errors
/// [`QuarantineError`] says why it cannot be told.
///
/// ```
/// use factum_log::{LogStore, Options, World, quarantine::{Quarantine, survey}};
/// # let dir = tempfile::tempdir()?;
/// LogStore::open(dir.path(), Options::default())?.close();
/// let what = Quarantine { dir: dir.path(), segments: &[], keeps_whole: true };
/// assert!(survey(&what, &World::default())?.is_empty(), "nothing is damaged");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn survey(what: &Quarantine<'_>, world: &World) -> Result<Vec<Loss>, QuarantineError> {
    Survey::new(what, world)?.all(false)
}

/// Puts damaged segments aside: their loss is accepted, and the store can be written to again, once
/// nothing else is damaged.
///
/// # Errors
/// [`QuarantineError`] says why not; begin again when the cause is mended.
pub fn quarantine(what: &Quarantine<'_>, world: &World) -> Result<Vec<Loss>, QuarantineError> {
    Survey::new(what, world)?.all(true)
}
