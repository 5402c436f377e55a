//! The answers of reads and subscriptions, gathered into batches as they are pulled.
//!
//! The protocol sends an event a message. What has arrived becomes one batch; what the consumer
//! does not ask for stays on the server, but for HTTP/2's window.

use super::{
    call::{Ask, Calls},
    decode::{Decoded, Gathered},
    refusal,
};
use factum_core::{Batch, Direction, Position, Query, ReadError, Revision, StreamName};
use factum_proto::event_store::client::streams::{
    ReadResp,
    read_resp::{Content, ReadEvent},
};
use futures_core::Stream;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tonic::{Status, Streaming};

/// After so many messages a checkpoint is told, though more are there.
const LOOKED_AT_MAX: u32 = 4096;

/// What of the server's answer is wanted.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// A stream's events after a revision.
    Stream { stream: StreamName, after: Option<Revision> },
    /// What a query selects.
    Query(Query),
}

/// How far an answer goes.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    /// To the end of a snapshot.
    Read { direction: Direction, left: u64, until: Until },
    /// For ever.
    Follow {
        /// Tells the last event of what is followed.
        last: Ask,
    },
}

/// Where the snapshot ends: what came later is not in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) head: Position,
    /// Of a read of one stream.
    pub(super) last: Option<Revision>,
}

/// What is pulled from.
pub(super) enum Source {
    /// There is nothing to read.
    Nothing,
    /// The call is being made.
    Opening(Pin<Box<dyn Future<Output = Result<Streaming<ReadResp>, Status>> + Send>>),
    Open(Box<Streaming<ReadResp>>),
}

/// What follows when a source has ended: the events after a head.
pub(super) struct Then {
    pub(super) ask: Ask,
    pub(super) head: Position,
}

/// A subscription that has caught up.
#[derive(Default)]
struct Live {
    /// What has to be reached before it has caught up again; none while it has.
    goal: Option<Goal>,
}

enum Goal {
    /// Something came.
    Unknown,
    Asked(Pin<Box<dyn Future<Output = Result<Position, ReadError>> + Send>>),
    /// The last event that the server selected, when it was asked.
    At(Position),
}

/// Batches of a [`KurrentClient`](super::KurrentClient). Dropping them ends the call.
pub struct KurrentBatches {
    calls: Calls,
    source: Source,
    then: Option<Then>,
    wanted: Wanted,
    mode: Mode,
    live: Option<Live>,
    gathered: Gathered,
    /// It came when the batch was full.
    waiting: Option<Decoded>,
    /// It came when there were events to deliver first.
    failed: Option<Status>,
    /// Up to here everything was looked at, and up to here the consumer knows it.
    through: Position,
    told: Position,
    /// Messages since the last batch.
    looked_at: u32,
    is_over: bool,
}

impl fmt::Debug for KurrentBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KurrentBatches").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// What a message means for the batch.
#[derive(PartialEq, Eq)]
enum Next {
    /// Look for the next message.
    Gather,
    /// The batch is complete, and says whether nothing more was there.
    Deliver { caught_up: bool },
    /// The source is at its end.
    End,
}

impl KurrentBatches {
    pub(super) fn new(
        calls: Calls,
        (source, then): (Source, Option<Then>),
        wanted: Wanted,
        mode: Mode,
    ) -> Self {
        Self {
            calls,
            source,
            then,
            wanted,
            mode,
            live: None,
            gathered: Gathered::default(),
            waiting: None,
            failed: None,
            through: Position::START,
            told: Position::START,
            looked_at: 0,
            is_over: false,
        }
    }

