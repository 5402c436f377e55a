//! A store that is away now and then: the Nth call of a kind fails, or the Nth batch.

use factum_app::{AnyStore, EventStore, MemoryStore, Position, StreamName};
use factum_core::{
    Append, AppendError, Batch, Capabilities, Change, Expected, Read, ReadError, Reading, Receipt,
    Statistics, StreamMetadata, Subscribe, store::DynBatches,
};
use futures_core::Stream;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

/// Counts calls of subscriptions and their batches, and fails some.
#[derive(Clone)]
pub(crate) struct Away {
    inner: AnyStore,
    calls: Arc<AtomicU64>,
    every: u64,
    cut: Arc<AtomicBool>,
}

impl Away {
    /// Every so many calls one fails.
    pub(crate) fn over(store: MemoryStore, every: u64) -> Self {
        Self { inner: AnyStore::new(store), calls: Arc::default(), every, cut: Arc::default() }
    }

    /// From now on nothing comes back, until it is mended.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Others go first.
    async fn through(&self) {
        tokio::task::yield_now().await;
        if self.is_cut() {
            std::future::pending().await
        }
    }

    fn call(&self) -> Result<(), ReadError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match call.is_multiple_of(self.every) {
            true => Err(ReadError::Unavailable { why: "the cable".into() }),
            false => Ok(()),
        }
    }
}

pub(crate) struct AwayBatches(Away, DynBatches);

impl Stream for AwayBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.0.is_cut() {
            return Poll::Pending;
        }
        let next = self.1.as_mut().poll_next(context);
        if next.is_ready() {
            self.0.call()?;
        }
        next
    }
}

impl EventStore for Away {
    type Batches = AwayBatches;

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.through().await;
        let done = self.inner.append(append).await;
        self.through().await;
        done
    }

    async fn read(&self, read: Read) -> Result<Reading<AwayBatches>, ReadError> {
        self.through().await;
        let Reading { head, state, batches } = self.inner.read(read).await?;
        Ok(Reading { head, state, batches: AwayBatches(self.clone(), batches) })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<AwayBatches, ReadError> {
        self.through().await;
        self.call()?;
        Ok(AwayBatches(self.clone(), self.inner.subscribe(subscribe).await?))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.inner.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.inner.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.through().await;
        self.inner.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.inner.statistics().await
    }
}
