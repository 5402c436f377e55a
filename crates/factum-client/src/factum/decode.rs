//! What is answered, from messages of `factum.v1`.
//!
//! An answer that makes no sense is told as one that this client cannot understand; nothing of it
//! is handed on. A server is not trusted to send valid names, or indexes that are in their table.

use bytes::Bytes;
use factum_core::{
    AppendError, Bucket, Capabilities, Histogram, InvalidName, Limits, Position, ReadError,
    Receipt, Revision, Statistic, Statistics, StreamMetadata, StreamName, StreamState, Subscriber,
    Timestamp, Uuid, Written,
};
use factum_proto::factum::v1;
use std::fmt::Display;

/// The answer is not what the protocol says.
pub(super) fn not_understood(what: impl Display) -> ReadError {
    let what = format!("the server's answer is not understood ({what}): is it of another release?");
    ReadError::Unsupported { what: what.into() }
}

pub(super) fn id(bytes: &Bytes) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}

pub(super) fn state(message: Option<v1::StreamState>) -> Option<StreamState> {
    use v1::stream_state::State;
    Some(match message?.state? {
        State::Absent(_) => StreamState::Absent,
        State::Live(last) => StreamState::Live { last: Revision(last) },
        State::Deleted(last) => StreamState::Deleted { last: Revision(last) },
        State::Tombstoned(_) => StreamState::Tombstoned,
    })
}

/// A receipt that is not understood is of an append that was done.
pub(super) fn receipt(message: v1::Receipt) -> Result<Receipt, AppendError> {
    let written = |written: v1::receipt::Written| -> Result<Written, InvalidName> {
        let (first, last) = (Revision(written.first), Revision(written.last));
        Ok(Written { stream: StreamName::new(&written.stream)?, first, last })
    };
    let streams: Result<Vec<_>, _> = message.streams.into_iter().map(written).collect();
    let streams = streams.map_err(|error| AppendError::Unknown {
        why: format!("the server's receipt is not understood: {error}").into(),
    })?;
    Ok(Receipt { position: Position(message.position), streams, replayed: message.replayed })
}

pub(super) fn metadata(message: v1::StreamMetadata) -> StreamMetadata {
    StreamMetadata {
        truncate_before: message.truncate_before,
        max_count: message.max_count,
        max_age_s: message.max_age_s,
        other: message.other,
    }
}

pub(super) fn capabilities(message: &v1::CapabilitiesResponse) -> Capabilities {
    Capabilities {
        gapless: message.gapless,
        query_checks: message.query_checks,
        queries: message.queries,
        multi_stream: message.multi_stream,
        tags: message.tags,
        tracking: message.tracking,
        as_of: message.as_of,
        occurred_at: message.occurred_at,
        replay_window: message.replay_window,
        limits: message.limits.as_ref().map(limits).unwrap_or_default(),
    }
}

fn limits(message: &v1::Limits) -> Limits {
    let size = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
    Limits {
        append_events_max: size(message.append_events_max),
        append_bytes_max: size(message.append_bytes_max),
        event_bytes_max: size(message.event_bytes_max),
        metadata_bytes_max: size(message.metadata_bytes_max),
        tags_max: size(message.tags_max),
        checks_max: size(message.checks_max),
        query_items_max: size(message.query_items_max),
        query_terms_max: size(message.query_terms_max),
    }
}

pub(super) fn statistics(message: v1::StatisticsResponse) -> Statistics {
    let statistic = |statistic: v1::Statistic| Statistic {
        name: statistic.name,
        value: statistic.value,
        help: statistic.help,
        counter: statistic.counter,
    };
    Statistics {
        numbers: message.statistics.into_iter().map(statistic).collect(),
        histograms: message.histograms.into_iter().map(histogram).collect(),
        subscribers: message.subscribers.into_iter().map(subscriber).collect(),
    }
}

fn histogram(message: v1::Histogram) -> Histogram {
    let v1::Histogram { name, help, buckets, sum } = message;
    let bucket =
        |bucket: v1::histogram::Bucket| Bucket { up_to: bucket.up_to, count: bucket.count };
    Histogram { name, help, buckets: buckets.into_iter().map(bucket).collect(), sum }
}

fn subscriber(message: v1::Subscriber) -> Subscriber {
    Subscriber {
        protocol: message.protocol,
        peer: message.peer,
        selects: message.selects,
        since: Timestamp(message.since_ns),
        position: Position(message.position),
        events: message.events,
        lag_events: message.lag_events,
        lag_seconds: message.lag_seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_makes_no_sense_leaves_the_outcome_unknown() {
        let written = v1::receipt::Written { stream: String::new(), first: 0, last: 0 };
        let message = v1::Receipt { position: 1, streams: vec![written], replayed: false };
        assert!(matches!(receipt(message), Err(AppendError::Unknown { .. })));
    }
}