    fn take_in(&mut self, answer: ReadResp) -> Result<Next, ReadError> {
        self.looked_at += 1;
        let server = self.calls.server;
        match answer.content {
            Some(Content::Event(event)) => self.event(event),
            Some(Content::Checkpoint(checkpoint)) => {
                // Told once nothing more is here: a server may send one after each event.
                self.reach(server.ours(checkpoint.commit_position));
                Ok(if self.looked_at < LOOKED_AT_MAX {
                    Next::Gather
                } else {
                    Next::Deliver { caught_up: false }
                })
            }
            Some(Content::CaughtUp(caught_up)) => {
                self.live = Some(Live::default());
                if let Some(at) = caught_up.position {
                    self.reach(server.ours(at.commit_position));
                }
                Ok(Next::Deliver { caught_up: true })
            }
            Some(Content::FellBehind(_)) => {
                self.live = None;
                Ok(Next::Gather)
            }
            Some(Content::StreamNotFound(_)) => Ok(Next::End),
            _ => Ok(Next::Gather),
        }
    }

    fn event(&mut self, event: ReadEvent) -> Result<Next, ReadError> {
        let event = self.gathered.decode(event, self.calls.server)?;
        if self.is_past(&event) {
            return Ok(Next::End);
        }
        if !self.is_wanted(&event) {
            self.reach(event.position());
            return Ok(Next::Gather);
        }
        if self.gathered.is_full_for(&event) {
            self.waiting = Some(event);
            return Ok(Next::Deliver { caught_up: false });
        }
        Ok(self.push(event))
    }

    fn push(&mut self, event: Decoded) -> Next {
        self.reach(event.position());
        self.gathered.push(event);
        if let Mode::Read { left, .. } = &mut self.mode {
            *left -= 1;
            if *left == 0 {
                return Next::End;
            }
        }
        Next::Gather
    }

    /// Whether an event lies past the end of what this source is for.
    fn is_past(&self, event: &Decoded) -> bool {
        match (&self.mode, &self.then) {
            (Mode::Read { direction: Direction::Forward, until, .. }, _) => until.is_before(event),
            (_, Some(then)) => event.position() > then.head,
            _ => false,
        }
    }

    fn is_wanted(&self, event: &Decoded) -> bool {
        let in_snapshot = match &self.mode {
            Mode::Read { until, .. } => !until.is_before(event),
            Mode::Follow { .. } => true,
        };
        let selected = match &self.wanted {
            // The end of a stream is not an event of it that is shown.
            Wanted::Stream { stream, after } => {
                event.subject().stream == stream
                    && after.is_none_or(|after| event.revision() > after)
                    && !event.is_tombstone()
            }
            Wanted::Query(query) => query.matches(event.subject()),
        };
        in_snapshot && selected
    }

    /// Backwards the checkpoint is the last event that was looked at, forwards the furthest.
    fn reach(&mut self, position: Position) {
        self.through = match self.mode {
            Mode::Read { direction: Direction::Backward, .. } => position,
            _ => position.max(self.through),
        };
    }

    fn deliver(&mut self, caught_up: bool) -> Batch {
        self.told = self.through;
        self.looked_at = 0;
        Batch { events: self.gathered.take(), through: self.through, caught_up }
    }

    /// The source has ended: the next one, the last batch of a read, or a lost subscription.
    fn end(&mut self) -> Option<Result<Batch, ReadError>> {
        if let Some(Then { ask, head }) = self.then.take() {
            self.reach(head);
            let calls = self.calls.clone();
            self.source = Source::Opening(Box::pin(async move { calls.read(ask).await }));
            return None;
        }
        self.is_over = true;
        self.source = Source::Nothing;
        let Mode::Read { direction, left, until } = self.mode else {
            let why = format!("{} ended the subscription", self.calls.authority);
            return Some(Err(ReadError::Unavailable { why: why.into() }));
        };
        if left > 0 || self.gathered.last().is_none() {
            self.through = match direction {
                Direction::Forward => until.head,
                Direction::Backward => Position::START,
            };
        }
        Some(Ok(self.deliver(true)))
    }

    /// Whether the consumer can be told something now.
    fn has_news(&self) -> bool {
        let is_further = matches!(self.mode, Mode::Follow { .. }) && self.through > self.told;
        !self.gathered.is_empty() || is_further
    }

