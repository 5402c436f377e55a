//! Events and ids, between the protocol and the core. Pure.

use super::{
    keys::{self, Keys},
    place::Server,
};
use bytes::Bytes;
use factum_core::{
    ContentType, EventData, EventType, Position, ReadError, RecordedEvent, Revision, StreamName,
    Timestamp, Uuid,
    page::{Entry, PAGE_BYTES_MAX, PageBuilder, Place},
    query::Subject,
    system,
};
use factum_proto::event_store::client::{
    self as shared, StreamIdentifier,
    streams::{append_req::ProposedMessage, read_resp::ReadEvent},
    uuid::{Structured, Value},
};
use std::{borrow::Cow, collections::BTreeMap};

const TYPE: &str = "type";
const CONTENT_TYPE: &str = "content-type";
const CREATED: &str = "created";
const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

/// Nanoseconds in the protocol's unit of time.
const TICK_NS: i64 = 100;

pub(super) fn stream_out(stream: &StreamName) -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::copy_from_slice(stream.as_str().as_bytes()) }
}

pub(super) fn id_out(id: Uuid) -> shared::Uuid {
    let (most, least) = id.as_u64_pair();
    let halves = Structured {
        most_significant_bits: most.cast_signed(),
        least_significant_bits: least.cast_signed(),
    };
    shared::Uuid { value: Some(Value::Structured(halves)) }
}

fn id_in(id: Option<shared::Uuid>) -> Option<Uuid> {
    match id?.value? {
        Value::String(text) => Uuid::parse_str(&text).ok(),
        Value::Structured(halves) => Some(Uuid::from_u64_pair(
            halves.most_significant_bits.cast_unsigned(),
            halves.least_significant_bits.cast_unsigned(),
        )),
    }
}

/// An event to append; why not, where the protocol has no place for what it says.
pub(super) fn proposed(event: &EventData) -> Result<ProposedMessage, Cow<'static, str>> {
    let content_type = match event.content_type {
        ContentType::Json => JSON,
        ContentType::Binary => BINARY,
    };
    Ok(ProposedMessage {
        id: Some(id_out(event.id)),
        metadata: BTreeMap::from([
            (TYPE.to_owned(), event.event_type.to_string()),
            (CONTENT_TYPE.to_owned(), content_type.to_owned()),
        ]),
        custom_metadata: keys::put(event)?,
        data: event.data.clone(),
    })
}

pub(super) fn not_understood(what: &str) -> ReadError {
    ReadError::Unsupported { what: format!("the server's answer is not understood: {what}").into() }
}

/// An event whose names are known, and whose payload is still the message's.
#[derive(Debug)]
pub(super) struct Decoded {
    place: Place,
    id: Uuid,
    event_type: EventType,
    content_type: ContentType,
    keys: Keys,
    metadata: Bytes,
    data: Bytes,
}

impl Decoded {
    /// What a query looks at.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { stream: &self.place.stream, event_type: &self.event_type, tags: &self.keys.tags }
    }

    pub(super) fn position(&self) -> Position {
        self.place.position
    }

    pub(super) fn revision(&self) -> Revision {
        self.place.revision
    }

    pub(super) fn is_tombstone(&self) -> bool {
        self.event_type.as_str() == system::STREAM_DELETED
    }
}

/// Events that are put together to a batch, and the names that were met.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    page: PageBuilder,
    streams: Vec<StreamName>,
    types: Vec<EventType>,
    last: Option<Position>,
}

/// How many of the latest names are looked through before one is made again.
const NAMES_KEPT: usize = 8;

/// Events in a batch, however small they are.
const BATCH_EVENTS_MAX: usize = 4096;

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.page.is_empty()
    }

    /// Whether an event has to wait for the next batch.
    pub(super) fn is_full_for(&self, event: &Decoded) -> bool {
        let bytes = self.page.block_len() + event.data.len() + event.metadata.len();
        let full = bytes > PAGE_BYTES_MAX || self.page.len() >= BATCH_EVENTS_MAX;
        full && !self.page.is_empty()
    }

    /// The position of the last event since the last [`Self::take`].
    pub(super) fn last(&self) -> Option<Position> {
        self.last
    }

    /// The events so far.
    pub(super) fn take(&mut self) -> Vec<RecordedEvent> {
        self.last = None;
        std::mem::take(&mut self.page).build()
    }

    /// Reads an event. Names are taken as they are: what a KurrentDB holds must be readable, also
    /// where it could not be written here.
    pub(super) fn decode(
        &mut self,
        event: ReadEvent,
        server: Server,
    ) -> Result<Decoded, ReadError> {
        let event = event.event.ok_or_else(|| not_understood("an event without content"))?;
        if event.commit_position == u64::MAX {
            return Err(not_understood("it tells no positions in streams; a newer KurrentDB does"));
        }
        let stream = event.stream_identifier.unwrap_or_default().stream_name;
        let stream =
            std::str::from_utf8(&stream).map_err(|_| not_understood("a name not in UTF-8"))?;
        let property = |name: &str| event.metadata.get(name).map_or("", String::as_str);
        let ticks: i64 = property(CREATED).parse().unwrap_or_default();
        let (keys, metadata) = keys::take(&event.custom_metadata);
        Ok(Decoded {
            place: Place {
                stream: kept(&mut self.streams, stream, StreamName::trusted),
                revision: Revision(event.stream_revision),
                position: server.ours(event.commit_position),
                recorded_at: Timestamp(ticks.saturating_mul(TICK_NS)),
            },
            id: id_in(event.id).ok_or_else(|| not_understood("an event without an id"))?,
            event_type: kept(&mut self.types, property(TYPE), EventType::trusted),
            content_type: match property(CONTENT_TYPE) {
                JSON => ContentType::Json,
                _ => ContentType::Binary,
            },
            keys,
            metadata,
            data: event.data,
        })
    }

    /// Adds an event.
    pub(super) fn push(&mut self, event: Decoded) {
        self.last = Some(event.position());
        let entry = Entry {
            data: self.page.copy(&event.data),
            metadata: self.page.copy(&event.metadata),
            stream: &event.place.stream,
            revision: event.place.revision,
            position: event.place.position,
            recorded_at: event.place.recorded_at,
            id: event.id,
            event_type: &event.event_type,
            tags: &event.keys.tags,
            content_type: event.content_type,
            occurred_at: event.keys.occurred_at,
        };
        self.page.push(entry);
    }
}

