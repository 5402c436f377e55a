//! Catch-up subscriptions: a confirmation, what is stored, `CaughtUp`, then what comes; with a
//! filter, checkpoints between.
//!
//! Pulled by the client: a slow one holds one batch and a cursor, and is never dropped.

use super::{
    append, errors,
    events::read_event,
    filter::Filter,
    links,
    options::{Shape, Source, Start},
};
use crate::{
    clock,
    context::Context,
    grpc::{Protocol, Responses, Subscription},
    subscribers::{Caller, follow},
};
use factum_core::{
    EventStore, Position, Query, RecordedEvent, Select, StreamName, StreamState, Subscribe, Uuid,
    next_batch, store::DynBatches,
};
use factum_proto::event_store::client::streams::{ReadResp, read_resp as wire, read_resp::Content};
use futures_util::stream;
use std::{collections::VecDeque, net::SocketAddr, time::Duration, vec};
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};
use tonic::Status;

/// How often it is looked for a stream's tombstone, at most, and so how late it may be found. An
/// append anywhere may have been one: without this, each would cost each subscription a read.
const TOMBSTONE_INTERVAL: Duration = Duration::from_secs(1);

/// What is to be followed, from where, how it is shown, and who asks.
pub(super) struct Wanted {
    pub(super) source: Source,
    pub(super) after: Start,
    pub(super) shape: Shape,
    pub(super) peer: Option<SocketAddr>,
}

/// The answers of a subscription.
pub(super) async fn subscribe(
    context: &Context,
    wanted: Wanted,
) -> Result<Responses<ReadResp>, Status> {
    let Wanted { source, after: start, shape, peer } = wanted;
    let (select, after, of) = match source {
        Source::Stream(stream) => {
            let after = after_revision(context, &stream, start).await?;
            (Select::Stream(stream.clone()), after, Of::Stream(stream))
        }
        Source::All(filter) => {
            let after = after_position(context, start).await?;
            let has_queries = context.store.capabilities().queries;
            let query = filter.as_ref().map_or(Query::All, |filter| filter.query(has_queries));
            let pace = filter.map(|filter| Pace { filter, told: after.unwrap_or(0) });
            (Select::Query(query), after, Of::All(pace))
        }
    };
    let filter = matches!(of, Of::All(Some(_))).then_some("through a filter");
    let caller = Caller { protocol: "kurrentdb", peer, filter };
    let batches = follow(context, caller, Subscribe { select, after }).await;
    let batches = batches.map_err(|error| errors::of_read(&error))?;
    let follower = Follower::new(context, batches, of, after, shape);
    let responses = stream::unfold(follower, |mut follower| async {
        let response = follower.next().await?;
        Some((response.map(|content| ReadResp { content: Some(content) }), follower))
    });
    Ok(Box::pin(Subscription::new(context, Protocol::KurrentDb, Box::pin(responses))?))
}

async fn after_revision(
    context: &Context,
    stream: &StreamName,
    start: Start,
) -> Result<Option<u64>, Status> {
    match start {
        Start::First => Ok(None),
        Start::At(revision) => Ok(Some(revision)),
        Start::Last => {
            let state = append::state(context, stream.clone()).await;
            Ok(match state.map_err(|error| errors::of_append(&error))? {
                StreamState::Live { last } | StreamState::Deleted { last } => Some(last.0),
                StreamState::Absent | StreamState::Tombstoned => None,
            })
        }
    }
}

async fn after_position(context: &Context, start: Start) -> Result<Option<u64>, Status> {
    match start {
        Start::First => Ok(None),
        Start::At(position) => Ok(Some(position)),
        Start::Last => {
            let head = context.store.head().await.map_err(|error| errors::of_read(&error))?;
            Ok(Some(head.0))
        }
    }
}

/// What is followed.
enum Of {
    Stream(StreamName),
    All(Option<Pace>),
}

/// A filter, and how far the client was told that it was looked.
struct Pace {
    filter: Filter,
    told: u64,
}

impl Pace {
    /// A checkpoint here, if it is time for one, or `now`.
    fn checkpoint(&mut self, at: Position, now: bool) -> Option<Content> {
        let looked = at.0.saturating_sub(self.told);
        if looked == 0 || !(now || looked >= self.filter.checkpoint_interval) {
            return None;
        }
        self.told = at.0;
        Some(Content::Checkpoint(wire::Checkpoint {
            commit_position: at.0,
            prepare_position: at.0,
            timestamp: Some(clock::now_timestamp()),
        }))
    }
}

/// What a batch says at its end.
struct BatchEnd {
    through: Position,
    caught_up: bool,
    /// It was looked further than its last event.
    is_past_events: bool,
}

/// A subscription in progress: at most one batch of the store is held.
struct Follower {
    context: Context,
    shape: Shape,
    batches: DynBatches,
    of: Of,
    events: vec::IntoIter<RecordedEvent>,
    batch_end: Option<BatchEnd>,
    /// The last revision of the stream that the client has.
    revision: Option<u64>,
    is_live: bool,
    /// When to look for the stream's tombstone, if one may have come.
    look_at: Option<Instant>,
    /// When that was done last.
    looked: Option<Instant>,
    out: VecDeque<Content>,
    /// What ends the subscription once `out` is sent.
    end: Option<Status>,
    is_over: bool,
}

