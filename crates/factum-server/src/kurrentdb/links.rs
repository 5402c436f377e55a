//! Links: events of type `$>` whose data, `revision@stream`, names another event; and the tombstone
//! of a stream, which its own reads hide.

use super::{errors, events::Resolved};
use crate::keys;
use factum_core::{
    AnyStore, Direction, EventStore, EventType, Item, Query, Read, RecordedEvent, StreamName,
    next_batch, system::STREAM_DELETED,
};
use tonic::Status;

/// An event as it is to be answered: a link comes with what it points to, if that is still there.
pub(super) async fn resolve(
    store: &AnyStore,
    event: RecordedEvent,
    resolves: bool,
) -> Result<Resolved, Status> {
    if !resolves || !keys::is_link(event.event_type()) {
        return Ok(Resolved { event: Some(event), link: None });
    }
    let target = match target(event.data()) {
        Some((revision, stream)) => find(store, stream, revision).await?,
        None => None,
    };
    Ok(Resolved { event: target, link: Some(event) })
}

/// What a link's data names.
fn target(data: &[u8]) -> Option<(u64, StreamName)> {
    let (revision, stream) = std::str::from_utf8(data).ok()?.split_once('@')?;
    Some((revision.parse().ok()?, StreamName::new(stream).ok()?))
}

async fn find(
    store: &AnyStore,
    stream: StreamName,
    revision: u64,
) -> Result<Option<RecordedEvent>, Status> {
    let read = Read { from: Some(revision), limit: Some(1), ..Read::stream(stream) };
    let found = first(store, read).await?;
    Ok(found.filter(|event| event.revision().0 == revision))
}

/// The tombstone of a stream, if it has one, and if the store can look for it.
pub(super) async fn tombstone(store: &AnyStore, stream: &StreamName) -> Option<RecordedEvent> {
    let named = Item {
        types: vec![EventType::trusted(STREAM_DELETED.into())],
        stream_prefixes: vec![stream.as_str().into()],
        ..Item::default()
    };
    let read = Read { direction: Direction::Backward, ..Read::query(Query::from(named)) };
    let mut reading = store.read(read).await.ok()?;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        // Other streams' names may begin so too.
        let found = batch.ok()?.events.into_iter().find(|event| event.stream() == stream);
        if found.is_some() {
            return found;
        }
    }
    None
}

async fn first(store: &AnyStore, read: Read) -> Result<Option<RecordedEvent>, Status> {
    let reading = store.read(read).await.map_err(|error| errors::of_read(&error))?;
    let events = reading.events().await.map_err(|error| errors::of_read(&error))?;
    Ok(events.into_iter().next())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_link_names_a_revision_and_a_stream() {
        let stream = |name| StreamName::new(name).unwrap();
        assert_eq!(target(b"7@a-1"), Some((7, stream("a-1"))));
        assert_eq!(target(b"0@b@c"), Some((0, stream("b@c"))));
        for bad in [&b""[..], b"@a", b"x@a", b"-1@a", b"1@", b"1", b"\xff@a"] {
            assert_eq!(target(bad), None);
        }
    }
}
