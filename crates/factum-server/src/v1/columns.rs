//! Batches of `factum.v1`: events in columns. Pure.
//!
//! Apart, because this is where a read spends its time: no allocation an event, and payloads that
//! lie in a row in their page are sent as they lie.

use factum_core::{Batch, ContentType, RecordedEvent, page::payloads};
use factum_proto::factum::v1 as wire;
use std::collections::HashMap;

/// Events, each name once.
pub(super) fn batch(batch: &Batch) -> wire::Batch {
    let events = &*batch.events;
    let mut names = Names::default();
    let mut columns = wire::Batch {
        payload: payloads(events),
        through: batch.through.0,
        caught_up: batch.caught_up,
        ..wire::Batch::default()
    };
    let mut ids = Vec::with_capacity(events.len() * 16);
    let (mut position, mut recorded_at_ns) = (0, 0);
    let (mut stream, mut event_type) = (None, None);
    for event in events {
        ids.extend_from_slice(event.id().as_bytes());
        columns.streams.push(names.index_after(&mut stream, event.stream().as_str()));
        columns.types.push(names.index_after(&mut event_type, event.event_type().as_str()));
        columns.revisions.push(event.revision().0);
        columns.positions.push(step(&mut position, event.position().0.cast_signed()));
        columns.recorded_at_ns.push(step(&mut recorded_at_ns, event.recorded_at().0));
        columns.data_bytes.push(narrow(event.data().len()));
    }
    columns.ids = ids.into();
    rare(events, &mut names, &mut columns);
    columns.names = names.texts;
    columns
}

/// The columns that most batches do without.
fn rare<'a>(events: &'a [RecordedEvent], names: &mut Names<'a>, columns: &mut wire::Batch) {
    if events.iter().any(|event| !event.metadata().is_empty()) {
        columns.metadata_bytes =
            events.iter().map(|event| narrow(event.metadata().len())).collect();
    }
    if events.iter().any(|event| event.content_type() != ContentType::Json) {
        columns.content_types = events.iter().map(|event| content_type(event).into()).collect();
    }
    if events.iter().any(|event| !event.tags().is_empty()) {
        columns.tag_counts = events.iter().map(|event| narrow(event.tags().len())).collect();
        let tags = events.iter().flat_map(RecordedEvent::tags);
        columns.tags = tags.map(|tag| names.index(tag.as_str())).collect();
    }
    for (place, event) in events.iter().enumerate() {
        if let Some(time) = event.occurred_at_given() {
            columns.occurred.push(narrow(place));
            columns.occurred_at_ns.push(time.0);
        }
    }
}

fn content_type(event: &RecordedEvent) -> wire::ContentType {
    match event.content_type() {
        ContentType::Json => wire::ContentType::Json,
        ContentType::Binary => wire::ContentType::Binary,
    }
}

/// The difference to the value before, which becomes this one. It wraps, as its sum does.
fn step(before: &mut i64, value: i64) -> i64 {
    value.wrapping_sub(std::mem::replace(before, value))
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("a batch is smaller than 4 GiB")
}

/// The table of names of one batch.
#[derive(Default)]
struct Names<'a> {
    texts: Vec<String>,
    known: HashMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    fn index(&mut self, name: &'a str) -> u32 {
        *self.known.entry(name).or_insert_with(|| {
            self.texts.push(name.to_owned());
            narrow(self.texts.len() - 1)
        })
    }

    /// The index of a name that mostly is the one before, in the same place in memory.
    fn index_after(&mut self, before: &mut Option<(&'a str, u32)>, name: &'a str) -> u32 {
        if let Some((_, index)) = before.filter(|(last, _)| std::ptr::eq(*last, name)) {
            return index;
        }
        let index = self.index(name);
        *before = Some((name, index));
        index
    }
}
