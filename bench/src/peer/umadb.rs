//! UmaDB, and Factum's DCB service, with the published crate `umadb-client`: a stream is a tag.

use super::{ARRIVALS_MAX, Arrivals, Client, EVENT_TYPE, Peer, Subject, Tally, arrived};
use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{
    DcbAppendCondition, DcbEvent, DcbEventStoreAsync, DcbQuery, DcbQueryItem, DcbSequencedEvent,
};

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(format!("http://{authority}"))
    }

    async fn connect(&self) -> Result<AsyncUmaDbClient> {
        Ok(UmaDbClient::new(self.0.clone()).connect_async().await?)
    }
}

#[async_trait]
impl Peer for Server {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Session(self.connect().await?)))
    }

    async fn subscribe(&self) -> Result<Arrivals> {
        let client = self.connect().await?;
        let head = client.head().await?;
        let mut events = client.subscribe(None, head).await?;
        let (sender, arrivals) = tokio::sync::mpsc::channel(ARRIVALS_MAX);
        tokio::spawn(async move {
            let _connection = client;
            while let Some(Ok(event)) = events.next().await {
                if !arrived(&sender, &event.event.data) {
                    break;
                }
            }
        });
        Ok(arrivals)
    }
}

fn of(stream: &str) -> DcbQuery {
    DcbQuery::new().item(DcbQueryItem::new().tags([stream]))
}

fn see(tally: &mut Tally, events: &[DcbSequencedEvent]) {
    events.iter().for_each(|event| tally.see(&event.event.data));
}

struct Session(AsyncUmaDbClient);

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let stream = subject.name.as_str();
        let event = |data: &Bytes| {
            DcbEvent::new().event_type(EVENT_TYPE).tags([stream]).data(data.to_vec())
        };
        let events = data.iter().map(event).collect();
        let condition = DcbAppendCondition::new(of(stream)).after(subject.token);
        subject.token = Some(self.0.append(events, Some(condition), None).await?);
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut batches = self.0.read(Some(of(&subject.name)), None, false, None).await?;
        loop {
            let events = batches.next_batch().await?;
            let Some(last) = events.last() else { break };
            subject.token = Some(last.position);
            see(&mut tally, &events);
        }
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut batches = self.0.read(None, None, false, Some(limit)).await?;
        loop {
            let events = batches.next_batch().await?;
            if events.is_empty() {
                return Ok(tally);
            }
            see(&mut tally, &events);
        }
    }
}
