//! The store without `async`: every call waits on the calling thread.
//!
//! For programs that have no runtime, for tests and for scripts. A store over the network gets a
//! small runtime of its own (one thread). Do not call from inside a runtime: it would stand still.

use crate::OpenError;
use factum_core::{
    AnyStore, Append, AppendError, Batch, Capabilities, Change, EventStore, Expected, Position,
    Read, ReadError, Reading, Receipt, RecordedEvent, Statistics, StreamMetadata, StreamName,
    StreamState, Subscribe, next_batch,
    store::{DynBatches, HereBatches},
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

/// Opens the store that a URL names, as [`crate::open()`] does.
///
/// # Errors
///
/// As [`crate::open()`].
pub fn open(url: &str) -> Result<Store, OpenError> {
    let home = Home::new();
    let store = home.block_on(crate::open(url))?;
    Ok(Store { store, home })
}

/// A store whose calls wait. Clones share it.
///
/// The methods are those of [`EventStore`], word for word.
#[derive(Clone, Debug)]
pub struct Store {
    // Dropped before the runtime that it lives on.
    store: AnyStore,
    home: Home,
}

impl Store {
    /// A store that is open already, and needs no runtime.
    #[must_use]
    pub fn new(store: AnyStore) -> Self {
        Self { store, home: Home::none() }
    }

    /// The store itself.
    #[must_use]
    pub fn any(&self) -> &AnyStore {
        &self.store
    }

    /// What the store can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    /// See [`EventStore::append`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.home.block_on(self.store.append(append))
    }

    /// See [`EventStore::read`]. The events come as an iterator.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read(&self, read: Read) -> Result<Events, ReadError> {
        if let Some(reading) = self.store.read_here(&read) {
            let Reading { head, state, batches } = reading?;
            return Ok(Events { head, state, batches, batch: Vec::new().into_iter() });
        }
        let Reading { head, state, batches } = self.home.block_on(self.store.read(read))?;
        let batches = Box::new(Batches { batches, home: self.home.clone() });
        Ok(Events { head, state, batches, batch: Vec::new().into_iter() })
    }

    /// See [`EventStore::subscribe`]. The iterator has no end: it waits for the next batch.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn subscribe(&self, subscribe: Subscribe) -> Result<Batches, ReadError> {
        let batches = self.home.block_on(self.store.subscribe(subscribe))?;
        Ok(Batches { batches, home: self.home.clone() })
    }

    /// See [`EventStore::head`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn head(&self) -> Result<Position, ReadError> {
        self.home.block_on(self.store.head())
    }

    /// See [`EventStore::metadata`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.home.block_on(self.store.metadata(stream))
    }

    /// See [`EventStore::change`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.home.block_on(self.store.change(stream, change, expected))
    }

    /// See [`EventStore::tracked`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.home.block_on(self.store.tracked(source))
    }

    /// See [`EventStore::statistics`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn statistics(&self) -> Result<Statistics, ReadError> {
        self.home.block_on(self.store.statistics())
    }
}

/// The events of a read, one after the other.
pub struct Events {
    /// The store's head in the snapshot that is read.
    pub head: Position,
    /// What the stream is in that snapshot; `None` for a query.
    pub state: Option<StreamState>,
    batch: std::vec::IntoIter<RecordedEvent>,
    batches: HereBatches,
}

impl Iterator for Events {
    type Item = Result<RecordedEvent, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.batch.next() {
                return Some(Ok(event));
            }
            match self.batches.next()? {
                Ok(batch) => self.batch = batch.events.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Batches of a subscription, one after the other.
pub struct Batches {
    batches: DynBatches,
    home: Home,
}

impl Iterator for Batches {
    type Item = Result<Batch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.home.block_on(next_batch(&mut self.batches))
    }
}

/// Where the tasks of a store over the network run, if it is one.
#[derive(Clone, Debug)]
struct Home {
    #[cfg(any(feature = "client", feature = "postgres"))]
    runtime: Option<Arc<tokio::runtime::Runtime>>,
}

impl Home {
    #[cfg(any(feature = "client", feature = "postgres"))]
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        // Without one, memory and folders still work; a connection says what it lacks.
        Self { runtime: runtime.ok().map(Arc::new) }
    }

    #[cfg(not(any(feature = "client", feature = "postgres")))]
    fn new() -> Self {
        Self {}
    }

    #[cfg(any(feature = "client", feature = "postgres"))]
    fn none() -> Self {
        Self { runtime: None }
    }

    #[cfg(not(any(feature = "client", feature = "postgres")))]
    fn none() -> Self {
        Self {}
    }

    /// Waits for a future on this thread.
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        #[cfg(any(feature = "client", feature = "postgres"))]
        let _inside = self.runtime.as_ref().map(|runtime| runtime.enter());
        let mut future = pin!(future);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            thread::park();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use factum_core::{EventData, EventType, Select, Uuid};

    fn append(store: &Store, id: u128) -> Receipt {
        let stream = StreamName::new("a-1").unwrap();
        let event = EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), "{}");
        store.append(Append::to(stream, [event])).unwrap()
    }

    #[test]
    fn reads_give_every_event_of_every_batch() {
        let store = open("memory:").unwrap();
        (1..=100).for_each(|id| drop(append(&store, id)));
        let events = store.read(Read::stream(StreamName::new("a-1").unwrap())).unwrap();
        assert_eq!((events.head, events.state.is_some()), (Position(100), true));
        let ids: Vec<u128> = events.map(|event| event.unwrap().id().as_u128()).collect();
        assert_eq!(ids, (1..=100).collect::<Vec<u128>>());
    }

    #[test]
    fn a_subscription_waits_for_what_another_thread_appends() {
        let store = open("memory:").unwrap();
        let select = Select::Stream(StreamName::new("a-1").unwrap());
        let mut batches = store.subscribe(Subscribe { select, after: None }).unwrap();
        assert!(batches.next().unwrap().unwrap().caught_up);
        let other = store.clone();
        let appending = thread::spawn(move || append(&other, 7));
        let batch = batches.next().unwrap().unwrap();
        assert_eq!(batch.events.first().unwrap().id(), Uuid::from_u128(7));
        appending.join().unwrap();
    }
}
