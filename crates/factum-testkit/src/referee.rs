//! A store that watches another: whatever a case does, these rules hold.
//!
//! Apart from the cases, so that each of them checks them all. Two kinds: what a store declares it
//! cannot do, it refuses with nothing written ([`features`]); and what every answer must be like
//! ([`batches`], [`receipt`]).

mod batches;
mod features;
mod receipt;

use crate::trial::Refusal;
use batches::{Refereed, Rules};
use factum_core::{
    AnyStore, Append, AppendError, Capabilities, Change, EventStore, Expected, Freshness, Position,
    Read, ReadError, Reading, Receipt, RecordedEvent, Select, Statistics, StreamMetadata,
    StreamName, Subscribe,
};

/// The watched store.
pub(crate) struct Referee {
    inner: AnyStore,
    refusal: Refusal,
}

impl Referee {
    pub(crate) fn new(inner: AnyStore, refusal: Refusal) -> Self {
        Self { inner, refusal }
    }

    /// Judges the answer to a read that the store declares it cannot do.
    async fn refused_read<T>(&self, feature: &str, result: Result<T, ReadError>) -> ReadError {
        match result {
            Err(ReadError::Unsupported { .. }) => self.refusal.declare(feature).await,
            Ok(_) => panic!("the store declares no {feature}, and yet answered: it must refuse"),
            Err(error) => error,
        }
    }

    /// Makes an append that the store declares it cannot do, and judges the answer.
    async fn refused_append(&self, feature: &str, append: Append) -> Result<Receipt, AppendError> {
        let before = self.inner.head().await.expect("the head can be read");
        match self.inner.append(append.clone()).await {
            Err(AppendError::Unsupported { .. }) => {
                self.nothing_of(&append, before).await;
                self.refusal.declare(feature).await
            }
            Err(error @ (AppendError::Invalid(_) | AppendError::TooLarge { .. })) => Err(error),
            other => panic!("the store declares no {feature}, but answered {other:?}: must refuse"),
        }
    }

    async fn nothing_of(&self, append: &Append, before: Position) {
        for (stream, event) in &append.events {
            let read = Read { freshness: Freshness::Current, ..Read::stream(stream.clone()) };
            let reading = self.inner.read(read).await.expect("a stream can be read");
            let stored = reading.events().await.expect("a stream can be read to its end");
            let is_it = |new: &&RecordedEvent| new.position() > before && new.id() == event.id;
            let leaked = stored.iter().find(is_it);
            assert!(leaked.is_none(), "refused as Unsupported, and yet written: {leaked:?}");
        }
    }
}

impl EventStore for Referee {
    type Batches = Refereed;

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        if let Some(feature) = features::missing_for_append(&append, self.capabilities()) {
            return self.refused_append(feature, append).await;
        }
        let asked = append.clone();
        let result = self.inner.append(append).await;
        if let Ok(receipt) = &result {
            receipt::check(&asked, receipt);
        }
        result
    }

    async fn read(&self, read: Read) -> Result<Reading<Refereed>, ReadError> {
        let result = self.inner.read(read.clone()).await;
        if let Some(feature) = features::missing_for_read(&read, self.capabilities()) {
            return Err(self.refused_read(feature, result).await);
        }
        let Reading { head, state, batches } = result?;
        let of_stream = matches!(read.select, Select::Stream(_));
        assert_eq!(state.is_some(), of_stream, "the state is told for streams, and only for them");
        assert!(read.at_least.is_none_or(|position| head >= position), "head below `at_least`");
        Ok(Reading { head, state, batches: Refereed::new(batches, Rules::of_read(read, head)) })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<Refereed, ReadError> {
        let result = self.inner.subscribe(subscribe.clone()).await;
        if let Some(feature) = features::missing_for_select(&subscribe.select, self.capabilities())
        {
            return Err(self.refused_read(feature, result).await);
        }
        Ok(Refereed::new(result?, Rules::of_subscription(subscribe)))
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
        let result = self.inner.tracked(source).await;
        if !self.capabilities().tracking {
            return Err(self.refused_read("tracking", result).await);
        }
        result
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.inner.statistics().await
    }
}
