//! What the writer is asked to do: valid already.

use factum_core::{
    Append, AppendError, Change, Check, EventData, Expected, Item, Limits, Position, Query,
    StreamName, judge,
};

/// An append or a change that is valid: only the state can refuse it now.
#[derive(Debug)]
pub struct Job(pub(super) Work);

#[derive(Debug)]
pub(super) enum Work {
    Append(Append),
    Change {
        stream: StreamName,
        change: Change,
        expected: Option<Expected>,
    },
    /// Seals the newest segment, if this position is in it.
    Seal(Position),
}

impl Job {
    /// Refuses what no state could make acceptable.
    pub fn append(append: Append, limits: &Limits) -> Result<Self, AppendError> {
        judge::validate(&append, limits)?;
        Ok(Self(Work::Append(append)))
    }

    /// A change of a stream as a whole; refuses what no state could make acceptable.
    pub fn change(
        stream: StreamName,
        change: Change,
        expected: Option<Expected>,
        limits: &Limits,
    ) -> Result<Self, AppendError> {
        judge::validate_change(&change, limits)?;
        Ok(Self(Work::Change { stream, change, expected }))
    }

    /// Seals the segment that holds a position, if it is the newest, so that it can be rewritten.
    #[must_use]
    pub fn seal(position: Position) -> Self {
        Self(Work::Seal(position))
    }

    /// Bytes that it takes while it waits.
    #[must_use]
    pub fn weight(&self) -> usize {
        match &self.0 {
            Work::Append(append) => {
                let of_event = |(stream, event): &(StreamName, EventData)| {
                    EVENT_BYTES + stream.as_str().len() + event.weight()
                };
                let events: usize = append.events.iter().map(of_event).sum();
                let checks: usize = append.checks.iter().map(weight_of_check).sum();
                JOB_BYTES + events + checks
            }
            Work::Change { change: Change::SetMetadata(metadata), .. } => {
                let other = metadata.other.iter();
                let other: usize =
                    other.map(|(key, value)| EVENT_BYTES + key.len() + value.len()).sum();
                JOB_BYTES + other
            }
            Work::Change { .. } | Work::Seal(_) => JOB_BYTES,
        }
    }
}

/// What a job takes besides what it holds, about.
const JOB_BYTES: usize = 256;
/// What an event, a check or another value takes besides its bytes, about.
const EVENT_BYTES: usize = 128;

fn weight_of_check(check: &Check) -> usize {
    let Check::NoMatch { query: Query::AnyOf(items), .. } = check else { return EVENT_BYTES };
    let of_item = |item: &Item| {
        let types = item.types.iter().map(|name| name.as_str().len());
        let tags = item.tags.iter().map(|name| name.as_str().len());
        let others = [&item.categories, &item.stream_prefixes, &item.type_prefixes];
        let others = others.into_iter().flatten().map(|name| name.len());
        EVENT_BYTES + types.chain(tags).chain(others).map(|len| 32 + len).sum::<usize>()
    };
    EVENT_BYTES + items.iter().map(of_item).sum::<usize>()
}
