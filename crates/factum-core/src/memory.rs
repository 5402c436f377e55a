//! The in-memory store: the smallest thing that keeps every promise but durability.
//!
//! For tests, for examples, and as what the other stores are compared with. Judged by
//! [`crate::judge`] as all of them are; everything else is the plainest that can be right: one
//! lock, one vector of events, and an index of where to look in it.

mod batches;
mod index;
mod state;

pub use batches::MemoryBatches;

use crate::{
    Append, AppendError, Capabilities, Change, EventStore, Expected, Position, Read, ReadError,
    Reading, Receipt, Select, Statistics, StreamMetadata, StreamName, Subscribe, Timestamp,
    judge::{self, Refusal, Verdict},
};
use batches::Selection;
use state::State;
use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::{SystemTime, UNIX_EPOCH},
};

/// An event store in memory. Clones share one store.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    capabilities: Arc<Capabilities>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store with the clock of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(system_now)
    }

    /// An empty store with a clock of the caller's.
    pub fn with_clock(clock: impl Fn() -> Timestamp + Send + 'static) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(Box::new(clock)))),
            capabilities: Arc::new(Capabilities::full()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry_out(
        &self,
        judged: impl FnOnce(&mut State) -> Result<Verdict, Refusal<std::convert::Infallible>>,
    ) -> Result<Receipt, AppendError> {
        let mut state = self.lock();
        match judged(&mut state) {
            Err(Refusal::Append(error)) => Err(error),
            Ok(Verdict::Answer(receipt)) => Ok(receipt),
            Ok(Verdict::Write(plan)) => {
                let receipt = state.write(plan);
                let waiting = std::mem::take(&mut state.waiting);
                drop(state);
                waiting.into_iter().for_each(Waker::wake);
                Ok(receipt)
            }
        }
    }

    async fn reaches(&self, position: Position) {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.head() >= position {
                return Poll::Ready(());
            }
            state.wake_later(context.waker());
            Poll::Pending
        })
        .await;
    }

    fn check(&self, select: &Select) -> Result<(), ReadError> {
        let Select::Query(query) = select else {
            return Ok(());
        };
        judge::validate_query(query, &self.capabilities.limits).map_err(|error| match error {
            AppendError::Invalid(invalid) => ReadError::Invalid(invalid),
            other => ReadError::Unsupported { what: other.to_string().into() },
        })
    }
}

#[allow(clippy::disallowed_methods, reason = "the one door of this store to the clock")]
fn system_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

impl EventStore for MemoryStore {
    type Batches = MemoryBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        judge::validate(&append, &self.capabilities.limits)?;
        self.carry_out(|state| judge::judge(append, state))
    }

    async fn read(&self, read: Read) -> Result<Reading<MemoryBatches>, ReadError> {
        self.check(&read.select)?;
        if let Some(position) = read.at_least {
            self.reaches(position).await;
        }
        let state = self.lock();
        let (head, stream_state) = (state.head(), state.state_of(&read.select));
        let selection = Selection::of_read(read, &state);
        drop(state);
        let batches = MemoryBatches::new(self.clone(), selection);
        Ok(Reading { head, state: stream_state, batches })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<MemoryBatches, ReadError> {
        self.check(&subscribe.select)?;
        Ok(MemoryBatches::new(self.clone(), Selection::of_subscription(subscribe)))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.lock().head())
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        Ok((*self.lock().stream_head(stream).metadata).clone())
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        judge::validate_change(&change, &self.capabilities.limits)?;
        self.carry_out(|state| judge::judge_change(stream, change, expected, state))
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        Ok(self.lock().tracked.get(source).copied())
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        let state = self.lock();
        let mut statistics = Statistics::default();
        statistics.gauge("head_position", state.head().0, "Position of the last event");
        statistics.gauge("streams", state.streams.len() as u64, "Streams with an event");
        Ok(statistics)
    }
}
