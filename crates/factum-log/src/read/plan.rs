//! What a cursor is to deliver, worked out once.

use super::snapshot::Snapshot;
use crate::error::Fault;
use crate::planted::{Bug, is_on};
use factum_core::{
    AsOf, Direction, Position, Query, Read, Select, StreamName, Subscribe, Timestamp,
};

/// Which events.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    Stream(StreamName),
    Query(Query),
}

/// What is left to deliver.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) scope: Scope,
    pub(super) backward: bool,
    /// The next place to look at, inclusive: a revision of a stream, a position of a query.
    /// `None`: backwards, past the first.
    pub(super) at: Option<u64>,
    /// The last position that counts; `None` follows the head for ever.
    pub(super) until: Option<u64>,
    /// The head when the read began: what metadata hides is judged there, as-of or not, as what is
    /// deleted is deleted. `None` follows the head.
    pub(super) head: Option<u64>,
    pub(super) occurred_by: Option<Timestamp>,
    pub(super) left: u64,
}

impl Plan {
    pub(super) fn of_read(
        read: Read,
        head: Position,
        snapshot: &Snapshot<'_>,
    ) -> Result<Self, Fault> {
        let backward = read.direction == Direction::Backward;
        let until = match read.as_of {
            AsOf::Position(position) => position.0.min(head.0),
            AsOf::Recorded(moment) => {
                let one_more = u64::from(is_on(Bug::AsOfOneMore));
                (snapshot.first_recorded_after(moment)? - 1 + one_more).min(head.0)
            }
            AsOf::Now | AsOf::Occurred(_) => head.0,
        };
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
        let (until, head) = (Some(until), Some(head.0));
        Ok(Self { scope, backward, at, until, head, occurred_by, left })
    }

    pub(super) fn of_subscription(subscribe: Subscribe) -> Self {
        let scope = Scope::from(subscribe.select);
        let first = scope.first();
        let next = 1 + u64::from(is_on(Bug::ResumeTooLate));
        let at = subscribe.after.map_or(first, |after| after.saturating_add(next).max(first));
        Self {
            scope,
            backward: false,
            at: Some(at),
            until: None,
            head: None,
            occurred_by: None,
            left: u64::MAX,
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
