//! Batches as a stream: read when they are asked for, by whoever asks.

use super::next_batch;
use crate::{
    shared::Shared,
    tail::{self, Follows},
};
use factum_core::{
    Batch, ReadError, Stream,
    cursor::Cursor,
    pull::{Pulled, Source},
};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Batches of a [`crate::PostgresStore`]. A slow consumer is a place in the store: it holds neither
/// a connection nor a transaction.
#[derive(Debug)]
pub struct PostgresBatches(Pulled<Batches>);

struct Batches {
    shared: Arc<Shared>,
    cursor: Cursor,
    /// Of a subscription: the settled head that it reads up to now, once it is known.
    until: Option<u64>,
    follows: Option<Follows>,
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batches")
    }
}

impl PostgresBatches {
    /// Of a subscription: nothing is read yet.
    pub(crate) fn new(follows: Follows, cursor: Cursor) -> Self {
        let (shared, follows) = (follows.shared().clone(), Some(follows));
        Self(Pulled::new(Batches { shared, cursor, until: None, follows }))
    }

    /// Of a read, with its first batch.
    pub(crate) fn begun(shared: Arc<Shared>, cursor: Cursor, first: Batch) -> Self {
        let until = cursor.until();
        Self(Pulled::begun(Batches { shared, cursor, until, follows: None }, first))
    }
}

impl Source for Batches {
    fn is_live(&self) -> bool {
        self.cursor.is_live()
    }

    async fn next(&mut self, behind: Option<u64>) -> Result<Batch, ReadError> {
        if let (Some(behind), Some(follows)) = (behind, &self.follows) {
            self.until = Some(follows.passes(behind).await?);
        }
        let (shared, cursor, until) = (&self.shared, &mut self.cursor, &mut self.until);
        let reading = shared.read(async |connection| {
            let upto = match *until {
                Some(upto) => upto,
                None => tail::settled(shared, connection).await?.head,
            };
            *until = Some(upto);
            next_batch(shared, connection, (cursor, upto)).await
        });
        reading.await
    }
}

impl Stream for PostgresBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}
