//! What of a file is in the store already.
//!
//! An event counts as there if a read of its stream shows it, or if it is hidden by `$maxCount` or
//! `$maxAge` only. What was deleted or truncated (`$tb`) does not: importing it again brings it
//! back.

use super::plan::Plan;
use crate::{
    console,
    failure::{Exit, Failure, Outcome},
};
use factum::{
    AnyStore, EventStore, Freshness, Item, Query, Read, RecordedEvent, Revision, StreamName,
    StreamState, Uuid, next_batch,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{HashMap, HashSet};

/// How many streams are looked at together.
const LOOKUPS_MAX: usize = 32;

/// What is known of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The revision of its last event.
    pub(super) last: Option<Revision>,
    /// The ids that it holds.
    pub(super) ids: HashSet<Uuid>,
}

/// Looks at every stream that the plan writes.
pub(super) async fn present(store: &AnyStore, plan: &Plan) -> Outcome<HashMap<StreamName, Known>> {
    let streams: HashSet<&StreamName> = plan.events.iter().map(|(stream, _)| stream).collect();
    if store.head().await?.0 == 0 {
        return Ok(streams.into_iter().map(|stream| (stream.clone(), Known::default())).collect());
    }
    let bar = console::progress("looking", Some(streams.len() as u64), false);
    let looked = stream::iter(streams)
        .map(
            |stream| async move { Ok::<_, Failure>((stream.clone(), known(store, stream).await?)) },
        )
        .buffer_unordered(LOOKUPS_MAX)
        .inspect_ok(|_| bar.inc(1))
        .try_collect()
        .await;
    bar.finish_and_clear();
    looked
}

/// Looks at one stream.
pub(super) async fn known(store: &AnyStore, stream: &StreamName) -> Outcome<Known> {
    let read = Read { freshness: Freshness::Current, ..Read::stream(stream.clone()) };
    let mut reading = store.read(read).await?;
    let last = match reading.state.unwrap_or(StreamState::Absent) {
        StreamState::Absent => return Ok(Known::default()),
        StreamState::Deleted { last } => {
            return Ok(Known { last: Some(last), ids: HashSet::new() });
        }
        StreamState::Tombstoned => {
            let cause = format!("stream {stream} is deleted for ever: nothing can be added to it");
            return Err(Failure::new(Exit::NotFound, cause).help("name it otherwise with --stream"));
        }
        StreamState::Live { last } => last,
    };
    let mut ids = HashSet::new();
    let mut visible = 0;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        let events = batch?.events;
        visible += events.len() as u64;
        ids.extend(events.iter().map(RecordedEvent::id));
    }
    if visible <= last.0 {
        hidden(store, stream, &mut ids).await?;
    }
    Ok(Known { last: Some(last), ids })
}

/// Adds the ids of events that metadata hides, but for those that were deleted or truncated.
async fn hidden(store: &AnyStore, stream: &StreamName, ids: &mut HashSet<Uuid>) -> Outcome {
    let metadata = store.metadata(stream).await?;
    if metadata.max_count.is_none() && metadata.max_age_s.is_none() {
        return Ok(());
    }
    let truncated = metadata.truncate_before.unwrap_or(0);
    let query = if store.capabilities().queries {
        Item { stream_prefixes: vec![stream.as_str().into()], ..Item::default() }.into()
    } else {
        Query::All
    };
    let read = Read { freshness: Freshness::Current, ..Read::query(query) };
    let mut reading = store.read(read).await?;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        let events = batch?.events;
        let here = events
            .iter()
            .filter(|event| event.stream() == stream && event.revision().0 >= truncated);
        ids.extend(here.map(RecordedEvent::id));
    }
    Ok(())
}
