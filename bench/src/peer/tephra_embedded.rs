//! Tephra in this process: its engine, a thread a client.

use super::{Client, EVENT_TYPE, Home, Peer, Subject, Tally};
use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use tephra::{
    AppendCondition, Event, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag,
    Tags, WriteCoordinator, WriteHandle, WriterConfig,
};

/// As in its own documentation, and as large as Factum's.
const SEGMENT_BYTES: usize = 256 << 20;

pub(super) struct Embedded {
    handle: WriteHandle,
    coordinator: Arc<WriteCoordinator>,
}

impl Embedded {
    pub(super) fn open(folder: &str) -> Result<Self> {
        let segments = SegmentSet::open(folder, SegmentConfig::new(SEGMENT_BYTES))?;
        let (coordinator, handle) = WriteCoordinator::start(segments, WriterConfig::default())?;
        Ok(Self { handle, coordinator: Arc::new(coordinator) })
    }
}

#[async_trait]
impl Peer for Embedded {
    fn home(&self) -> Home {
        Home::Threads
    }

    async fn client(&self) -> Result<Box<dyn Client>> {
        let (handle, event_type) = (self.handle.clone(), EventType::new(EVENT_TYPE)?);
        Ok(Box::new(Session { handle, event_type, _coordinator: self.coordinator.clone() }))
    }
}

fn tags(stream: &str) -> Result<Tags> {
    Ok(Tags::new([Tag::new(stream)?])?)
}

struct Session {
    handle: WriteHandle,
    event_type: EventType,
    /// The writer ends with it.
    _coordinator: Arc<WriteCoordinator>,
}

impl Session {
    /// The events that were read, and the position of the last.
    fn read(&self, query: &Query, limit: Option<u64>) -> Result<(Tally, Option<u64>)> {
        let (mut tally, mut last) = (Tally::default(), None);
        let mut events = self.handle.read(query, Position::ZERO, limit);
        while let Some(event) = events.next() {
            let event = event?;
            tally.see(event.event.data());
            last = Some(event.position.get());
        }
        Ok((tally, last))
    }
}

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let tags = tags(&subject.name)?;
        let event = |data: &Bytes| Event::new(&self.event_type, &tags, data);
        let events = data.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        let query = Query::item(QueryItem::with_tags(tags));
        let after = Position::new(subject.token.unwrap_or(0));
        let written = self.handle.append(events, Some(AppendCondition::new(query).after(after)))?;
        subject.token = Some(written.last.get());
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let query = Query::item(QueryItem::with_tags(tags(&subject.name)?));
        let (tally, last) = self.read(&query, None)?;
        (subject.count, subject.token) = (tally.events, last);
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        Ok(self.read(&Query::all(), Some(limit))?.0)
    }
}
