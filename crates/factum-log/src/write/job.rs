//! What the writer is asked to do: valid already.

use factum_core::{Append, AppendError, Change, Expected, Limits, StreamName, judge};

/// An append or a change that is valid: only the state can refuse it now.
#[derive(Debug)]
pub struct Job(pub(super) Work);

#[derive(Debug)]
pub(super) enum Work {
    Append(Append),
    Change { stream: StreamName, change: Change, expected: Option<Expected> },
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

    /// Bytes that it takes while it waits.
    #[must_use]
    pub fn weight(&self) -> usize {
        match &self.0 {
            Work::Append(append) => {
                let events = append.events.iter();
                256 + events
                    .map(|(stream, event)| 128 + stream.as_str().len() + event.weight())
                    .sum::<usize>()
            }
            Work::Change { .. } => 1024,
        }
    }
}
