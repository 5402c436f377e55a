//! BatchAppend: many appends on one call, each under its correlation id, in pieces, answered as
//! they are done. An append that is refused ends itself, not the call.
//!
//! As in `factum.v1`'s own bidirectional append, one stream does both directions, and appends reach
//! the store in the order in which they became complete.

use super::{
    append::{Draft, Outcome},
    errors,
    events::{Proposed, id_in, stream_in, stream_out},
    expected::{self, Expectation},
};
use crate::{clock, context::Context, grpc, inbound::Meter};
use factum_core::{AppendError, StreamName, Uuid};
use factum_proto::{
    event_store::client::{
        self as shared, AllStreamPosition,
        streams::{
            BatchAppendReq, BatchAppendResp,
            batch_append_req::{Options, ProposedMessage, options::DeadlineOption},
            batch_append_resp::{Result as Told, Success, success},
        },
    },
    google::rpc,
};
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Request, Status, Streaming};

type InFlight = Pin<Box<dyn Future<Output = BatchAppendResp> + Send>>;

/// The answers of one call.
pub(crate) struct BatchAppend {
    context: Context,
    requests: Streaming<BatchAppendReq>,
    meter: Option<Meter>,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Begun, not complete.
    open: HashMap<Uuid, Open>,
    in_flight: FuturesUnordered<InFlight>,
    answers: VecDeque<BatchAppendResp>,
    /// No more requests: how the call is to end.
    end: Option<Result<(), Status>>,
}

struct Open {
    draft: Draft,
    deadline: Option<Instant>,
}

impl BatchAppend {
    pub(super) fn new(context: Context, request: Request<Streaming<BatchAppendReq>>) -> Self {
        Self {
            drained: Box::pin(context.drain.clone().cancelled_owned()),
            context,
            meter: request.extensions().get::<Meter>().cloned(),
            requests: request.into_inner(),
            open: HashMap::new(),
            in_flight: FuturesUnordered::new(),
            answers: VecDeque::new(),
            end: None,
        }
    }

    /// Takes in what is there, within the limit.
    fn take_in(&mut self, task: &mut TaskContext<'_>) {
        let max = self.context.config.limits.appends_per_call_max;
        while self.end.is_none() && self.in_flight.len() < max && self.answers.len() < max {
            if self.drained.as_mut().poll(task).is_ready() {
                self.end = Some(Err(grpc::draining()));
                return;
            }
            match Pin::new(&mut self.requests).poll_next(task) {
                Poll::Pending => return,
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Ready(Some(Err(status))) => self.end = Some(Err(status)),
                Poll::Ready(Some(Ok(request))) => {
                    if let Some(meter) = &self.meter {
                        meter.decoded();
                    }
                    let correlation = request.correlation_id.clone();
                    if let Err(refused) = self.receive(request, task) {
                        self.answers.push_back(refused.answer(correlation));
                    }
                }
            }
        }
    }

    /// One piece of one append.
    fn receive(
        &mut self,
        request: BatchAppendReq,
        task: &mut TaskContext<'_>,
    ) -> Result<(), Refused> {
        let BatchAppendReq { correlation_id, options, proposed_messages, is_final } = request;
        let id = id_in(correlation_id.clone()).map_err(Refused::bad)?;
        let id = id.ok_or_else(|| Refused::bad(errors::required("correlation_id")))?;
        if let Some(options) = options {
            self.begin(id, options)?;
        }
        // What was refused before is not answered twice.
        let Entry::Occupied(mut open) = self.open.entry(id) else {
            return Ok(());
        };
        for message in proposed_messages {
            let added = open.get_mut().draft.add(&self.context, proposed(message));
            if let Err(status) = added {
                let stream = open.remove().draft.stream;
                return Err(Refused { stream: Some(stream), error: of_status(&status) });
            }
        }
        if is_final {
            let open = open.remove();
            let answer = complete(self.context.clone(), correlation_id, open);
            self.submit(Box::pin(answer), task);
        }
        Ok(())
    }

    /// The first piece of an append. Options that come again are those of the first piece.
    fn begin(&mut self, id: Uuid, options: Options) -> Result<(), Refused> {
        let stream = stream_in(options.stream_identifier).map_err(Refused::bad)?;
        let refused = |error| Refused { stream: Some(stream.clone()), error };
        let expected = expected::of_batch(options.expected_stream_position);
        let expected = expected.map_err(|status| refused(bad_request(status.message())))?;
        let deadline = deadline(options.deadline_option).map_err(|Over| refused(timeout()))?;
        let max = self.context.config.limits.open_appends_per_call_max;
        if self.open.len() >= max && !self.open.contains_key(&id) {
            return Err(refused(of_status(&errors::busy())));
        }
        let context = &self.context;
        self.open
            .entry(id)
            .or_insert_with(|| Open { draft: Draft::new(context, stream, expected), deadline });
        Ok(())
    }

    /// Hands an append to the store: its first poll submits it.
    fn submit(&mut self, mut answer: InFlight, task: &mut TaskContext<'_>) {
        match answer.as_mut().poll(task) {
            Poll::Ready(answer) => self.answers.push_back(answer),
            Poll::Pending => self.in_flight.push(answer),
        }
    }
}

