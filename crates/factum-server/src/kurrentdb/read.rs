//! Reads that end: of a stream or of everything, in both directions. One message an event, made as
//! the client takes it.

use super::{
    append, errors,
    events::{read_event, stream_out},
    filter::Filter,
    links,
    options::{Once, Shape, Source, Start},
};
use crate::{context::Context, grpc::Responses};
use factum_core::{
    Direction, EventStore, Freshness, Query, Read, Reading, RecordedEvent, StreamName, StreamState,
    next_batch, store::DynBatches,
};
use factum_proto::event_store::client::streams::{
    ReadResp,
    read_resp::{Content, StreamNotFound},
};
use futures_util::stream;
use std::{collections::VecDeque, vec};
use tokio::task::yield_now;
use tonic::Status;

/// How many events a page has: the protocol tells where a stream begins if the first page is empty.
const PAGE_EVENTS: u64 = 32;

/// The answers of a read.
pub(super) async fn read(
    context: &Context,
    source: Source,
    once: Once,
    shape: Shape,
) -> Result<Responses<ReadResp>, Status> {
    match source {
        Source::Stream(stream) => read_stream(context, stream, once, shape).await,
        Source::All(filter) => read_all(context, filter, once, shape).await,
    }
}

/// Starts a read; `None` where nothing is to be read at that place.
async fn start(
    context: &Context,
    read: Read,
    from: Option<Option<u64>>,
    count: Option<u64>,
) -> Result<Reading<DynBatches>, Status> {
    let (from, limit) = match from {
        Some(from) => (from, count),
        None => (None, Some(0)),
    };
    let read = Read { from, limit, freshness: Freshness::Current, ..read };
    context.store.read(read).await.map_err(|error| errors::of_read(&error))
}

async fn read_stream(
    context: &Context,
    stream: StreamName,
    once: Once,
    shape: Shape,
) -> Result<Responses<ReadResp>, Status> {
    check_metadata_of(context, &stream).await?;
    let from = match (once.direction, once.from) {
        (Direction::Forward, Start::First) | (Direction::Backward, Start::Last) => Some(None),
        (Direction::Forward, Start::Last) => None,
        (Direction::Backward, Start::First) => Some(Some(0)),
        (_, Start::At(revision)) => Some(Some(revision)),
    };
    let read = Read { direction: once.direction, ..Read::stream(stream.clone()) };
    let reading = start(context, read, from, limit(once.count)).await?;
    let last = match reading.state {
        Some(StreamState::Live { last }) => last.0,
        Some(StreamState::Tombstoned) => return Err(errors::stream_deleted(&stream)),
        Some(StreamState::Absent | StreamState::Deleted { .. }) | None => {
            let missing = StreamNotFound { stream_identifier: Some(stream_out(&stream)) };
            return Ok(answers([Content::StreamNotFound(missing)]));
        }
    };
    let mut reader = Reader::new(context, reading.batches, once.count, shape);
    if shape.tells_bounds {
        reader.last = Some(last);
        if once.direction == Direction::Forward && from.is_some() {
            let asked = from.flatten().unwrap_or(0);
            reader.first = Some(First { asked, page: once.count.min(PAGE_EVENTS), end: last + 1 });
        }
    }
    Ok(reader.responses())
}

/// The metadata of a tombstoned stream is not read.
async fn check_metadata_of(context: &Context, stream: &StreamName) -> Result<(), Status> {
    let Some(of) = stream.metadata_of() else {
        return Ok(());
    };
    match append::state(context, of).await.map_err(|error| errors::of_append(&error))? {
        StreamState::Tombstoned => Err(errors::stream_deleted(stream)),
        _ => Ok(()),
    }
}

