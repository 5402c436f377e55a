//! Append: the options, then events, one by one; nothing is written before the client has closed
//! its side. Also what a batch append shares with it.

use super::{
    errors,
    events::{Proposed, stream_in},
    expected::{self, Expectation},
};
use crate::{context::Context, gate::Permit, inbound::Meter};
use factum_core::{
    Append, AppendError, EventData, EventStore, Expected, Found, Freshness, Read, ReadError,
    StreamName, StreamState,
};
use factum_proto::event_store::client::{
    Empty,
    streams::{
        AppendReq, AppendResp, append_req,
        append_resp::{self, success},
    },
};
use tonic::{Request, Status, Streaming};

/// An append to one stream that is being put together.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) stream: StreamName,
    pub(super) expected: Expectation,
    events: Vec<EventData>,
    bytes: usize,
    room: Permit,
}

/// What became of an append.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is written, or was before. Without events there is no position.
    Written { revision: Option<u64>, position: Option<u64> },
    /// The stream is at another revision.
    Wrong { current: Option<u64> },
}

impl Draft {
    pub(super) fn new(context: &Context, stream: StreamName, expected: Expectation) -> Self {
        let room = context.gate.append_bytes.nothing();
        Self { stream, expected, events: Vec::new(), bytes: 0, room }
    }

    /// Adds an event, where it fits.
    pub(super) fn add(&mut self, context: &Context, proposed: Proposed) -> Result<(), Status> {
        let limits = &context.store.capabilities().limits;
        if !self.room.grow(proposed.weight()) {
            return Err(errors::busy());
        }
        let event = proposed.event(limits.event_bytes_max)?;
        self.bytes += event.weight();
        if self.bytes > limits.append_bytes_max {
            return Err(errors::append_too_large(limits.append_bytes_max));
        }
        self.events.push(event);
        Ok(())
    }

    /// Hands it to the store.
    pub(super) async fn execute(self, context: &Context) -> Result<Outcome, AppendError> {
        let Self { stream, expected, events, room: _room, .. } = self;
        if events.is_empty() {
            return nothing(context, stream, expected).await;
        }
        let mut append = Append::to(stream.clone(), events);
        if let Some(expected) = expected.check() {
            append = append.expecting(stream.clone(), expected);
        }
        match context.store.append(append).await {
            Ok(receipt) => Ok(Outcome::Written {
                revision: receipt.streams.first().map(|written| written.last.0),
                position: Some(receipt.position.0),
            }),
            // That it exists, of a deleted stream: this protocol says that it is deleted.
            Err(AppendError::Conflict {
                found: Found::Stream(StreamState::Deleted { .. }),
                ..
            }) if expected.check() == Some(Expected::Exists) => {
                Err(AppendError::Tombstoned { stream })
            }
            Err(AppendError::Conflict { found, .. }) => {
                Ok(Outcome::Wrong { current: errors::current(found) })
            }
            // The protocol's answer where only some of the ids are known.
            Err(AppendError::IdReused { .. }) => {
                let found = Found::Stream(state(context, stream).await?);
                Ok(Outcome::Wrong { current: errors::current(found) })
            }
            Err(error) => Err(error),
        }
    }
}

/// An append without events: the protocol allows it, and answers where the stream is.
async fn nothing(
    context: &Context,
    stream: StreamName,
    expected: Expectation,
) -> Result<Outcome, AppendError> {
    let state = state(context, stream.clone()).await?;
    let current = errors::current(Found::Stream(state));
    let holds = match (expected.check(), state) {
        (_, StreamState::Tombstoned) | (Some(Expected::Exists), StreamState::Deleted { .. }) => {
            return Err(AppendError::Tombstoned { stream });
        }
        (None, _) => true,
        (Some(Expected::NoStream), state) => {
            matches!(state, StreamState::Absent | StreamState::Deleted { .. })
        }
        (Some(Expected::Exists), state) => matches!(state, StreamState::Live { .. }),
        (Some(Expected::At(at)), _) => current == Some(at.0),
    };
    if holds {
        Ok(Outcome::Written { revision: current, position: None })
    } else {
        Ok(Outcome::Wrong { current })
    }
}

/// What a stream is now.
pub(super) async fn state(
    context: &Context,
    stream: StreamName,
) -> Result<StreamState, AppendError> {
    let read = Read { limit: Some(0), freshness: Freshness::Current, ..Read::stream(stream) };
    match context.store.read(read).await {
        Ok(reading) => Ok(reading.state.unwrap_or(StreamState::Absent)),
        Err(ReadError::Overloaded) => Err(AppendError::Overloaded),
        Err(error) => Err(AppendError::Unavailable { why: error.to_string().into() }),
    }
}

/// The whole call.
pub(super) async fn append(
    context: &Context,
    request: Request<Streaming<AppendReq>>,
) -> Result<AppendResp, Status> {
    let meter = request.extensions().get::<Meter>().cloned();
    let mut requests = request.into_inner();
    let mut draft = None;
    while let Some(request) = requests.message().await? {
        if let Some(meter) = &meter {
            meter.decoded();
        }
        match (request.content, &mut draft) {
            (Some(append_req::Content::Options(options)), None) => {
                let stream = stream_in(options.stream_identifier)?;
                let expected = expected::of_append(options.expected_stream_revision)?;
                draft = Some(Draft::new(context, stream, expected));
            }
            (Some(append_req::Content::ProposedMessage(message)), Some(draft)) => {
                draft.add(context, proposed(message))?;
            }
            (Some(append_req::Content::Options(_)), Some(_)) => {
                return Err(errors::invalid("the options came twice: send them once, first"));
            }
            (Some(append_req::Content::ProposedMessage(_)), None) => {
                return Err(errors::invalid("an event came before the options"));
            }
            (None, _) => return Err(errors::required("content")),
        }
    }
    let draft = draft.ok_or_else(|| errors::invalid("the options are missing"))?;
    let expected = draft.expected;
    let outcome = draft.execute(context).await.map_err(|error| errors::of_append(&error))?;
    Ok(answer(outcome, expected))
}

fn proposed(message: append_req::ProposedMessage) -> Proposed {
    let append_req::ProposedMessage { id, metadata, custom_metadata, data } = message;
    Proposed { id, metadata, custom_metadata, data }
}

fn answer(outcome: Outcome, expected: Expectation) -> AppendResp {
    use success::{CurrentRevisionOption as Current, PositionOption};
    let result = match outcome {
        Outcome::Wrong { current } => {
            append_resp::Result::WrongExpectedVersion(expected::wrong_in_band(expected, current))
        }
        Outcome::Written { revision, position } => {
            let current = revision.map_or(Current::NoStream(Empty {}), Current::CurrentRevision);
            let position = position.map_or(PositionOption::NoPosition(Empty {}), |position| {
                PositionOption::Position(append_resp::Position {
                    commit_position: position,
                    prepare_position: position,
                })
            });
            append_resp::Result::Success(append_resp::Success {
                current_revision_option: Some(current),
                position_option: Some(position),
            })
        }
    };
    AppendResp { result: Some(result) }
}