impl Stream for BatchAppend {
    type Item = Result<BatchAppendResp, Status>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.take_in(task);
        while let Poll::Ready(Some(answer)) = Pin::new(&mut this.in_flight).poll_next(task) {
            this.answers.push_back(answer);
            // What was done made room: look at the requests again, or nobody would wake us.
            this.take_in(task);
        }
        if let Some(answer) = this.answers.pop_front() {
            return Poll::Ready(Some(Ok(answer)));
        }
        if !this.in_flight.is_empty() {
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

/// An append that is not even handed to the store.
struct Refused {
    stream: Option<StreamName>,
    error: rpc::Status,
}

impl Refused {
    fn bad(status: Status) -> Self {
        Self { stream: None, error: bad_request(status.message()) }
    }

    fn answer(self, correlation_id: Option<shared::Uuid>) -> BatchAppendResp {
        BatchAppendResp {
            correlation_id,
            stream_identifier: self.stream.as_ref().map(stream_out),
            result: Some(Told::Error(self.error)),
            expected_stream_position: None,
        }
    }
}

fn proposed(message: ProposedMessage) -> Proposed {
    let ProposedMessage { id, metadata, custom_metadata, data } = message;
    Proposed { id, metadata, custom_metadata, data }
}

/// The client's time was over before it began.
struct Over;

fn deadline(option: Option<DeadlineOption>) -> Result<Option<Instant>, Over> {
    let left_ns = match option {
        None => return Ok(None),
        Some(DeadlineOption::Deadline(left)) => {
            i128::from(left.seconds) * 1_000_000_000 + i128::from(left.nanos)
        }
        Some(DeadlineOption::Deadline21100(at)) => {
            let at_ns = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
            at_ns - i128::from(clock::now_ns())
        }
    };
    let left_ns = u64::try_from(left_ns.min(i128::from(u64::MAX))).unwrap_or(0);
    if left_ns == 0 {
        return Err(Over);
    }
    // A time that no clock reaches is no deadline.
    Ok(Instant::now().checked_add(Duration::from_nanos(left_ns)))
}

async fn complete(
    context: Context,
    correlation_id: Option<shared::Uuid>,
    open: Open,
) -> BatchAppendResp {
    let Open { draft, deadline } = open;
    let (stream, expected) = (draft.stream.clone(), draft.expected);
    let outcome = match deadline {
        None => Some(draft.execute(&context).await),
        Some(at) if at <= Instant::now() => None,
        Some(at) => timeout_at(at, draft.execute(&context)).await.ok(),
    };
    let result = match outcome {
        None => Told::Error(timeout()),
        Some(outcome) => told(outcome, expected),
    };
    BatchAppendResp {
        correlation_id,
        stream_identifier: Some(stream_out(&stream)),
        result: Some(result),
        expected_stream_position: None,
    }
}

fn told(outcome: Result<Outcome, AppendError>, expected: Expectation) -> Told {
    use success::{CurrentRevisionOption as Current, PositionOption};
    match outcome {
        Ok(Outcome::Written { revision, position }) => {
            let position = position.map_or(PositionOption::NoPosition(()), |position| {
                PositionOption::Position(AllStreamPosition {
                    commit_position: position,
                    prepare_position: position,
                })
            });
            let current = revision.map_or(Current::NoStream(()), Current::CurrentRevision);
            Told::Success(Success {
                current_revision_option: Some(current),
                position_option: Some(position),
            })
        }
        Ok(Outcome::Wrong { current }) => {
            let wrong = expected::wrong_detail(expected, current);
            Told::Error(error(Code::AlreadyExists, "WrongExpectedVersion", &wrong))
        }
        Err(refused) => Told::Error(of_append(&refused)),
    }
}

fn of_append(refused: &AppendError) -> rpc::Status {
    match refused {
        AppendError::Tombstoned { stream } => {
            let deleted = shared::StreamDeleted { stream_identifier: Some(stream_out(stream)) };
            error(Code::NotFound, "StreamDeleted", &deleted)
        }
        AppendError::Unknown { .. } => timeout(),
        other => of_status(&errors::of_append(other)),
    }
}

/// A status of the unary calls, as a batch tells it.
fn of_status(status: &Status) -> rpc::Status {
    let max = status.metadata().get("maximum-append-size");
    let max = max.and_then(|max| max.to_str().ok()?.parse().ok());
    match (status.code(), max) {
        (_, Some(max_append_size)) => {
            let detail = shared::MaximumAppendSizeExceeded { max_append_size };
            error(Code::InvalidArgument, "MaximumAppendSizeExceeded", &detail)
        }
        (Code::InvalidArgument, None) => bad_request(status.message()),
        (code, None) => rpc::Status {
            code: code as i32,
            message: status.message().to_owned(),
            details: Some(prost_types::Any {
                type_url: "type.googleapis.com/google.protobuf.Empty".into(),
                value: Vec::new(),
            }),
        },
    }
}

fn bad_request(message: &str) -> rpc::Status {
    let detail = shared::BadRequest { message: message.to_owned() };
    error(Code::InvalidArgument, "BadRequest", &detail)
}

fn timeout() -> rpc::Status {
    error(Code::DeadlineExceeded, "Timeout", &shared::Timeout {})
}

fn error<M: Message + prost::Name>(code: Code, message: &str, detail: &M) -> rpc::Status {
    rpc::Status {
        code: code as i32,
        message: message.to_owned(),
        details: Some(prost_types::Any { type_url: M::type_url(), value: detail.encode_to_vec() }),
    }
}
