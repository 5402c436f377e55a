//! A store into which somebody else writes a lot: before each append, a large event in a stream of
//! its own. So the few events of a case lie in many segments, with others between them.

use factum_core::{
    Append, AppendError, Capabilities, Change, EventData, EventStore, Expected, Position, Read,
    ReadError, Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe,
};
use factum_log::{LogStore, store::LogBatches};

/// A third of the smallest segment.
const PADDING_BYTES: usize = 20 << 10;

pub struct Padded(pub LogStore);

impl Padded {
    async fn pad(&self) -> Result<(), AppendError> {
        let stream = StreamName::new("padding-1").expect("a valid name");
        let data = vec![b'p'; PADDING_BYTES].into();
        let event = EventData { data, ..factum_testkit::event("padded") };
        self.0.append(Append::to(stream, [event])).await.map(|_| ())
    }
}

impl EventStore for Padded {
    type Batches = LogBatches;

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.pad().await?;
        self.0.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<LogBatches>, ReadError> {
        self.0.read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<LogBatches, ReadError> {
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
        self.pad().await?;
        self.0.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.0.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.0.statistics().await
    }
}
