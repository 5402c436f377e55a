//! Batches as a stream: one is read ahead on a reader's thread, and no more.

use super::{closed, pool::Pool};
use crate::{
    Reader,
    read::{Cursor, Waiter},
};
use factum_core::{Batch, Position, ReadError, Stream, completion::Completion};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

type Answer = Result<Batch, ReadError>;

/// Where a consumer stands.
#[derive(Debug)]
enum State {
    /// A batch was read and is to be given out.
    Read(Box<Cursor>, Answer),
    /// The cursor is to be sent to read.
    Idle(Box<Cursor>),
    /// A thread is reading.
    Reading(Completion<(Box<Cursor>, Answer)>),
    /// Everything up to here was given out.
    CaughtUp(Box<Cursor>, Position),
    /// Reading on was refused: the consumer is told next.
    Failed(ReadError),
    Ended,
}

/// Batches of a [`super::LogStore`].
#[derive(Debug)]
pub struct LogBatches {
    pool: Arc<Pool>,
    reader: Reader,
    waiter: Waiter,
    state: State,
}

impl LogBatches {
    pub(super) fn new(pool: &Arc<Pool>, reader: &Reader, cursor: Cursor) -> Self {
        let state = State::Idle(Box::new(cursor));
        Self { pool: pool.clone(), reader: reader.clone(), waiter: reader.waiter(), state }
    }

    pub(super) fn begun(pool: &Arc<Pool>, reader: &Reader, cursor: Cursor, first: Answer) -> Self {
        let state = State::Read(Box::new(cursor), first);
        Self { pool: pool.clone(), reader: reader.clone(), waiter: reader.waiter(), state }
    }

    fn send(&self, mut cursor: Box<Cursor>) -> Result<State, ReadError> {
        let completion = self.pool.run(move || {
            let answer = cursor.next_batch();
            (cursor, answer)
        })?;
        Ok(State::Reading(completion))
    }

    /// What follows after a batch is given out.
    fn after(&self, cursor: Box<Cursor>, batch: &Batch) -> State {
        match (batch.caught_up, cursor.is_live()) {
            (false, _) => self.send(cursor).unwrap_or_else(State::Failed),
            (true, true) => State::CaughtUp(cursor, batch.through),
            (true, false) => State::Ended,
        }
    }
}

impl Stream for LogBatches {
    type Item = Answer;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Failed(error) | State::Read(_, Err(error)) => {
                    return Poll::Ready(Some(Err(error)));
                }
                State::Read(cursor, Ok(batch)) => {
                    this.state = this.after(cursor, &batch);
                    return Poll::Ready(Some(Ok(batch)));
                }
                State::Idle(cursor) => match this.send(cursor) {
                    Ok(state) => this.state = state,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                State::Reading(mut completion) => match Pin::new(&mut completion).poll(context) {
                    Poll::Pending => {
                        this.state = State::Reading(completion);
                        return Poll::Pending;
                    }
                    Poll::Ready(None) => return Poll::Ready(Some(Err(closed()))),
                    Poll::Ready(Some((cursor, answer))) => this.state = State::Read(cursor, answer),
                },
                State::CaughtUp(cursor, seen) => {
                    if this.waiter.wait_past(seen, context.waker()) {
                        this.state = State::CaughtUp(cursor, seen);
                        return Poll::Pending;
                    }
                    if this.reader.head() <= seen {
                        return Poll::Ready(Some(Err(closed())));
                    }
                    this.state = State::Idle(cursor);
                }
            }
        }
    }
}