async fn read_all(
    context: &Context,
    filter: Option<Filter>,
    once: Once,
    shape: Shape,
) -> Result<Responses<ReadResp>, Status> {
    // Forwards a position is included, backwards it is not.
    let from = match (once.direction, once.from) {
        (Direction::Forward, Start::First) | (Direction::Backward, Start::Last) => Some(None),
        (Direction::Forward, Start::Last) | (Direction::Backward, Start::First) => None,
        (Direction::Forward, Start::At(position)) => Some(Some(position)),
        (Direction::Backward, Start::At(0 | 1)) => None,
        (Direction::Backward, Start::At(position)) => Some(Some(position - 1)),
    };
    let has_queries = context.store.capabilities().queries;
    let query = filter.as_ref().map_or(Query::All, |filter| filter.query(has_queries));
    // What is filtered here cannot be counted by the store.
    let counts_here = filter.is_some() && query == Query::All;
    let count = if counts_here { None } else { limit(once.count) };
    let read = Read { direction: once.direction, ..Read::query(query) };
    let reading = start(context, read, from, count).await?;
    let mut reader = Reader::new(context, reading.batches, once.count, shape);
    reader.filter = filter;
    Ok(reader.responses())
}

fn limit(count: u64) -> Option<u64> {
    (count < u64::MAX).then_some(count)
}

/// Few answers, known at once.
fn answers<const N: usize>(contents: [Content; N]) -> Responses<ReadResp> {
    Box::pin(stream::iter(contents.map(|content| Ok(ReadResp { content: Some(content) }))))
}

/// Where a stream begins is told if the page that was asked for is empty.
struct First {
    asked: u64,
    page: u64,
    /// The next revision.
    end: u64,
}

impl First {
    fn told(&self, event: Option<&RecordedEvent>) -> Option<Content> {
        let found = event.map_or(self.end, |event| event.revision().0);
        let is_empty = event.is_none() || found >= self.asked.saturating_add(self.page);
        (is_empty && found != self.asked).then_some(Content::FirstStreamPosition(found))
    }
}

/// A read in progress: at most one batch of the store is held.
struct Reader {
    context: Context,
    shape: Shape,
    batches: DynBatches,
    events: vec::IntoIter<RecordedEvent>,
    filter: Option<Filter>,
    left: u64,
    first: Option<First>,
    last: Option<u64>,
    out: VecDeque<Content>,
}

impl Reader {
    fn new(context: &Context, batches: DynBatches, left: u64, shape: Shape) -> Self {
        Self {
            context: context.clone(),
            shape,
            batches,
            events: Vec::new().into_iter(),
            filter: None,
            left,
            first: None,
            last: None,
            out: VecDeque::new(),
        }
    }

    fn responses(self) -> Responses<ReadResp> {
        Box::pin(stream::unfold(self, |mut reader| async {
            let content = reader.next().await.transpose()?;
            let response = content.map(|content| ReadResp { content: Some(content) });
            if response.is_err() {
                reader.stop();
            }
            Some((response, reader))
        }))
    }

    /// Nothing comes after an error.
    fn stop(&mut self) {
        (self.left, self.first, self.last) = (0, None, None);
        self.out.clear();
    }

    async fn next(&mut self) -> Result<Option<Content>, Status> {
        if let Some(content) = self.out.pop_front() {
            return Ok(Some(content));
        }
        let Some(event) = self.next_event().await? else {
            let first = self.first.take().and_then(|first| first.told(None));
            let last = self.last.take().map(Content::LastStreamPosition);
            self.out.extend(first.into_iter().chain(last));
            return Ok(self.out.pop_front());
        };
        let first = self.first.take().and_then(|first| first.told(Some(&event)));
        let store = &self.context.store;
        let resolved = links::resolve(store, event, self.shape.resolve_links).await?;
        self.out.extend(first);
        self.out.push_back(read_event(&resolved, self.shape.ids));
        Ok(self.out.pop_front())
    }

    async fn next_event(&mut self) -> Result<Option<RecordedEvent>, Status> {
        while self.left > 0 {
            let Some(event) = self.events.next() else {
                match next_batch(&mut self.batches).await {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(errors::of_read(&error)),
                    Some(Ok(batch)) => self.events = batch.events.into_iter(),
                }
                // A filter may go through millions without an answer: others want to run too.
                yield_now().await;
                continue;
            };
            if let Some(filter) = &self.filter
                && !filter.matches(&event)?
            {
                continue;
            }
            self.left -= 1;
            return Ok(Some(event));
        }
        Ok(None)
    }
}