impl Follower {
    fn new(
        context: &Context,
        batches: DynBatches,
        of: Of,
        after: Option<u64>,
        shape: Shape,
    ) -> Self {
        let confirmation =
            wire::SubscriptionConfirmation { subscription_id: Uuid::new_v4().to_string() };
        Self {
            context: context.clone(),
            shape,
            batches,
            revision: after.filter(|_| matches!(of, Of::Stream(_))),
            of,
            events: Vec::new().into_iter(),
            batch_end: None,
            is_live: false,
            look_at: None,
            looked: None,
            out: VecDeque::from([Content::Confirmation(confirmation)]),
            end: None,
            is_over: false,
        }
    }

    async fn next(&mut self) -> Option<Result<Content, Status>> {
        loop {
            if let Some(content) = self.out.pop_front() {
                return Some(Ok(content));
            }
            if let Some(status) = self.end.take() {
                self.is_over = true;
                return Some(Err(status));
            }
            if self.is_over {
                return None;
            }
            if let Err(status) = self.advance().await {
                self.end = Some(status);
            }
        }
    }

    async fn advance(&mut self) -> Result<(), Status> {
        if let Some(event) = self.events.next() {
            return self.event(event).await;
        }
        if let Some(end) = self.batch_end.take() {
            return self.batch_ends(end).await;
        }
        // A filter may go through millions without an answer: others want to run too.
        yield_now().await;
        // While there is more to read, nothing is looked for: that is done where it has caught up.
        let batch = match self.look_at.filter(|_| self.is_live) {
            None => next_batch(&mut self.batches).await,
            Some(at) => tokio::select! {
                biased;
                () = sleep_until(at) => return self.check_tombstone().await,
                batch = next_batch(&mut self.batches) => batch,
            },
        };
        match batch {
            None => self.is_over = true,
            Some(Err(error)) => return Err(errors::of_read(&error)),
            Some(Ok(batch)) => {
                let (through, caught_up) = (batch.through, batch.caught_up);
                let last = batch.events.last().map(RecordedEvent::position);
                let is_past_events = last.is_none_or(|last| last < through);
                self.batch_end = Some(BatchEnd { through, caught_up, is_past_events });
                self.events = batch.events.into_iter();
            }
        }
        Ok(())
    }

    async fn event(&mut self, event: RecordedEvent) -> Result<(), Status> {
        let position = event.position();
        let matches = match &self.of {
            Of::All(Some(pace)) => pace.filter.matches(&event)?,
            Of::All(None) => true,
            Of::Stream(_) => {
                self.revision = Some(event.revision().0);
                true
            }
        };
        if matches {
            let store = &self.context.store;
            let resolved = links::resolve(store, event, self.shape.resolve_links).await?;
            self.out.push_back(read_event(&resolved, self.shape.ids));
        }
        if let Of::All(Some(pace)) = &mut self.of {
            self.out.extend(pace.checkpoint(position, false));
        }
        Ok(())
    }

    async fn batch_ends(&mut self, end: BatchEnd) -> Result<(), Status> {
        let catches_up = end.caught_up && !self.is_live;
        if end.caught_up && end.is_past_events && matches!(self.of, Of::Stream(_)) {
            self.look_soon();
            if catches_up {
                self.check_tombstone().await?;
            }
        }
        if let Of::All(Some(pace)) = &mut self.of {
            self.out.extend(pace.checkpoint(end.through, catches_up));
        }
        if catches_up && self.end.is_none() {
            self.out.push_back(self.caught_up(end.through));
        }
        self.is_live = end.caught_up;
        Ok(())
    }

    fn caught_up(&self, through: Position) -> Content {
        let position = wire::Position { commit_position: through.0, prepare_position: through.0 };
        let is_all = matches!(self.of, Of::All(_));
        Content::CaughtUp(wire::CaughtUp {
            timestamp: Some(clock::now_timestamp()),
            stream_revision: self.revision.and_then(|revision| i64::try_from(revision).ok()),
            position: (is_all && through > Position::START).then_some(position),
        })
    }

    /// A stream's own reads do not show its tombstone: it is looked for, though not too often.
    fn look_soon(&mut self) {
        let at = self.looked.map_or_else(Instant::now, |looked| looked + TOMBSTONE_INTERVAL);
        self.look_at.get_or_insert(at);
    }

    async fn check_tombstone(&mut self) -> Result<(), Status> {
        (self.look_at, self.looked) = (None, Some(Instant::now()));
        let Of::Stream(stream) = &self.of else {
            return Ok(());
        };
        let state = append::state(&self.context, stream.clone()).await;
        let state = state.map_err(|error| errors::of_append(&error))?;
        if state != StreamState::Tombstoned {
            return Ok(());
        }
        // Who was there when it happened sees it.
        if self.is_live
            && let Some(tombstone) = links::tombstone(&self.context.store, stream).await
        {
            let resolved = super::events::Resolved { event: Some(tombstone), link: None };
            self.out.push_back(read_event(&resolved, self.shape.ids));
        }
        self.end = Some(errors::stream_deleted(stream));
        Ok(())
    }
}
