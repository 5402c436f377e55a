//! The state that an append is judged against: all that was written, durable or not yet.

use super::heads::Heads;
use crate::{
    error::Fault,
    planted::{Bug, is_on},
    read::{FrameReader, Snapshot},
    shared::Shared,
};
use factum_core::{
    Position, Query, Revision, StreamName, Uuid,
    judge::{FoundAt, StreamHead, View},
};
use std::{collections::HashMap, sync::Arc};

pub(super) struct WriterView<'a> {
    pub(super) snapshot: Snapshot<'a>,
    pub(super) shared: &'a Shared,
    pub(super) frames: &'a mut FrameReader,
    pub(super) heads: &'a mut Heads,
    pub(super) tracked: &'a HashMap<Arc<str>, u64>,
}

impl View for WriterView<'_> {
    type Error = Fault;

    fn head(&self) -> Position {
        Position(self.snapshot.until)
    }

    fn stream(&mut self, stream: &StreamName) -> Result<StreamHead, Fault> {
        if let Some(head) = self.heads.get(stream) {
            return Ok(head);
        }
        let head = self.snapshot.stream_head(self.frames, stream)?;
        self.heads.put(stream.clone(), head.clone());
        Ok(head)
    }

    fn find(
        &mut self,
        stream: &StreamName,
        id: Uuid,
        hint: Option<Revision>,
    ) -> Result<Option<FoundAt>, Fault> {
        self.snapshot.find(self.frames, (stream, id), hint)
    }

    fn first_match(&mut self, query: &Query, after: Position) -> Result<Option<Position>, Fault> {
        let after = after.0.saturating_sub(u64::from(is_on(Bug::NoMatchInclusive)));
        Ok(self.snapshot.first_match(self.frames, query, after)?.map(Position))
    }

    fn tracked(&mut self, source: &str) -> Result<Option<u64>, Fault> {
        let pending = self.tracked.get(source).copied();
        let pending = pending.filter(|_| !is_on(Bug::TrackedOfDurableOnly));
        Ok(pending.or_else(|| self.shared.tracked(source)))
    }

    fn new_id(&mut self) -> Uuid {
        self.shared.options.world.rng.next_uuid()
    }
}
