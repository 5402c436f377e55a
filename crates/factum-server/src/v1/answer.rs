//! Answers of `factum.v1`. Pure.

use super::error;
use factum_core::{
    Batch, Capabilities, ContentType, Position, Receipt, RecordedEvent, Statistics, StreamMetadata,
    StreamState,
};
use factum_proto::factum::v1::{self as wire};
use std::collections::HashMap;

/// What an append wrote.
pub(super) fn receipt(receipt: Receipt) -> wire::Receipt {
    let written = |written: factum_core::Written| wire::receipt::Written {
        stream: written.stream.to_string(),
        first: written.first.0,
        last: written.last.0,
    };
    wire::Receipt {
        position: receipt.position.0,
        streams: receipt.streams.into_iter().map(written).collect(),
        replayed: receipt.replayed,
    }
}

/// The first message of a read.
pub(super) fn start(head: Position, state: Option<StreamState>) -> wire::ReadResponse {
    let state = state.map(error::state);
    let start = wire::read_response::Start { head: head.0, state };
    wire::ReadResponse { content: Some(wire::read_response::Content::Start(start)) }
}

/// A further message of a read.
pub(super) fn read_batch(read: &Batch) -> wire::ReadResponse {
    wire::ReadResponse { content: Some(wire::read_response::Content::Batch(batch(read))) }
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
            u32::try_from(self.texts.len() - 1).expect("a batch's names are few")
        })
    }
}

/// Events, each name once.
pub(super) fn batch(batch: &Batch) -> wire::Batch {
    let mut names = Names::default();
    let events = batch.events.iter().map(|one| event(&mut names, one)).collect();
    wire::Batch { events, names: names.texts, through: batch.through.0, caught_up: batch.caught_up }
}

fn event<'a>(names: &mut Names<'a>, event: &'a RecordedEvent) -> wire::Event {
    let content_type = match event.content_type() {
        ContentType::Json => wire::ContentType::Json,
        ContentType::Binary => wire::ContentType::Binary,
    };
    wire::Event {
        id: event.id().as_bytes().to_vec().into(),
        stream: names.index(event.stream().as_str()),
        r#type: names.index(event.event_type().as_str()),
        content_type: content_type.into(),
        data: event.data_bytes(),
        metadata: event.metadata_bytes(),
        tags: event.tags().iter().map(|tag| names.index(tag.as_str())).collect(),
        occurred_at_ns: event.occurred_at_given().map(|time| time.0),
        recorded_at_ns: event.recorded_at().0,
        revision: event.revision().0,
        position: event.position().0,
    }
}

/// What governs a stream's life.
pub(super) fn metadata(metadata: StreamMetadata) -> wire::StreamMetadata {
    wire::StreamMetadata {
        truncate_before: metadata.truncate_before,
        max_count: metadata.max_count,
        max_age_s: metadata.max_age_s,
        other: metadata.other,
    }
}

/// What the store can do.
pub(super) fn capabilities(can: &Capabilities) -> wire::CapabilitiesResponse {
    let limits = &can.limits;
    wire::CapabilitiesResponse {
        gapless: can.gapless,
        query_checks: can.query_checks,
        queries: can.queries,
        multi_stream: can.multi_stream,
        tags: can.tags,
        tracking: can.tracking,
        as_of: can.as_of,
        occurred_at: can.occurred_at,
        replay_window: can.replay_window,
        limits: Some(wire::Limits {
            append_events_max: limits.append_events_max as u64,
            append_bytes_max: limits.append_bytes_max as u64,
            event_bytes_max: limits.event_bytes_max as u64,
            metadata_bytes_max: limits.metadata_bytes_max as u64,
            tags_max: limits.tags_max as u64,
            checks_max: limits.checks_max as u64,
            query_items_max: limits.query_items_max as u64,
            query_terms_max: limits.query_terms_max as u64,
        }),
    }
}

/// All numbers.
pub(super) fn statistics(statistics: Statistics) -> wire::StatisticsResponse {
    let statistic = |one: factum_core::Statistic| wire::Statistic {
        name: one.name,
        value: one.value,
        help: one.help,
        counter: one.counter,
    };
    wire::StatisticsResponse {
        version: env!("CARGO_PKG_VERSION").into(),
        statistics: statistics.0.into_iter().map(statistic).collect(),
    }
}