/// A name of the latest ones, or a new one.
fn kept<N: AsRef<str> + Clone>(
    names: &mut Vec<N>,
    name: &str,
    new: fn(std::sync::Arc<str>) -> N,
) -> N {
    if let Some(known) = names.iter().find(|known| known.as_ref() == name) {
        return known.clone();
    }
    if names.len() == NAMES_KEPT {
        names.remove(0);
    }
    names.push(new(name.into()));
    names.last().cloned().expect("it was pushed above")
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::Tag;
    use factum_proto::event_store::client::streams::read_resp::read_event;

    /// As a server answers what was appended.
    fn answered(event: &EventData, commit: u64) -> ReadEvent {
        let sent = proposed(event).unwrap();
        let mut metadata = sent.metadata;
        metadata.insert(CREATED.into(), "17".into());
        let recorded = read_event::RecordedEvent {
            id: sent.id,
            stream_identifier: Some(StreamIdentifier { stream_name: "s".into() }),
            stream_revision: 4,
            prepare_position: commit,
            commit_position: commit,
            metadata,
            custom_metadata: sent.custom_metadata,
            data: sent.data,
        };
        ReadEvent { event: Some(recorded), link: None, position: None }
    }

    fn event() -> EventData {
        EventData {
            content_type: ContentType::Binary,
            ..EventData::new(Uuid::from_u128(u128::MAX - 9), EventType::new("t").unwrap(), "data")
                .with_tags([Tag::new("k:1").unwrap()])
                .with_metadata("{\"a\": 1}")
        }
    }

    #[test]
    fn an_event_comes_out_as_it_went_in() {
        for (server, position) in [(Server::Factum, 9), (Server::Kurrent, 10)] {
            let mut gathered = Gathered::default();
            let decoded = gathered.decode(answered(&event(), 9), server).unwrap();
            gathered.push(decoded);
            assert_eq!(gathered.last(), Some(Position(position)));
            let events = gathered.take();
            assert_eq!(events[0].to_data(), event());
            assert_eq!((events[0].stream().as_str(), events[0].revision()), ("s", Revision(4)));
            assert_eq!(events[0].position(), Position(position));
            assert_eq!(events[0].recorded_at(), Timestamp(1700));
            assert!(gathered.is_empty(), "what was taken is gone");
        }
    }

    #[test]
    fn ids_are_read_in_both_forms() {
        let id = Uuid::from_u128(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef);
        assert_eq!(id_in(Some(id_out(id))), Some(id));
        let text = shared::Uuid { value: Some(Value::String(id.to_string())) };
        assert_eq!(id_in(Some(text)), Some(id));
        assert_eq!(id_in(Some(shared::Uuid { value: None })), None);
    }

    #[test]
    fn a_server_that_tells_no_positions_is_not_understood() {
        let got = Gathered::default().decode(answered(&event(), u64::MAX), Server::Kurrent);
        assert!(matches!(got, Err(ReadError::Unsupported { .. })), "{got:?}");
    }

    #[test]
    fn a_batch_is_full_at_its_limit() {
        let large = EventData { data: vec![0; PAGE_BYTES_MAX].into(), ..event() };
        let mut gathered = Gathered::default();
        let decoded = gathered.decode(answered(&large, 1), Server::Factum).unwrap();
        assert!(!gathered.is_full_for(&decoded), "one event is always taken");
        gathered.push(decoded);
        let decoded = gathered.decode(answered(&event(), 2), Server::Factum).unwrap();
        assert!(gathered.is_full_for(&decoded));
    }

    #[test]
    fn a_name_is_made_once() {
        let mut gathered = Gathered::default();
        let mut name = |commit| gathered.decode(answered(&event(), commit), Server::Factum);
        let (one, two) = (name(1).unwrap(), name(2).unwrap());
        assert!(one.place.stream.ptr_eq(&two.place.stream));
        assert!(one.event_type.ptr_eq(&two.event_type));
    }
}
