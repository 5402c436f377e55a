//! Two stores as one, as two processes would have one: each call goes to the one that the call
//! before did not go to.

use factum_core::{
    Append, AppendError, Capabilities, Change, EventStore, Expected, Position, Read, ReadError,
    Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe,
};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two stores over the same data, asked in turns.
#[derive(Debug)]
pub struct Turns<S> {
    one: S,
    other: S,
    calls: AtomicUsize,
}

impl<S> Turns<S> {
    /// Of two stores that hold the same.
    #[must_use]
    pub fn new(one: S, other: S) -> Self {
        Self { one, other, calls: AtomicUsize::new(0) }
    }

    fn next(&self) -> &S {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => &self.one,
            _ => &self.other,
        }
    }
}

impl<S: EventStore> EventStore for Turns<S> {
    type Batches = S::Batches;

    fn capabilities(&self) -> &Capabilities {
        self.one.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.next().append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<S::Batches>, ReadError> {
        self.next().read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<S::Batches, ReadError> {
        self.next().subscribe(subscribe).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.next().head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.next().metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.next().change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.next().tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.next().statistics().await
    }
}
