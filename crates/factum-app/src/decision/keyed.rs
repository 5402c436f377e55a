//! Commands with a key: done once, and a retry is answered as the first time.
//!
//! The events carry the key as a tag, and the append is conditioned on there being none with it. So
//! the key is remembered exactly as long as the events are, and where nothing was emitted there is
//! nothing to remember: a retry decides again.

use super::{Receipt, error::LoadError};
use crate::Metadata;
use factum_core::{
    AnyStore, Check, EventStore, Freshness, InvalidName, Position, Query, Read, RecordedEvent, Tag,
    Written,
};

/// The tag of a command's key. The name is part of it, so that one key for two kinds of commands
/// does not confuse them.
pub(crate) fn tag(command: &str, key: &str) -> Result<Tag, InvalidName> {
    Tag::new(&format!("$command:{command}:{key}"))
}

/// That it has not been done.
pub(crate) fn check(tag: &Tag) -> Check {
    Check::NoMatch { query: Query::tag(tag.clone()), after: Position::START }
}

/// Its first receipt, if it has been done.
pub(crate) async fn first(store: &AnyStore, tag: &Tag) -> Result<Option<Receipt>, LoadError> {
    Ok(receipt(&events(store, tag).await?))
}

/// What there is with a key, in order.
pub(crate) async fn events(store: &AnyStore, tag: &Tag) -> Result<Vec<RecordedEvent>, LoadError> {
    let read = Read::query(Query::tag(tag.clone()));
    let reading = store.read(Read { freshness: Freshness::Current, ..read }).await?;
    Ok(reading.events().await?)
}

/// The receipt of whoever appended this.
pub(crate) fn receipt(events: &[RecordedEvent]) -> Option<Receipt> {
    events.last().map(|last| {
        let mut streams = Vec::new();
        events.iter().for_each(|event| count(&mut streams, event));
        Receipt {
            position: last.position(),
            streams,
            ids: events.iter().map(RecordedEvent::id).collect(),
            correlation: Metadata::of(last).correlation.unwrap_or_default(),
            replayed: true,
            nothing: None,
        }
    })
}

fn count(streams: &mut Vec<Written>, event: &RecordedEvent) {
    match streams.iter_mut().find(|one| one.stream == *event.stream()) {
        Some(written) => written.last = event.revision(),
        None => streams.push(Written {
            stream: event.stream().clone(),
            first: event.revision(),
            last: event.revision(),
        }),
    }
}
