//! Copies of segments, wherever they come from: what a backup and a replica share.
//!
//! Bytes are copied as they are, so that a copy has the same appends, positions, revisions, times
//! and tracked positions. What must hold: a file appears under its name only when it is whole and
//! durable, and every frame of it has been checked on the way.

mod extended;
mod local;
mod segment;
mod walk;

pub(crate) use extended::{Extended, Part};
pub(crate) use segment::{Copied, Source as SegmentSource, copy_segment, copy_unnamed, unfinished};
pub(crate) use walk::Walk;

use crate::{error::Fault, segment::segment_path};
use factum_core::{Position, Uuid};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Bytes asked for at once.
pub const PIECE_BYTES_MAX: u64 = 1 << 20;

/// What a store holds: a consistent cut. All of it is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inventory {
    /// The store's id.
    pub store: Uuid,
    /// The position of the last event.
    pub head: Position,
    /// Its segments, in order; the last one is the newest.
    pub segments: Vec<Held>,
}

/// A segment that a store holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The position of its first event.
    pub base: u64,
    /// Its seed: another one after it was rewritten.
    pub seed: u64,
    /// The seed it was created with: another one only in another history of the store.
    pub origin: u64,
    /// Bytes before this offset are durable. Of a sealed segment there may be zeroes among them.
    pub end: u64,
    /// Nothing more will be written to it.
    pub is_sealed: bool,
}

impl Inventory {
    /// How long the log is; `None` if no segment is named.
    #[must_use]
    pub fn length(&self) -> Option<Length> {
        self.segments.last().map(|newest| Length { base: newest.base, end: newest.end })
    }

    /// The segment that begins at a position.
    pub(crate) fn segment(&self, base: u64) -> Option<&Held> {
        let at = self.segments.binary_search_by_key(&base, |held| held.base).ok()?;
        self.segments.get(at)
    }
}

impl Held {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        let path = segment_path(Path::new(""), self.base);
        path.to_string_lossy().into_owned()
    }
}

/// How long a log is: its newest segment, and the end of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Length {
    /// The position of the newest segment's first event.
    pub base: u64,
    /// Bytes before this offset are durable.
    pub end: u64,
}

/// Why a source did not give what it was asked for.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// The disk of the source, or damage there. Verify it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The segment was rewritten, or is gone, since the inventory was made. Begin with a new one.
    #[error("the segment at position {base} was rewritten meanwhile")]
    Replaced {
        /// Its first position.
        base: u64,
    },
    /// The source is elsewhere, and did not answer. Try again.
    #[error("the source does not answer: {why}")]
    Unreachable {
        /// As the connection said.
        why: String,
    },
}

/// Where copies come from: an open store, here or elsewhere.
pub trait Source {
    /// The folder of the store, if it is on this machine.
    fn folder(&self) -> Option<PathBuf> {
        None
    }

    /// What a segment is called in errors.
    fn name(&self, of: &Held) -> PathBuf;

    /// What there is now.
    fn inventory(&self) -> Result<Inventory, SourceError>;

    /// What there is once the log is longer than that, or after some seconds at most: segments from
    /// the position `from` on.
    fn news(&self, seen: Length, from: u64) -> Result<Inventory, SourceError> {
        let _ = (seen, from);
        self.inventory()
    }

    /// Ends a call that waits, and each one that comes.
    fn interrupt(&self) {}

    /// Bytes of a segment: of a range of at most [`PIECE_BYTES_MAX`] all, and at least one.
    fn piece(&self, of: &Held, range: Range<u64>) -> Result<Vec<u8>, SourceError>;
}
