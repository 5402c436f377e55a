//! Batches as a stream: read when they are asked for, by whoever asks.

use super::Reader;
use crate::{
    error::{closed, unread},
    shared::{Follows, Shared},
};
use factum_core::{
    Batch, ReadError, Stream,
    pull::{Pulled, Source},
};
use sqlx::Connection;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Batches of a [`crate::SqliteStore`]. A slow consumer is a place in the store: it holds neither
/// a connection nor a transaction.
#[derive(Debug)]
pub struct SqliteBatches(Pulled<Batches>);

struct Batches {
    shared: Arc<Shared>,
    reader: Reader,
    _follows: Option<Follows>,
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batches")
    }
}

impl SqliteBatches {
    /// Of a subscription: nothing is read yet.
    pub(crate) fn new(follows: Follows, reader: Reader) -> Self {
        let shared = follows.shared().clone();
        Self(Pulled::new(Batches { shared, reader, _follows: Some(follows) }))
    }

    /// Of a read, with its first batch.
    pub(crate) fn begun(shared: Arc<Shared>, reader: Reader, first: Batch) -> Self {
        Self(Pulled::begun(Batches { shared, reader, _follows: None }, first))
    }
}

impl Source for Batches {
    fn is_live(&self) -> bool {
        self.reader.is_live()
    }

    async fn next(&mut self, behind: Option<u64>) -> Result<Batch, ReadError> {
        if let Some(behind) = behind
            && !self.shared.passes(behind).await
        {
            return Err(closed());
        }
        let mut lease = self.shared.readers.lease().await?;
        match in_transaction(&self.shared, &mut lease, &mut self.reader).await {
            Ok(batch) => Ok(batch),
            Err(error) => {
                lease.spoil();
                Err(unread(&error))
            }
        }
    }
}

async fn in_transaction(
    shared: &Shared,
    connection: &mut sqlx::SqliteConnection,
    reader: &mut Reader,
) -> Result<Batch, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let batch = reader.next_batch(&mut transaction, shared).await?;
    transaction.commit().await?;
    Ok(batch)
}

impl Stream for SqliteBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}
