//! Batches that are read when they are asked for, by whoever asks: a stream of futures.
//!
//! Apart from the stores, so that all that read this way agree on when a read ends, and when one
//! that follows has to wait. A slow consumer is a place in the store: nothing is held for it.

use crate::{Batch, ReadError};
use futures_core::Stream;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

type Answer = Result<Batch, ReadError>;

/// What batches are read from.
pub trait Source: Send + 'static {
    /// Whether it goes on for ever.
    fn is_live(&self) -> bool;

    /// Reads the next batch; behind a position, where one is given: it is waited for then.
    fn next(&mut self, behind: Option<u64>) -> impl Future<Output = Answer> + Send;
}

/// Where a consumer stands.
enum State<S> {
    /// A batch was read and is to be given out.
    Read(Box<S>, Answer),
    /// Nothing is read until it is asked for; behind this position, where one is given.
    Idle(Box<S>, Option<u64>),
    Reading(Pin<Box<dyn Future<Output = (Box<S>, Answer)> + Send>>),
    Ended,
}

/// Batches of a source. The first error ends them.
pub struct Pulled<S>(State<S>);

impl<S> fmt::Debug for Pulled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulled")
    }
}

impl<S: Source> Pulled<S> {
    /// Nothing is read yet.
    pub fn new(source: S) -> Self {
        Self(State::Idle(Box::new(source), None))
    }

    /// With the first batch.
    pub fn begun(source: S, first: Batch) -> Self {
        Self(State::Read(Box::new(source), Ok(first)))
    }

    /// What follows after a batch is given out.
    fn after(source: Box<S>, batch: &Batch) -> State<S> {
        match (batch.caught_up, source.is_live()) {
            (false, _) => State::Idle(source, None),
            (true, true) => State::Idle(source, Some(batch.through.0)),
            (true, false) => State::Ended,
        }
    }
}

async fn read<S: Source>(mut source: Box<S>, behind: Option<u64>) -> (Box<S>, Answer) {
    let answer = source.next(behind).await;
    (source, answer)
}

impl<S: Source> Stream for Pulled<S> {
    type Item = Answer;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.0, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Read(_, Err(error)) => return Poll::Ready(Some(Err(error))),
                State::Read(source, Ok(batch)) => {
                    this.0 = Self::after(source, &batch);
                    return Poll::Ready(Some(Ok(batch)));
                }
                State::Idle(source, behind) => {
                    this.0 = State::Reading(Box::pin(read(source, behind)));
                }
                State::Reading(mut reading) => match reading.as_mut().poll(context) {
                    Poll::Pending => {
                        this.0 = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready((source, answer)) => this.0 = State::Read(source, answer),
                },
            }
        }
    }
}

impl<S> Unpin for Pulled<S> {}
