//! The answers of reads and subscriptions, pulled from the connection batch by batch.
//!
//! What the consumer does not ask for stays on the server: HTTP/2's window of the call is all that
//! is read ahead.

use super::{columns, decode, refusal};
use factum_core::{Batch, Position, ReadError, Reading};
use factum_proto::factum::v1::{self, read_response::Content};
use futures_core::Stream;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tonic::{Status, Streaming};

/// Batches of a [`FactumClient`](super::FactumClient). Dropping them ends the call.
pub struct FactumBatches {
    answers: Answers,
    authority: Arc<str>,
    done: bool,
}

enum Answers {
    Read(Streaming<v1::ReadResponse>),
    Subscription(Streaming<v1::Batch>),
}

impl fmt::Debug for FactumBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactumBatches").field("done", &self.done).finish_non_exhaustive()
    }
}

impl FactumBatches {
    /// Waits for the start of the answer.
    pub(super) async fn of_read(
        mut answers: Streaming<v1::ReadResponse>,
        authority: Arc<str>,
    ) -> Result<Reading<Self>, ReadError> {
        let first = answers.message().await;
        let first = first.map_err(|status| refusal::read_error(&status, &authority))?;
        let Some(Content::Start(start)) = first.and_then(|first| first.content) else {
            return Err(decode::not_understood("a read that does not begin with its head"));
        };
        let batches = Self { answers: Answers::Read(answers), authority, done: false };
        Ok(Reading { head: Position(start.head), state: decode::state(start.state), batches })
    }

    pub(super) fn of_subscription(answers: Streaming<v1::Batch>, authority: Arc<str>) -> Self {
        Self { answers: Answers::Subscription(answers), authority, done: false }
    }

    fn item(&self, answer: Option<Result<v1::Batch, Status>>) -> Option<Result<Batch, ReadError>> {
        match answer {
            Some(Ok(batch)) => Some(columns::batch(batch)),
            Some(Err(status)) => Some(Err(refusal::read_error(&status, &self.authority))),
            None if matches!(self.answers, Answers::Read(_)) => None,
            None => Some(Err(ReadError::Unavailable {
                why: format!("{} ended the subscription", self.authority).into(),
            })),
        }
    }
}

impl Stream for FactumBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        let answer = match &mut this.answers {
            Answers::Read(answers) => ready!(Pin::new(answers).poll_next(context)).map(batch_of),
            Answers::Subscription(answers) => ready!(Pin::new(answers).poll_next(context)),
        };
        let item = this.item(answer);
        this.done = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

fn batch_of(answer: Result<v1::ReadResponse, Status>) -> Result<v1::Batch, Status> {
    match answer?.content {
        Some(Content::Batch(batch)) => Ok(batch),
        _ => Err(Status::unimplemented("a message that is no batch: is it of another release?")),
    }
}
