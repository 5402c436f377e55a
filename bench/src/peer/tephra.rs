//! Tephra's server over its own protocol, with its asynchronous client: a stream is a tag.

use super::{ARRIVALS_MAX, Arrivals, Client, EVENT_TYPE, Peer, Subject, Tally, arrived};
use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use tephra_client::{
    AppendCondition, AsyncClient, Event, Position, Query, QueryItem, SubEvent, Tag, Tags,
};

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(authority.to_owned())
    }
}

#[async_trait]
impl Peer for Server {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Session(AsyncClient::connect(self.0.as_str()).await?)))
    }

    async fn subscribe(&self) -> Result<Arrivals> {
        let client = AsyncClient::connect(self.0.as_str()).await?;
        let head = client.stats().await?.event_count;
        let mut items = client.subscribe(Query::all(), Position::new(head)).await;
        let (sender, arrivals) = tokio::sync::mpsc::channel(ARRIVALS_MAX);
        tokio::spawn(async move {
            let _connection = client;
            while let Some(Ok(item)) = items.next().await {
                let SubEvent::Event(event) = item else { continue };
                if !arrived(&sender, event.event().payload()) {
                    break;
                }
            }
        });
        Ok(arrivals)
    }
}

fn of(stream: &str) -> Result<Query> {
    Ok(Query::item(QueryItem::with_tags(Tags::new([Tag::new(stream)?])?)))
}

struct Session(AsyncClient);

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let event = |data: &Bytes| Event::new(EVENT_TYPE, [subject.name.as_str()], data.to_vec());
        let events = data.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        let after = Position::new(subject.token.unwrap_or(0));
        let condition = AppendCondition::new(of(&subject.name)?).after(after);
        subject.token = Some(self.0.append(events, Some(condition)).await?.last.get());
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut events = self.0.read(of(&subject.name)?, Position::ZERO, None).await;
        while let Some(event) = events.next().await {
            let event = event?;
            tally.see(event.event().payload());
            subject.token = Some(event.position().get());
        }
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut events = self.0.read(Query::all(), Position::ZERO, Some(limit)).await;
        while let Some(event) = events.next().await {
            tally.see(event?.event().payload());
        }
        Ok(tally)
    }
}
