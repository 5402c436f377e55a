//! Answers of `factum.v1`. Pure.

use super::{columns::batch, error};
use factum_core::{
    Batch, Capabilities, Position, Receipt, Statistics, StreamMetadata, StreamState, Subscriber,
};
use factum_proto::factum::v1::{self as wire};

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
        statistics: statistics.numbers.into_iter().map(statistic).collect(),
        histograms: statistics.histograms.into_iter().map(histogram).collect(),
        subscribers: statistics.subscribers.into_iter().map(subscriber).collect(),
    }
}

fn histogram(histogram: factum_core::Histogram) -> wire::Histogram {
    let factum_core::Histogram { name, help, buckets, sum } = histogram;
    let bucket = |bucket: factum_core::Bucket| wire::histogram::Bucket {
        up_to: bucket.up_to,
        count: bucket.count,
    };
    wire::Histogram { name, help, buckets: buckets.into_iter().map(bucket).collect(), sum }
}

fn subscriber(one: Subscriber) -> wire::Subscriber {
    wire::Subscriber {
        protocol: one.protocol,
        peer: one.peer,
        selects: one.selects,
        since_ns: one.since.0,
        position: one.position.0,
        events: one.events,
        lag_events: one.lag_events,
        lag_seconds: one.lag_seconds,
    }
}
