//! What a load asks for, in Factum's words.

use super::{EVENT_TYPE, Subject, Tally};
use crate::payload::{Random, unique};
use anyhow::Result;
use bytes::Bytes;
use factum_core::{
    Append, EventData, EventType, Expected, Query, Read, RecordedEvent, Revision, StreamName,
};
use uuid::Uuid;

/// What a client keeps: the names it uses again, and where its ids come from.
pub(super) struct Words {
    event_type: EventType,
    ids: Random,
}

impl Words {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { event_type: EventType::new(EVENT_TYPE)?, ids: Random(unique()) })
    }

    pub(super) fn append(&mut self, subject: &Subject, events: &[Bytes]) -> Result<Append> {
        let stream = StreamName::new(&subject.name)?;
        let events = events.iter().map(|data| {
            let id = Uuid::from_u64_pair(self.ids.next(), self.ids.next());
            EventData::new(id, self.event_type.clone(), data.clone())
        });
        Ok(Append::to(stream.clone(), events).expecting(stream, expected(subject.count)))
    }
}

pub(super) fn expected(count: u64) -> Expected {
    count.checked_sub(1).map_or(Expected::NoStream, |last| Expected::At(Revision(last)))
}

pub(super) fn read_stream(subject: &Subject) -> Result<Read> {
    Ok(Read::stream(StreamName::new(&subject.name)?))
}

pub(super) fn read_all(limit: u64) -> Read {
    Read { limit: Some(limit), ..Read::query(Query::All) }
}

pub(super) fn see(tally: &mut Tally, events: &[RecordedEvent]) {
    events.iter().for_each(|event| tally.see(event.data()));
}
