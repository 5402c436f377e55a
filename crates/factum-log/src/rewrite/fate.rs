//! What becomes of an event when its segment is rewritten.

use crate::{error::Fault, format::entry::Entry};
use factum_core::{EventType, StreamName};

/// An event as it stands in the old segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old<'a> {
    pub(crate) stream: &'a StreamName,
    pub(crate) event_type: &'a EventType,
    pub(crate) position: u64,
    pub(crate) entry: &'a Entry,
}

impl Old<'_> {
    /// About how many bytes it takes in the log.
    pub(super) fn bytes(&self) -> u64 {
        /// Length, flags, id and numbers.
        const FIELDS: usize = 24;
        let entry = self.entry;
        (FIELDS + entry.tags.len() + entry.metadata.len() + entry.data.len()) as u64
    }
}

/// What becomes of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It stays as it is.
    Keep,
    /// It goes; its position and revision stay empty.
    Drop,
    /// Its place stays, and says something else: without tags, metadata and *occurred at*.
    Replace(Substitute),
}

/// What stands in the place of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Substitute {
    pub(super) event_type: EventType,
    /// JSON.
    pub(super) data: Vec<u8>,
}

/// Decides about each event of a segment.
pub(super) trait Fates {
    fn of(&mut self, event: &Old<'_>) -> Result<Fate, Fault>;
}
