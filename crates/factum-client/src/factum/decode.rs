//! What is answered, from messages of `factum.v1`.
//!
//! An answer that makes no sense is told as one that this client cannot understand; nothing of it
//! is handed on. A server is not trusted to send valid names, or indexes that are in their table.

use bytes::Bytes;
use factum_core::{
    AppendError, Batch, Capabilities, ContentType, EventType, InvalidName, Limits, Position,
    ReadError, Receipt, RecordedEvent, Revision, Statistic, Statistics, StreamMetadata, StreamName,
    StreamState, Tag, Timestamp, Uuid, Written,
    page::{Entry, PageBuilder, Place},
};
use factum_proto::factum::v1;
use std::fmt::Display;

/// The answer is not what the protocol says.
pub(super) fn not_understood(what: impl Display) -> ReadError {
    let what = format!("the server's answer is not understood ({what}): is it of another release?");
    ReadError::Unsupported { what: what.into() }
}

/// The names of a batch, each checked and made a name of ours when it is first used as one.
struct Names {
    texts: Vec<String>,
    streams: Vec<Option<StreamName>>,
    types: Vec<Option<EventType>>,
    tags: Vec<Option<Tag>>,
}

impl Names {
    fn new(texts: Vec<String>) -> Self {
        let count = texts.len();
        Self {
            texts,
            streams: vec![None; count],
            types: vec![None; count],
            tags: vec![None; count],
        }
    }

    fn stream(&mut self, place: u32) -> Result<StreamName, ReadError> {
        name(&self.texts, &mut self.streams, place, StreamName::new)
    }

    fn event_type(&mut self, place: u32) -> Result<EventType, ReadError> {
        name(&self.texts, &mut self.types, place, EventType::new)
    }

    fn tag(&mut self, place: u32) -> Result<Tag, ReadError> {
        name(&self.texts, &mut self.tags, place, Tag::new)
    }
}

fn name<N: Clone>(
    texts: &[String],
    known: &mut [Option<N>],
    place: u32,
    new: fn(&str) -> Result<N, InvalidName>,
) -> Result<N, ReadError> {
    let at = place as usize;
    let (Some(text), Some(known)) = (texts.get(at), known.get_mut(at)) else {
        return Err(not_understood(format_args!("name {place} of {}", texts.len())));
    };
    if let Some(name) = known {
        return Ok(name.clone());
    }
    let name = new(text).map_err(not_understood)?;
    *known = Some(name.clone());
    Ok(name)
}

pub(super) fn batch(message: v1::Batch) -> Result<Batch, ReadError> {
    Ok(Batch {
        events: events(message.names, &message.events)?,
        through: Position(message.through),
        caught_up: message.caught_up,
    })
}

fn events(names: Vec<String>, events: &[v1::Event]) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut names = Names::new(names);
    let mut page = PageBuilder::default();
    let bytes = events.iter().map(|event| event.data.len() + event.metadata.len()).sum();
    page.block().reserve_exact(bytes);
    let mut tags = Vec::new();
    for event in events {
        tags.clear();
        for place in &event.tags {
            tags.push(names.tag(*place)?);
        }
        let entry = entry(event, &mut names, &mut page)?;
        page.push(entry, &tags);
    }
    Ok(page.build())
}

fn entry(event: &v1::Event, names: &mut Names, page: &mut PageBuilder) -> Result<Entry, ReadError> {
    Ok(Entry {
        place: Place {
            stream: names.stream(event.stream)?,
            revision: Revision(event.revision),
            position: Position(event.position),
            recorded_at: Timestamp(event.recorded_at_ns),
        },
        id: id(&event.id).ok_or_else(|| not_understood("an id without 16 bytes"))?,
        event_type: names.event_type(event.r#type)?,
        content_type: match event.content_type() {
            v1::ContentType::Json => ContentType::Json,
            v1::ContentType::Binary => ContentType::Binary,
            v1::ContentType::Unspecified => {
                return Err(not_understood(format_args!("content type {}", event.content_type)));
            }
        },
        occurred_at: event.occurred_at_ns.map(Timestamp),
        data: page.copy(&event.data),
        metadata: page.copy(&event.metadata),
    })
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
    Statistics(message.statistics.into_iter().map(statistic).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> v1::Event {
        v1::Event {
            id: Bytes::copy_from_slice(Uuid::from_u128(7).as_bytes()),
            stream: 0,
            r#type: 1,
            content_type: v1::ContentType::Binary.into(),
            data: "data".into(),
            metadata: "meta".into(),
            tags: vec![2, 0],
            occurred_at_ns: None,
            recorded_at_ns: 5,
            revision: 3,
            position: 9,
        }
    }

    fn of(events: Vec<v1::Event>) -> v1::Batch {
        let names = ["s", "t", "k:v"].map(String::from).to_vec();
        v1::Batch { names, events, through: 9, caught_up: true }
    }

    #[test]
    fn a_batch_comes_out_as_it_was_stored() {
        let occurred = v1::Event { occurred_at_ns: Some(-1), tags: Vec::new(), ..event() };
        let batch = batch(of(vec![event(), occurred])).unwrap();
        assert!(batch.caught_up && batch.through == Position(9));
        let [first, second] = &batch.events[..] else { panic!("{batch:?}") };
        assert_eq!((first.stream().as_str(), first.event_type().as_str()), ("s", "t"));
        assert_eq!((first.data(), first.metadata()), (&b"data"[..], &b"meta"[..]));
        assert_eq!((first.revision(), first.position()), (Revision(3), Position(9)));
        assert_eq!((first.id(), first.content_type()), (Uuid::from_u128(7), ContentType::Binary));
        assert_eq!(first.tags(), ["k:v", "s"].map(|tag| Tag::new(tag).unwrap()));
        assert_eq!((first.recorded_at(), first.occurred_at_given()), (Timestamp(5), None));
        assert_eq!((second.occurred_at(), second.tags()), (Timestamp(-1), &[][..]));
        assert!(first.stream().ptr_eq(second.stream()), "a name is made once a batch");
    }

    #[test]
    fn nonsense_is_not_handed_on() {
        let bad = [
            v1::Event { stream: 3, ..event() },
            v1::Event { r#type: u32::MAX, ..event() },
            v1::Event { tags: vec![0, 3], ..event() },
            v1::Event { id: Bytes::new(), ..event() },
            v1::Event { content_type: 0, ..event() },
            v1::Event { content_type: 9, ..event() },
        ];
        for event in bad {
            let got = batch(of(vec![event.clone()]));
            assert!(matches!(got, Err(ReadError::Unsupported { .. })), "{event:?}: {got:?}");
        }
        let mut empty_name = of(vec![event()]);
        empty_name.names[0].clear();
        assert!(batch(empty_name).is_err());
    }

    #[test]
    fn a_receipt_that_makes_no_sense_leaves_the_outcome_unknown() {
        let written = v1::receipt::Written { stream: String::new(), first: 0, last: 0 };
        let message = v1::Receipt { position: 1, streams: vec![written], replayed: false };
        assert!(matches!(receipt(message), Err(AppendError::Unknown { .. })));
    }
}
