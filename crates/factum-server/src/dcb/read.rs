//! Reads, subscriptions and the head. One response a batch of the store, less what is not seen.

use super::{errors, events, queries};
use crate::{
    context::Context,
    grpc::Responses,
    subscribers::{Caller, follow},
};
use factum_core::{
    Direction, EventStore, Freshness, Position, Query, Read, ReadError, RecordedEvent, Select,
    Subscribe, next_batch, store::DynBatches,
};
use factum_proto::umadb::v1::{
    ReadRequest, ReadResponse, SequencedEvent, SubscribeRequest, SubscribeResponse,
};
use futures_util::stream;
use std::{net::SocketAddr, vec};
use tonic::Status;

fn refused(error: ReadError) -> Status {
    errors::of_read(&error)
}

/// What is read of a batch of the store, in pieces of what the client takes at once.
struct Source {
    context: Context,
    batches: DynBatches,
    events: vec::IntoIter<RecordedEvent>,
    /// Events in one response.
    piece: usize,
    /// Events that the client still wants.
    left: u64,
}

impl Source {
    fn new(context: &Context, batches: DynBatches, piece: Option<u32>, left: u64) -> Self {
        let max = context.config.limits.dcb_batch_events_max;
        let piece = piece.map_or(max, |piece| (piece as usize).clamp(1, max));
        let events = Vec::new().into_iter();
        Self { context: context.clone(), batches, events, piece, left }
    }

    /// The next events; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<SequencedEvent>>, Status> {
        loop {
            let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.piece);
            if want == 0 {
                return Ok(None);
            }
            let streams = self.context.config.dcb_streams;
            let visible = self.events.by_ref().filter(events::is_visible);
            let piece: Vec<_> =
                visible.take(want).map(|event| events::sequenced(&event, streams)).collect();
            if !piece.is_empty() {
                self.left -= piece.len() as u64;
                return Ok(Some(piece));
            }
            match next_batch(&mut self.batches).await {
                None => return Ok(None),
                Some(batch) => self.events = batch.map_err(refused)?.events.into_iter(),
            }
        }
    }
}

/// A read in progress.
struct Reading {
    source: Source,
    /// What responses say of the head: the store's without a limit, else the last position.
    head: Option<u64>,
    has_limit: bool,
    sent_any: bool,
    is_over: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<ReadResponse, Status>> {
        if self.is_over {
            return None;
        }
        match self.source.next().await {
            Err(status) => {
                self.is_over = true;
                Some(Err(status))
            }
            Ok(Some(events)) => {
                self.sent_any = true;
                let last = events.last().map(|event| event.position);
                let head = if self.has_limit { last } else { self.head };
                Some(Ok(ReadResponse { events, head }))
            }
            // The head is told even where nothing matches.
            Ok(None) => {
                self.is_over = true;
                let head = self.head.filter(|_| !self.has_limit);
                (!self.sent_any).then(|| Ok(ReadResponse { events: Vec::new(), head }))
            }
        }
    }
}

/// What there is.
pub(super) async fn read(
    context: &Context,
    request: ReadRequest,
) -> Result<Responses<ReadResponse>, Status> {
    #[allow(deprecated, reason = "it is refused, with what to call instead")]
    if request.subscribe() {
        return Err(errors::invalid("`subscribe` of a read is gone: call Subscribe"));
    }
    let direction = if request.backwards() { Direction::Backward } else { Direction::Forward };
    let limit = request.limit;
    // Before the first event there is nothing, backwards; a limit of 0 asks for nothing.
    let is_nothing =
        limit == Some(0) || (direction == Direction::Backward && request.start == Some(0));
    let read = Read {
        direction,
        from: request.start,
        limit: is_nothing.then_some(0),
        freshness: Freshness::Current,
        ..Read::query(queries::query(request.query)?)
    };
    let reading = context.store.read(read).await.map_err(refused)?;
    let left = limit.map_or(u64::MAX, u64::from);
    let reading = Reading {
        head: if limit.is_none() { visible_head(context, reading.head).await? } else { None },
        source: Source::new(context, reading.batches, request.batch_size, left),
        has_limit: limit.is_some(),
        sent_any: false,
        is_over: limit == Some(0),
    };
    Ok(Box::pin(stream::unfold(reading, |mut reading| async {
        Some((reading.next().await?, reading))
    })))
}

/// What there is, and what comes.
pub(super) async fn subscribe(
    context: &Context,
    peer: Option<SocketAddr>,
    request: SubscribeRequest,
) -> Result<Responses<SubscribeResponse>, Status> {
    let select = Select::Query(queries::query(request.query)?);
    let caller = Caller { protocol: "dcb", peer, filter: None };
    let batches = follow(context, caller, Subscribe { select, after: request.after }).await;
    let batches = batches.map_err(refused)?;
    let source = Source::new(context, batches, request.batch_size, u64::MAX);
    Ok(Box::pin(stream::unfold(Some(source), |source| async {
        let mut source = source?;
        match source.next().await {
            Ok(events) => Some((Ok(SubscribeResponse { events: events? }), Some(source))),
            Err(status) => Some((Err(status), None)),
        }
    })))
}

/// The position of the last event that is seen here.
pub(super) async fn head(context: &Context) -> Result<Option<u64>, Status> {
    let head = context.store.head().await.map_err(refused)?;
    visible_head(context, head).await
}

async fn visible_head(context: &Context, head: Position) -> Result<Option<u64>, Status> {
    if head == Position::START {
        return Ok(None);
    }
    let direction = Direction::Backward;
    let read = Read { direction, from: Some(head.0), ..Read::query(Query::All) };
    let (_, first) = first_of(context, read).await?;
    Ok(first.map(|position| position.0))
}

/// The store's head, and the first event that is seen here from a position on, if there is one.
pub(super) async fn first_visible(
    context: &Context,
    query: Query,
    from: Position,
) -> Result<(Position, Option<Position>), Status> {
    let freshness = Freshness::Current;
    first_of(context, Read { from: Some(from.0), freshness, ..Read::query(query) }).await
}

async fn first_of(context: &Context, read: Read) -> Result<(Position, Option<Position>), Status> {
    let mut reading = context.store.read(read).await.map_err(refused)?;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        let batch = batch.map_err(refused)?;
        if let Some(event) = batch.events.iter().find(|event| events::is_visible(event)) {
            return Ok((reading.head, Some(event.position())));
        }
    }
    Ok((reading.head, None))
}
