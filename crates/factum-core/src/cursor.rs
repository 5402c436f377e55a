//! What a read or a subscription still has to deliver, without a word about where it is stored.
//!
//! A store over another system reads a batch at a time, each in whatever the system has for a
//! snapshot; what a read may see is fixed by the head that it began with, so that batches fit
//! together. Apart from the stores, so that they agree on what is visible, where a batch ends and
//! what its checkpoint is. Pure: a store looks at the span it is told, and hands in what it found.

mod plan;
mod span;

pub use plan::{Plan, Scope};
pub use span::Span;

use crate::{Batch, Position, RecordedEvent, Timestamp, judge::StreamHead, page::PAGE_BYTES_MAX};

/// Events in one batch, at most.
pub const BATCH_EVENTS_MAX: usize = 4096;
/// Rows that are looked at for the first batch.
const ROWS_FIRST: usize = 1024;
/// Rows that are looked at, at least, where they are wanted.
const ROWS_MIN: usize = 16;

/// What of a stream may be seen.
#[derive(Debug)]
pub struct Visible {
    first: u64,
    last: u64,
    max_age: Option<StreamHead>,
    now: Timestamp,
}

impl Visible {
    /// What may be seen of the stream with this head; `None` where that is nothing.
    #[must_use]
    pub fn of(head: &StreamHead, now: Timestamp) -> Option<Self> {
        let last = head.last.filter(|_| !head.tombstoned)?;
        let max_age = head.metadata.max_age_s.is_some().then(|| head.clone());
        Some(Self { first: head.metadata.first_visible(last).0, last: last.0, max_age, now })
    }

    fn has(&self, event: &RecordedEvent) -> bool {
        let expired = |head: &StreamHead| head.metadata.is_expired(event.recorded_at(), self.now);
        !self.max_age.as_ref().is_some_and(expired)
    }
}

/// What a store has read of what a cursor wanted, in order, and what that says of the rest.
#[derive(Debug, Default)]
pub struct Found {
    /// The events, as far as they fit in a batch.
    pub events: Vec<RecordedEvent>,
    /// Where the store goes on; `None` where nothing is left in the span.
    pub rest: Option<Span>,
    /// There was more, and it did not fit by its bytes.
    pub is_cut: bool,
    /// The bytes of what was read.
    pub bytes: u64,
}

/// What is made into a batch.
#[derive(Debug, Default)]
pub struct Filled {
    events: Vec<RecordedEvent>,
    /// Where to go on; `None` at the end.
    rest: Option<Span>,
    /// At the end: the last place that was looked at.
    seen: Option<u64>,
}

/// A place in a store, and what is left to deliver from there.
#[derive(Debug)]
pub struct Cursor {
    plan: Plan,
    /// So many rows are looked at next: about as many as a batch holds.
    rows: usize,
    /// The last checkpoint.
    reached: u64,
}

impl Cursor {
    /// At the beginning of what is planned.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let until = plan.until.map_or(0, |until| until.saturating_add(1));
        Self { reached: if plan.backward { until } else { 0 }, rows: ROWS_FIRST, plan }
    }

    /// Whether it goes on for ever.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.plan.until.is_none()
    }

    /// Whether as much as was asked for has been delivered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.plan.left == 0
    }

    /// What is selected.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.plan.scope
    }

    /// The last position that counts; `None` follows the head for ever.
    #[must_use]
    pub fn until(&self) -> Option<u64> {
        self.plan.until
    }

    /// The stream's head when a read began.
    #[must_use]
    pub fn head(&self) -> Option<&StreamHead> {
        self.plan.head.as_ref()
    }

    /// The positions that are left of a query, up to one.
    #[must_use]
    pub fn span(&self, until: u64) -> Option<Span> {
        self.plan.span(until)
    }

    /// The revisions that are left of what is visible of a stream.
    #[must_use]
    pub fn span_of_stream(&self, visible: &Visible) -> Option<Span> {
        let span = self.plan.span(visible.last)?;
        let span = Span { first: span.first.max(visible.first), ..span };
        (span.first <= span.last).then_some(span)
    }

    /// How many rows to look at next, at most.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        self.plan.rows_max(self.rows)
    }

    /// Takes of what was found of a query what is wanted.
    pub fn fill(&mut self, found: Found, span: Span) -> Filled {
        self.take(found, span, |_| true)
    }

    /// Takes of what was found of a stream what is wanted, and visible.
    pub fn fill_of_stream(&mut self, found: Found, span: Span, visible: &Visible) -> Filled {
        self.take(found, span, |event| visible.has(event))
    }

    /// Takes in that nothing was found, and says nothing of how many rows there are.
    #[must_use]
    pub fn pass(&self, rest: Option<Span>, span: Span) -> Filled {
        Filled { events: Vec::new(), rest, seen: Some(span.last) }
    }

    fn take(
        &mut self,
        found: Found,
        span: Span,
        is_visible: impl Fn(&RecordedEvent) -> bool,
    ) -> Filled {
        self.learn(&found);
        let left = usize::try_from(self.plan.left).unwrap_or(usize::MAX);
        let occurred_by = self.plan.occurred_by;
        let had = |event: &RecordedEvent| {
            occurred_by.is_none_or(|moment| event.occurred_at() <= moment) && is_visible(event)
        };
        let mut wanted = found.events.into_iter().filter(had);
        let events: Vec<RecordedEvent> = wanted.by_ref().take(left).collect();
        let rest = match wanted.next() {
            Some(_) => events.last().and_then(|last| span.past(self.plan.place(last))),
            None => found.rest,
        };
        Filled { events, rest, seen: Some(span.last) }
    }

    /// Learns from what was read how many rows to look at next.
    fn learn(&mut self, found: &Found) {
        self.rows = match found.is_cut {
            true => found.events.len().max(ROWS_MIN),
            false if found.bytes < PAGE_BYTES_MAX as u64 / 2 => {
                (self.rows * 2).min(BATCH_EVENTS_MAX)
            }
            false => self.rows,
        };
    }

    /// Makes a batch of what was found up to a position, and moves on.
    pub fn batch(&mut self, filled: Filled, until: u64) -> Batch {
        let Filled { events, rest, seen } = filled;
        self.plan.left = self.plan.left.saturating_sub(events.len() as u64);
        let ended = rest.is_none();
        self.plan.go_on(rest, seen);
        let end = if self.plan.backward { 0 } else { until };
        let last = events.last().map(|event| event.position().0);
        let reached = match (&self.plan.scope, rest) {
            (Scope::Query(_), Some(rest)) if self.plan.backward => rest.last.saturating_add(1),
            (Scope::Query(_), Some(rest)) => rest.first - 1,
            _ => last.unwrap_or(self.reached),
        };
        self.reached = if ended && self.plan.left > 0 { end } else { reached };
        let caught_up = ended || self.plan.left == 0;
        Batch { events, through: Position(self.reached), caught_up }
    }
}
