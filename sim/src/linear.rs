//! Whether what many clients saw at once could have been seen by one after the other.
//!
//! Every operation is written down with two moments of one clock: before it was asked, and after it
//! was answered. Two checkers look at that. [`order`] is near linear, as positions say in which
//! order the writes took effect: that must agree with the clock and with the model. [`search`]
//! knows nothing of positions, tries orders until one fits, and is for small histories: what the
//! one accepts the other must.
//!
//! It is written against the trait, so that the same check runs over the engine here and over the
//! server elsewhere.

pub mod client;
pub mod order;
pub mod search;
pub mod wait;

use crate::model::Task;
use factum_core::{AppendError, Position, Receipt, RecordedEvent, StreamName};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// What a client asked for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// An append or a change.
    Write(Task),
    /// All events of a stream.
    Read(StreamName),
    /// Where the log ends.
    Head,
}

/// What it was answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A write was done, or refused by what was there.
    Written(Result<Receipt, AppendError>),
    /// A write was not done: the store said that it took none now.
    NotDone,
    /// Nobody knows what became of a write.
    Lost,
    /// The events of a stream, at a head.
    Read(Position, Vec<RecordedEvent>),
    /// The head.
    Head(Position),
}

impl Answer {
    /// What the answer to a write says.
    #[must_use]
    pub fn of(answer: Result<Receipt, AppendError>) -> Self {
        match answer {
            Err(AppendError::Unknown { .. }) => Self::Lost,
            Err(
                AppendError::Overloaded
                | AppendError::Unavailable { .. }
                | AppendError::ReadOnly { .. },
            ) => Self::NotDone,
            answer => Self::Written(answer),
        }
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Call {
    /// What was asked.
    pub ask: Ask,
    /// What came back.
    pub answer: Answer,
    /// Before it was asked.
    pub from: u64,
    /// After it was answered; `u64::MAX` if it never was.
    pub to: u64,
}

/// A history in the making, which all clients write to.
#[derive(Debug, Default)]
pub struct Book {
    clock: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

impl Book {
    /// The moment now; later than all before.
    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Writes down a call that began at `from` and was answered just now.
    pub fn write(&self, from: u64, ask: Ask, answer: Answer) {
        let to = match answer {
            // It may take effect at any later time.
            Answer::Lost => u64::MAX,
            _ => self.now(),
        };
        let call = Call { ask, answer, from, to };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// All calls.
    #[must_use]
    pub fn close(self) -> Vec<Call> {
        self.calls.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
