//! Factum's server (or a KurrentDB) through KurrentDB's protocol, with the published crate
//! `kurrentdb`.

use super::{
    ARRIVALS_MAX, Arrivals, Client as Session, EVENT_TYPE, Peer, Subject, Tally, arrived, lanes,
};
use crate::{
    payload::{Random, unique},
    sample::Sample,
    work::Loop,
};
use anyhow::{Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use kurrentdb::{
    AppendToStreamOptions, BatchAppendClient, BatchAppendOptions, Client, EventData,
    ReadAllOptions, ReadStream, ReadStreamOptions, StreamPosition, StreamState,
    SubscribeToAllOptions,
};
use std::sync::Arc;
use uuid::Uuid;

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(format!("kurrentdb://{authority}?tls=false"))
    }

    fn connect(&self) -> Result<Client> {
        let settings = self.0.parse().map_err(|error| anyhow::anyhow!("{}: {error}", self.0))?;
        Client::new(settings).map_err(|error| anyhow::anyhow!("{}: {error}", self.0))
    }
}

#[async_trait]
impl Peer for Server {
    /// The client connects when it is first used: a small read does so before anything is measured.
    async fn client(&self) -> Result<Box<dyn Session>> {
        let mut client = Unary { client: self.connect()?, ids: Random(unique()) };
        client.read_all(1).await?;
        Ok(Box::new(client))
    }

    async fn subscribe(&self) -> Result<Arrivals> {
        let options = SubscribeToAllOptions::default().position(StreamPosition::End);
        let mut subscription = self.connect()?.subscribe_to_all(&options).await;
        let (sender, arrivals) = tokio::sync::mpsc::channel(ARRIVALS_MAX);
        tokio::spawn(async move {
            while let Ok(event) = subscription.next().await {
                if !arrived(&sender, &event.get_original_event().data) {
                    break;
                }
            }
        });
        Ok(arrivals)
    }

    async fn pipeline(&self, window: usize, job: Loop) -> Result<Sample> {
        let batches = self.connect()?.batch_append(&BatchAppendOptions::default()).await?;
        let batches = Arc::new(batches);
        let lane = |_| -> Box<dyn Session> {
            Box::new(Lane { batches: batches.clone(), ids: Random(unique()) })
        };
        lanes((0..window).map(lane).collect(), job).await
    }
}

/// What the stream must be like.
fn state(subject: &Subject) -> StreamState {
    subject.count.checked_sub(1).map_or(StreamState::NoStream, StreamState::StreamRevision)
}

fn events(ids: &mut Random, events: &[Bytes]) -> Vec<EventData> {
    let event = |data: &Bytes| {
        let id = Uuid::from_u64_pair(ids.next(), ids.next());
        // The bytes are JSON already: `EventData::json` would write them a second time.
        EventData::binary(EVENT_TYPE, data.clone()).id(id)
    };
    events.iter().map(event).collect()
}

/// An append a call.
struct Unary {
    client: Client,
    ids: Random,
}

async fn count(mut stream: ReadStream) -> Result<Tally> {
    let mut tally = Tally::default();
    while let Some(event) = stream.next().await? {
        tally.see(&event.get_original_event().data);
    }
    Ok(tally)
}

#[async_trait]
impl Session for Unary {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let options = AppendToStreamOptions::default().stream_state(state(subject));
        let events = events(&mut self.ids, data);
        self.client.append_to_stream(subject.name.as_str(), &options, events).await?;
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let options = ReadStreamOptions::default().position(StreamPosition::Start);
        let tally = count(self.client.read_stream(subject.name.as_str(), &options).await?).await?;
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        let options = ReadAllOptions::default().max_count(limit as usize);
        count(self.client.read_all(&options).await?).await
    }
}

/// One of many on a call of `BatchAppend`.
struct Lane {
    batches: Arc<BatchAppendClient>,
    ids: Random,
}

#[async_trait]
impl Session for Lane {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        let events = events(&mut self.ids, data);
        self.batches.append_to_stream(&subject.name, state(subject), events).await?;
        subject.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, _: &mut Subject) -> Result<Tally> {
        bail!("a call of BatchAppend does not read")
    }

    async fn read_all(&mut self, _: u64) -> Result<Tally> {
        bail!("a call of BatchAppend does not read")
    }
}
