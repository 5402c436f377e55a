//! A store at whose calls an app dies, or is told that the store is away: before a call, or after
//! it was done and before its answer.

use factum_app::{AnyStore, EventStore, Position, StreamName};
use factum_core::{
    Append, AppendError, Capabilities, Change, Expected, Read, ReadError, Reading, Receipt,
    Statistics, StreamMetadata, Subscribe, store::DynBatches,
};
use factum_testkit::SimWorld;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// What happens in a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gap {
    /// The app dies before the call, or after it was done.
    Dies { after: bool },
    /// The store does not answer: it did not do the call, or it did.
    Away { after: bool },
}

/// A store with a gap at one of its calls, counted from 1. Clones share the count.
#[derive(Clone)]
pub(crate) struct Gaps {
    store: AnyStore,
    part: SimWorld,
    calls: Arc<AtomicU32>,
    at: u32,
    gap: Gap,
    /// How many calls the gap is wide.
    width: u32,
    /// Only appends are counted.
    appends: bool,
}

impl Gaps {
    pub(crate) fn new(store: AnyStore, part: SimWorld, at: u32, gap: Gap) -> Self {
        Self { store, part, calls: Arc::default(), at, gap, width: 1, appends: false }
    }

    /// The same, and the gap is so many calls wide.
    pub(crate) fn for_calls(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// The same, and only appends are counted.
    pub(crate) fn at_appends(mut self) -> Self {
        self.appends = true;
        self
    }

    /// Whether there were so many calls.
    pub(crate) fn was_reached(&self) -> bool {
        self.calls.load(Ordering::SeqCst) >= self.at
    }

    /// Counts a call; answers what happens beside it.
    fn call(&self, is_append: bool) -> Option<Gap> {
        if self.appends && !is_append {
            return None;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        (self.at..self.at.saturating_add(self.width)).contains(&call).then_some(self.gap)
    }

    async fn die(&self) {
        self.part.kill();
        std::future::pending::<()>().await;
    }

    async fn reads<T>(
        &self,
        call: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let away = || ReadError::Unavailable { why: "the cable".into() };
        match self.call(false) {
            None => call.await,
            Some(Gap::Away { .. }) => Err(away()),
            Some(Gap::Dies { .. }) => {
                self.die().await;
                Err(away())
            }
        }
    }

    async fn writes<T>(
        &self,
        call: impl Future<Output = Result<T, AppendError>>,
    ) -> Result<T, AppendError> {
        let unknown = || AppendError::Unknown { why: "the cable".into() };
        match self.call(true) {
            None => call.await,
            Some(Gap::Away { after }) => {
                if after {
                    call.await?;
                }
                Err(unknown())
            }
            Some(Gap::Dies { after }) => {
                if after {
                    call.await?;
                }
                self.die().await;
                Err(unknown())
            }
        }
    }
}

impl EventStore for Gaps {
    type Batches = DynBatches;

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.writes(self.store.append(append)).await
    }

    async fn read(&self, read: Read) -> Result<Reading<DynBatches>, ReadError> {
        self.reads(self.store.read(read)).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<DynBatches, ReadError> {
        self.reads(self.store.subscribe(subscribe)).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.reads(self.store.head()).await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.store.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.writes(self.store.change(stream, change, expected)).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.store.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.store.statistics().await
    }
}
