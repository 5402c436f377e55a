//! Batches as a stream: read when they are asked for, by whoever asks.

use super::Cursor;
use crate::{
    error::{closed, unread},
    shared::{Follows, Shared},
};
use factum_core::{Batch, ReadError, Stream};
use sqlx::Connection;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

type Answer = Result<Batch, ReadError>;
type Reading = Pin<Box<dyn Future<Output = (Box<Cursor>, Answer)> + Send>>;

/// Where a consumer stands.
enum State {
    /// A batch was read and is to be given out.
    Read(Box<Cursor>, Answer),
    /// Nothing is read until it is asked for; behind this position, where one is given.
    Idle(Box<Cursor>, Option<u64>),
    Reading(Reading),
    Ended,
}

/// Batches of a [`crate::SqliteStore`]. A slow consumer is a place in the store: it holds neither
/// a connection nor a transaction.
pub struct SqliteBatches {
    shared: Arc<Shared>,
    state: State,
    _follows: Option<Follows>,
}

impl fmt::Debug for SqliteBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteBatches")
    }
}

impl SqliteBatches {
    /// Of a subscription: nothing is read yet.
    pub(crate) fn new(follows: Follows, cursor: Cursor) -> Self {
        let (shared, state) = (follows.shared().clone(), State::Idle(Box::new(cursor), None));
        Self { shared, state, _follows: Some(follows) }
    }

    /// Of a read, with its first batch.
    pub(crate) fn begun(shared: Arc<Shared>, cursor: Cursor, first: Batch) -> Self {
        Self { shared, state: State::Read(Box::new(cursor), Ok(first)), _follows: None }
    }

    /// What follows after a batch is given out.
    fn after(cursor: Box<Cursor>, batch: &Batch) -> State {
        match (batch.caught_up, cursor.is_live()) {
            (false, _) => State::Idle(cursor, None),
            (true, true) => State::Idle(cursor, Some(batch.through.0)),
            (true, false) => State::Ended,
        }
    }
}

async fn read(
    shared: Arc<Shared>,
    mut cursor: Box<Cursor>,
    seen: Option<u64>,
) -> (Box<Cursor>, Answer) {
    if let Some(seen) = seen
        && !shared.passes(seen).await
    {
        return (cursor, Err(closed()));
    }
    let answer = next_batch(&shared, &mut cursor).await;
    (cursor, answer)
}

async fn next_batch(shared: &Shared, cursor: &mut Cursor) -> Answer {
    let mut lease = shared.readers.lease().await?;
    match in_transaction(shared, &mut lease, cursor).await {
        Ok(batch) => Ok(batch),
        Err(error) => {
            lease.spoil();
            Err(unread(&error))
        }
    }
}

async fn in_transaction(
    shared: &Shared,
    connection: &mut sqlx::SqliteConnection,
    cursor: &mut Cursor,
) -> Result<Batch, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let batch = cursor.next_batch(&mut transaction, shared).await?;
    transaction.commit().await?;
    Ok(batch)
}

impl Stream for SqliteBatches {
    type Item = Answer;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Read(_, Err(error)) => return Poll::Ready(Some(Err(error))),
                State::Read(cursor, Ok(batch)) => {
                    this.state = Self::after(cursor, &batch);
                    return Poll::Ready(Some(Ok(batch)));
                }
                State::Idle(cursor, seen) => {
                    this.state = State::Reading(Box::pin(read(this.shared.clone(), cursor, seen)));
                }
                State::Reading(mut reading) => match reading.as_mut().poll(context) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready((cursor, answer)) => this.state = State::Read(cursor, answer),
                },
            }
        }
    }
}
