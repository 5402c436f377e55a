//! Two stores as one: each call goes to the one that the call before did not go to.

use factum_core::{
    Append, AppendError, Capabilities, Change, EventStore, Expected, Position, Read, ReadError,
    Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe,
};
use factum_sqlite::{SqliteBatches, SqliteStore};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Turns {
    stores: [SqliteStore; 2],
    calls: AtomicUsize,
}

impl Turns {
    pub(super) fn new(one: SqliteStore, other: SqliteStore) -> Self {
        Self { stores: [one, other], calls: AtomicUsize::new(0) }
    }

    fn next(&self) -> &SqliteStore {
        &self.stores[self.calls.fetch_add(1, Ordering::Relaxed) % 2]
    }
}

impl EventStore for Turns {
    type Batches = SqliteBatches;

    fn capabilities(&self) -> &Capabilities {
        self.stores[0].capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.next().append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<SqliteBatches>, ReadError> {
        self.next().read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<SqliteBatches, ReadError> {
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
