//! `AppendStream`: many appends in flight on one call, each answered by its tag.
//!
//! One stream does both directions: while it is polled for answers it takes in what the client has
//! sent, up to the limit in flight; what is over that stays unread, and HTTP/2 holds the client
//! back. Each append is handed to the store in the order in which it came, and before the next is
//! looked at, so that a client may send an append that expects what the one before it writes.

use super::{
    answer, append,
    error::{Problem, detail},
};
use crate::{context::Context, grpc, inbound::Meter};
use factum_proto::factum::v1::{
    AppendStreamRequest, AppendStreamResponse,
    append_stream_request::Tagged,
    append_stream_response::{Answer, answer::Result as Outcome},
};
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Request, Status, Streaming};

/// Answers in one message.
const ANSWERS_MAX: usize = 1_024;

type InFlight = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The answers of one call.
pub(crate) struct AppendStream {
    context: Context,
    requests: Streaming<AppendStreamRequest>,
    meter: Option<Meter>,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Received, not yet handed to the store.
    received: VecDeque<Tagged>,
    in_flight: FuturesUnordered<InFlight>,
    /// No more requests: how the call is to end.
    end: Option<Result<(), Status>>,
}

impl AppendStream {
    pub(super) fn new(context: Context, request: Request<Streaming<AppendStreamRequest>>) -> Self {
        Self {
            drained: Box::pin(context.drain.clone().cancelled_owned()),
            context,
            meter: request.extensions().get::<Meter>().cloned(),
            requests: request.into_inner(),
            received: VecDeque::new(),
            in_flight: FuturesUnordered::new(),
            end: None,
        }
    }

    /// Takes in what is there, within the limit.
    fn take_in(&mut self, task: &mut TaskContext<'_>, answers: &mut Vec<Answer>) {
        let max = self.context.config.limits.appends_per_call_max;
        while self.in_flight.len() < max && answers.len() < ANSWERS_MAX {
            if let Some(tagged) = self.received.pop_front() {
                self.count_received();
                self.submit(tagged, task, answers);
            } else if !self.receive(task) {
                return;
            }
        }
    }

    /// What is handed to the store is counted there; what waits here, as received.
    fn count_received(&self) {
        if let Some(meter) = self.meter.as_ref().filter(|_| self.received.is_empty()) {
            meter.decoded();
        }
    }

    /// Hands an append to the store: its first poll submits it.
    fn submit(&mut self, tagged: Tagged, task: &mut TaskContext<'_>, answers: &mut Vec<Answer>) {
        let context = self.context.clone();
        let mut answer: InFlight = Box::pin(answer_one(context, tagged));
        match answer.as_mut().poll(task) {
            Poll::Ready(answer) => answers.push(answer),
            Poll::Pending => self.in_flight.push(answer),
        }
    }

    /// Whether something was received.
    fn receive(&mut self, task: &mut TaskContext<'_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        if self.drained.as_mut().poll(task).is_ready() {
            self.end = Some(Err(grpc::draining()));
            return false;
        }
        match Pin::new(&mut self.requests).poll_next(task) {
            Poll::Pending => return false,
            Poll::Ready(None) => self.end = Some(Ok(())),
            Poll::Ready(Some(Err(status))) => self.end = Some(Err(status)),
            Poll::Ready(Some(Ok(request))) => {
                self.received.extend(request.appends);
                self.count_received();
                return true;
            }
        }
        false
    }
}

async fn answer_one(context: Context, tagged: Tagged) -> Answer {
    let Tagged { tag, append: request } = tagged;
    let outcome = match request {
        Some(request) => append(&context, request).await,
        None => Err(Problem::Request("the append is missing".into())),
    };
    let result = match outcome {
        Ok(receipt) => Outcome::Receipt(answer::receipt(receipt)),
        Err(problem) => Outcome::Error(detail(&problem)),
    };
    Answer { tag, result: Some(result) }
}

impl Stream for AppendStream {
    type Item = Result<AppendStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut answers = Vec::new();
        loop {
            this.take_in(task, &mut answers);
            let before = answers.len();
            while answers.len() < ANSWERS_MAX
                && let Poll::Ready(Some(answer)) = Pin::new(&mut this.in_flight).poll_next(task)
            {
                answers.push(answer);
            }
            // What was done made room: look at the requests again, or nobody would wake us.
            if answers.len() == before || answers.len() >= ANSWERS_MAX {
                break;
            }
        }
        if !answers.is_empty() {
            return Poll::Ready(Some(Ok(AppendStreamResponse { answers })));
        }
        if !this.in_flight.is_empty() || !this.received.is_empty() {
            return Poll::Pending;
        }
        match &mut this.end {
            None => Poll::Pending,
            Some(end) => match std::mem::replace(end, Ok(())) {
                Ok(()) => Poll::Ready(None),
                Err(status) => Poll::Ready(Some(Err(status))),
            },
        }
    }
}
