//! What a command came to.

use factum_core::{Position, Revision, StreamName, Uuid, Written};
use std::borrow::Cow;

/// What a command came to: hand it to a view to see at least that much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The position of its last event. Where nothing was to be done: how far the decision had read.
    pub position: Position,
    /// The revisions that it wrote, one entry a stream.
    pub streams: Vec<Written>,
    /// The ids of its events, in order.
    pub ids: Vec<Uuid>,
    /// What belongs together with it.
    pub correlation: Uuid,
    /// This command, by its key, had been done before; nothing was written now.
    pub replayed: bool,
    /// Why nothing was to be done, where it was so.
    pub nothing: Option<Cow<'static, str>>,
}

impl Receipt {
    /// The revision of a stream's last event that was written.
    #[must_use]
    pub fn revision(&self, stream: &StreamName) -> Option<Revision> {
        self.streams.iter().find(|one| one.stream == *stream).map(|one| one.last)
    }
}