    /// What has come, and whether that is known to be all.
    fn news(&mut self) -> Next {
        let Some(live) = &mut self.live else {
            return Next::Deliver { caught_up: false };
        };
        if !self.gathered.is_empty() && live.goal.is_none() {
            live.goal = Some(Goal::Unknown);
        }
        let caught_up = match live.goal {
            None => true,
            Some(Goal::At(goal)) => self.through >= goal,
            Some(Goal::Unknown | Goal::Asked(_)) => false,
        };
        if caught_up {
            live.goal = None;
        }
        Next::Deliver { caught_up }
    }

    /// Of events that came live the protocol does not say whether they are all there is. Asks.
    fn poll_caught_up(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let (Some(live), Mode::Follow { last }) = (&mut self.live, &self.mode) else {
            return Poll::Pending;
        };
        if matches!(live.goal, Some(Goal::Unknown)) {
            let (calls, ask) = (self.calls.clone(), last.clone());
            live.goal = Some(Goal::Asked(Box::pin(async move { calls.first_position(ask).await })));
        }
        let Some(Goal::Asked(call)) = &mut live.goal else {
            return Poll::Pending;
        };
        // Where it cannot be had the subscription has an error of its own to tell.
        let goal = ready!(call.as_mut().poll(context)).ok();
        live.goal = goal.filter(|goal| *goal > self.through).map(Goal::At);
        match (goal, &live.goal) {
            (Some(_), None) => Poll::Ready(Next::Deliver { caught_up: true }),
            _ => Poll::Pending,
        }
    }

    fn fail(&mut self, status: &Status) -> Option<Result<Batch, ReadError>> {
        if refusal::exception(status) == Some("stream-deleted") {
            // The tombstone came after the state was told; there is nothing to be seen of it.
            return self.end();
        }
        Some(Err(refusal::read_error(status, &self.calls.authority)))
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ReadResp, Status>>> {
        loop {
            match &mut self.source {
                Source::Nothing => return Poll::Ready(None),
                Source::Open(answers) => return Pin::new(&mut **answers).poll_next(context),
                Source::Opening(call) => match ready!(call.as_mut().poll(context)) {
                    Ok(answers) => self.source = Source::Open(Box::new(answers)),
                    Err(status) => {
                        self.source = Source::Nothing;
                        return Poll::Ready(Some(Err(status)));
                    }
                },
            }
        }
    }

    /// One step: a batch, an error, or nothing yet to deliver.
    fn step(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, ReadError>>> {
        if let Some(status) = self.failed.take() {
            return Poll::Ready(self.fail(&status));
        }
        let waiting = self.waiting.take().map(|event| self.push(event));
        let next = match waiting {
            Some(next) => next,
            None => match self.poll_source(context) {
                Poll::Pending if self.has_news() => self.news(),
                Poll::Pending => ready!(self.poll_caught_up(context)),
                Poll::Ready(None) => Next::End,
                Poll::Ready(Some(Ok(answer))) => match self.take_in(answer) {
                    Ok(next) => next,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Poll::Ready(Some(Err(status))) if self.gathered.is_empty() => {
                    return Poll::Ready(self.fail(&status));
                }
                Poll::Ready(Some(Err(status))) => {
                    self.failed = Some(status);
                    Next::Deliver { caught_up: false }
                }
            },
        };
        Poll::Ready(match next {
            Next::Gather => None,
            Next::Deliver { caught_up } => Some(Ok(self.deliver(caught_up))),
            Next::End => self.end(),
        })
    }
}

impl Until {
    fn is_before(&self, event: &Decoded) -> bool {
        match self.last {
            Some(last) => event.revision() > last,
            None => event.position() > self.head,
        }
    }
}

impl Stream for KurrentBatches {
    type Item = Result<Batch, ReadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let item = loop {
            if let Some(item) = ready!(this.step(context)) {
                break item;
            }
        };
        this.is_over |= item.is_err();
        Poll::Ready(Some(item))
    }
}
