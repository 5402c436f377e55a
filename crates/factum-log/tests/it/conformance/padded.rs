//! A store into which somebody else writes a lot: before each append, a large event in a stream of
//! its own. So the few events of a case lie in many segments, with others between them. What is
//! sealed may be compressed at once.

use factum_core::{
    Append, AppendError, Capabilities, Change, EventData, EventStore, Expected, Position, Read,
    ReadError, Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe,
};
use factum_log::{LogStore, store::LogBatches};

/// A third of the smallest segment.
const PADDING_BYTES: usize = 20 << 10;

pub struct Padded {
    pub store: LogStore,
    /// Compresses what is sealed.
    pub compress: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Padded {
    async fn pad(&self) -> Result<(), AppendError> {
        let stream = StreamName::new("padding-1").expect("a valid name");
        let data = vec![b'p'; PADDING_BYTES].into();
        let event = EventData { data, ..factum_testkit::event("padded") };
        self.store.append(Append::to(stream, [event])).await?;
        if let Some(compress) = &self.compress {
            compress();
        }
        Ok(())
    }
}

impl EventStore for Padded {
    type Batches = LogBatches;

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.pad().await?;
        self.store.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<LogBatches>, ReadError> {
        self.store.read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<LogBatches, ReadError> {
        self.store.subscribe(subscribe).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.store.head().await
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
        self.pad().await?;
        self.store.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.store.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.store.statistics().await
    }
}
