//! What a cursor is to deliver.

use super::Span;
use crate::{
    AsOf, Direction, Position, Query, Read, RecordedEvent, Select, StreamName, Subscribe,
    Timestamp, judge::StreamHead,
};

/// Which events.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Those of a stream, by revision.
    Stream(StreamName),
    /// Those that a query selects, by position.
    Query(Query),
}

/// What is left to deliver.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) scope: Scope,
    pub(super) backward: bool,
    /// The next place to look at, inclusive: a revision of a stream, a position of a query.
    /// `None`: past the end, either way.
    pub(super) at: Option<u64>,
    /// The last position that counts; `None` follows the head for ever.
    pub(super) until: Option<u64>,
    /// The stream's head when a read began: what metadata hides is judged by it.
    pub(super) head: Option<StreamHead>,
    pub(super) occurred_by: Option<Timestamp>,
    pub(super) left: u64,
}

impl Plan {
    /// Of a read, of which `until` is the last position that counts.
    #[must_use]
    pub fn of_read(read: Read, until: Position, head: Option<StreamHead>) -> Self {
        let backward = read.direction == Direction::Backward;
        let scope = Scope::from(read.select);
        let first = scope.first();
        let at = match (backward, read.from) {
            (false, from) => Some(from.unwrap_or(first).max(first)),
            (true, None) => Some(u64::MAX),
            (true, Some(from)) => (from >= first).then_some(from),
        };
        let occurred_by = match read.as_of {
            AsOf::Occurred(moment) => Some(moment),
            _ => None,
        };
        let left = read.limit.unwrap_or(u64::MAX);
        Self { scope, backward, at, until: Some(until.0), head, occurred_by, left }
    }

    /// Of a subscription.
    #[must_use]
    pub fn of_subscription(subscribe: Subscribe) -> Self {
        let scope = Scope::from(subscribe.select);
        let first = scope.first();
        let at = subscribe.after.map_or(first, |after| after.saturating_add(1).max(first));
        let (at, left) = (Some(at), u64::MAX);
        Self { scope, backward: false, at, until: None, head: None, occurred_by: None, left }
    }

    /// The places that are left, of which there is none past `end`.
    pub(super) fn span(&self, end: u64) -> Option<Span> {
        let (at, first) = (self.at?, self.scope.first());
        let (first, last) = if self.backward { (first, at.min(end)) } else { (at, end) };
        (first <= last).then_some(Span { first, last, backward: self.backward })
    }

    /// How many rows to read for a batch: more than are left, where some may be left out.
    pub(super) fn rows_max(&self, most: usize) -> usize {
        let may_leave_out = self.occurred_by.is_some()
            || self.head.as_ref().is_none_or(|head| head.metadata.max_age_s.is_some());
        let is_stream = matches!(self.scope, Scope::Stream(_));
        if self.occurred_by.is_some() || (is_stream && may_leave_out) {
            return most;
        }
        usize::try_from(self.left).unwrap_or(usize::MAX).min(most)
    }

    /// Moves to what is left. At the end, where more may come, to what is behind the last place
    /// that was seen.
    pub(super) fn go_on(&mut self, rest: Option<Span>, seen: Option<u64>) {
        self.at = match rest {
            Some(rest) => Some(if self.backward { rest.last } else { rest.first }),
            None if self.until.is_none() => self.at.max(seen.map(|seen| seen.saturating_add(1))),
            None => None,
        };
    }

    /// Where an event stands in what is read.
    pub(super) fn place(&self, event: &RecordedEvent) -> u64 {
        match self.scope {
            Scope::Stream(_) => event.revision().0,
            Scope::Query(_) => event.position().0,
        }
    }
}

impl Scope {
    /// The first place there can be.
    fn first(&self) -> u64 {
        match self {
            Self::Stream(_) => 0,
            Self::Query(_) => 1,
        }
    }
}

impl From<Select> for Scope {
    fn from(select: Select) -> Self {
        match select {
            Select::Stream(stream) => Self::Stream(stream),
            Select::Query(query) => Self::Query(query),
        }
    }
}
