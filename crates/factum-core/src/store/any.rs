//! Any store behind one type, chosen at run time. The erased layer is private: nobody implements
//! it by hand, and it boxes once a call.

use super::{EventStore, HereBatches};
use crate::{
    Append, AppendError, Batch, Capabilities, Change, Expected, Position, Read, ReadError, Reading,
    Receipt, Statistics, StreamMetadata, StreamName, Subscribe,
};
use futures_core::Stream;
use std::{fmt, pin::Pin, sync::Arc};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The batches of an [`AnyStore`].
pub type DynBatches = Pin<Box<dyn Stream<Item = Result<Batch, ReadError>> + Send>>;

trait Erased: Send + Sync {
    fn capabilities(&self) -> &Capabilities;
    fn append(&self, append: Append) -> Boxed<'_, Result<Receipt, AppendError>>;
    fn read(&self, read: Read) -> Boxed<'_, Result<Reading<DynBatches>, ReadError>>;
    fn read_here(&self, read: &Read) -> Option<Result<Reading<HereBatches>, ReadError>>;
    fn subscribe(&self, subscribe: Subscribe) -> Boxed<'_, Result<DynBatches, ReadError>>;
    fn head(&self) -> Boxed<'_, Result<Position, ReadError>>;
    fn metadata<'a>(
        &'a self,
        stream: &'a StreamName,
    ) -> Boxed<'a, Result<StreamMetadata, ReadError>>;
    fn change<'a>(
        &'a self,
        stream: &'a StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Boxed<'a, Result<Receipt, AppendError>>;
    fn tracked<'a>(&'a self, source: &'a str) -> Boxed<'a, Result<Option<u64>, ReadError>>;
    fn statistics(&self) -> Boxed<'_, Result<Statistics, ReadError>>;
}

impl<S: EventStore> Erased for S {
    fn capabilities(&self) -> &Capabilities {
        EventStore::capabilities(self)
    }

    fn append(&self, append: Append) -> Boxed<'_, Result<Receipt, AppendError>> {
        Box::pin(EventStore::append(self, append))
    }

    fn read(&self, read: Read) -> Boxed<'_, Result<Reading<DynBatches>, ReadError>> {
        Box::pin(async move {
            let Reading { head, state, batches } = EventStore::read(self, read).await?;
            Ok(Reading { head, state, batches: Box::pin(batches) as DynBatches })
        })
    }

    fn read_here(&self, read: &Read) -> Option<Result<Reading<HereBatches>, ReadError>> {
        EventStore::read_here(self, read)
    }

    fn subscribe(&self, subscribe: Subscribe) -> Boxed<'_, Result<DynBatches, ReadError>> {
        Box::pin(async move {
            let batches = EventStore::subscribe(self, subscribe).await?;
            Ok(Box::pin(batches) as DynBatches)
        })
    }

    fn head(&self) -> Boxed<'_, Result<Position, ReadError>> {
        Box::pin(EventStore::head(self))
    }

    fn metadata<'a>(
        &'a self,
        stream: &'a StreamName,
    ) -> Boxed<'a, Result<StreamMetadata, ReadError>> {
        Box::pin(EventStore::metadata(self, stream))
    }

    fn change<'a>(
        &'a self,
        stream: &'a StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Boxed<'a, Result<Receipt, AppendError>> {
        Box::pin(EventStore::change(self, stream, change, expected))
    }

    fn tracked<'a>(&'a self, source: &'a str) -> Boxed<'a, Result<Option<u64>, ReadError>> {
        Box::pin(EventStore::tracked(self, source))
    }

    fn statistics(&self) -> Boxed<'_, Result<Statistics, ReadError>> {
        Box::pin(EventStore::statistics(self))
    }
}

/// Any store, chosen at run time; itself an [`EventStore`]. Cloning is one reference count.
#[derive(Clone)]
pub struct AnyStore(Arc<dyn Erased>);

impl AnyStore {
    /// Erases the type of a store.
    pub fn new(store: impl EventStore) -> Self {
        Self(Arc::new(store))
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStore").finish_non_exhaustive()
    }
}

impl EventStore for AnyStore {
    type Batches = DynBatches;

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.0.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<DynBatches>, ReadError> {
        self.0.read(read).await
    }

    fn read_here(&self, read: &Read) -> Option<Result<Reading<HereBatches>, ReadError>> {
        self.0.read_here(read)
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<DynBatches, ReadError> {
        self.0.subscribe(subscribe).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.0.head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.0.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.0.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.0.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.0.statistics().await
    }
}
