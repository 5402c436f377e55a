//! What can go wrong: one enum for appends, one for reads.
//!
//! Each variant says when it happens and what the caller should do. Whether a retry helps is
//! [`AppendError::is_retryable`]. Storage detail stays in the store that has it.

use crate::{InvalidName, Position, StreamName, StreamState};
use std::{borrow::Cow, sync::Arc};
use uuid::Uuid;

/// What a failed check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The stream as it is.
    Stream(StreamState),
    /// The first event that matches.
    Match(Position),
}

/// Why an append or a change was not done.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// A check does not hold. Nothing was written. Read again and decide anew.
    #[error("check {index} failed: found {found:?}; read again and decide anew")]
    Conflict {
        /// Which check of the list, from 0.
        index: usize,
        /// What it found.
        found: Found,
    },
    /// The stream was deleted for ever. Nothing was written. Use another name.
    #[error("stream {stream:?} is tombstoned: deleted for ever; use another name")]
    Tombstoned {
        /// Which.
        stream: StreamName,
    },
    /// The tracked position does not increase: it has been processed before. Nothing was written.
    #[error("source {source_name:?} is already at {stored}: processed before")]
    Tracked {
        /// Whose position.
        source_name: Arc<str>,
        /// The one that is stored.
        stored: u64,
    },
    /// Some of the ids are stored already, but not exactly as this append would have stored them.
    /// Nothing was written. A retry must repeat the whole append; a new fact needs a new id.
    #[error("event id {id} is already used at position {at} by another append: give it a new id")]
    IdReused {
        /// The first id found.
        id: Uuid,
        /// Where it stands.
        at: Position,
    },
    /// No store takes this append. Nothing was written. Correct it.
    #[error("invalid append: {0}")]
    Invalid(#[from] Invalid),
    /// A limit of the store. Nothing was written. Split the append, or raise the setting.
    #[error("{what} is {actual}, over the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        actual: usize,
        /// How large it may be.
        limit: usize,
    },
    /// This store cannot do that ([`crate::Capabilities`] says so). Nothing was written.
    #[error("this store cannot do that: {what}")]
    Unsupported {
        /// What it cannot do.
        what: Cow<'static, str>,
    },
    /// Too much is waiting. Nothing was written. Retry later, with a pause.
    #[error("the store is overloaded; nothing was written: retry after a pause")]
    Overloaded,
    /// The reply is lost. The append may have been done. Retry with the same ids.
    #[error("the outcome is unknown ({why}): retry with the same ids")]
    Unknown {
        /// What happened.
        why: Cow<'static, str>,
    },
    /// The store takes no appends: damaged, its disk failed, or opened to read. Nothing was
    /// written. Reads go on.
    #[error("the store is read-only: {why}")]
    ReadOnly {
        /// Why, and what to do.
        why: Arc<str>,
    },
    /// The store is closed or out of reach. Nothing was written. Retry when it is back.
    #[error("the store is not available: {why}")]
    Unavailable {
        /// Why.
        why: Cow<'static, str>,
    },
}

impl AppendError {
    /// Whether the same append, with the same ids, may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Unknown { .. } | Self::Unavailable { .. })
    }
}

/// What no store takes.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// Neither events nor tracking.
    #[error("there is nothing to append: give at least one event")]
    Empty,
    /// An id of all zeroes.
    #[error("event {index} has a nil id: give it a random one")]
    NilId {
        /// Which event, from 0.
        index: usize,
    },
    /// One id twice in one stream.
    #[error("event id {id} occurs twice for stream {stream:?}: give each event its own")]
    DuplicateId {
        /// The id.
        id: Uuid,
        /// The stream.
        stream: StreamName,
    },
    /// A query without items, or an item that restricts nothing.
    #[error("a query needs items, and each must name a type, a tag, a category or a prefix")]
    Query,
    /// Two checks about one stream.
    #[error("stream {stream:?} is checked twice: once is allowed")]
    DuplicateCheck {
        /// The stream.
        stream: StreamName,
    },
    /// A name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A metadata stream takes events of type `$metadata` only, and only it takes them.
    #[error(
        "events of type `$metadata` go to metadata streams (`$$…`), and nothing else does: \
         {event_type:?} to {stream:?}"
    )]
    MetadataType {
        /// The stream.
        stream: StreamName,
        /// The type.
        event_type: String,
    },
    /// The type `$streamDeleted` is written by a tombstone only.
    #[error("the type `$streamDeleted` is the store's own: tombstone the stream instead")]
    ReservedType,
    /// Stream metadata that means nothing.
    #[error("stream metadata: {why}")]
    Metadata {
        /// What is wrong, and what is allowed.
        why: Cow<'static, str>,
    },
    /// Metadata streams are not deleted: their stream is.
    #[error("{stream:?} is a metadata stream: delete the stream itself, or set its metadata")]
    MetadataStream {
        /// The stream.
        stream: StreamName,
    },
    /// The empty name of a tracked source, or one over 1,024 bytes, or with a NUL.
    #[error("the tracked source must have 1 to 1024 bytes, without NUL")]
    Source,
}

/// Why a read gave no, or no further, answer.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// No store answers this. Correct it.
    #[error("invalid read: {0}")]
    Invalid(#[from] Invalid),
    /// This store cannot do that ([`crate::Capabilities`] says so).
    #[error("this store cannot do that: {what}")]
    Unsupported {
        /// What it cannot do.
        what: Cow<'static, str>,
    },
    /// What is stored there is damaged; it is not served, and nothing is hidden.
    #[error("damaged: {what}")]
    Damaged {
        /// Which file and offset.
        what: Arc<str>,
    },
    /// Too much is being read. Retry later, with a pause.
    #[error("the store is overloaded: retry after a pause")]
    Overloaded,
    /// The store is closed, or out of reach. Retry when it is back.
    #[error("the store is not available: {why}")]
    Unavailable {
        /// Why.
        why: Cow<'static, str>,
    },
}

impl ReadError {
    /// Whether the same read may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable { .. })
    }
}
