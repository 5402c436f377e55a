//! Factum's server through its own protocol, with the crate `factum-client`: a connection a client.
//!
//! That client sends small appends on one stream of its connection, whoever calls; many at once
//! are its window.

use super::{
    ARRIVALS_MAX, Arrivals, Client, Peer, Subject, Tally, arrived, factum_words as words,
    factum_words::Words, lanes,
};
use crate::{sample::Sample, work::Loop};
use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use factum_client::FactumClient;
use factum_core::{EventStore, Position, Query, Read, Select, Subscribe, next_batch};

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(format!("factum://{authority}"))
    }

    async fn connect(&self) -> Result<FactumClient> {
        Ok(FactumClient::connect(&self.0).await?)
    }
}

#[async_trait]
impl Peer for Server {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Session { store: self.connect().await?, words: Words::new()? }))
    }

    async fn subscribe(&self) -> Result<Arrivals> {
        let store = self.connect().await?;
        let Position(head) = store.head().await?;
        let select = Select::Query(Query::All);
        let mut batches = store.subscribe(Subscribe { select, after: Some(head) }).await?;
        let (sender, arrivals) = tokio::sync::mpsc::channel(ARRIVALS_MAX);
        tokio::spawn(async move {
            while let Some(Ok(batch)) = next_batch(&mut batches).await {
                if !batch.events.iter().all(|event| arrived(&sender, event.data())) {
                    break;
                }
            }
        });
        Ok(arrivals)
    }

    async fn pipeline(&self, window: usize, job: Loop) -> Result<Sample> {
        let store = self.connect().await?;
        let session = |_| -> Result<Box<dyn Client>> {
            Ok(Box::new(Session { store: store.clone(), words: Words::new()? }))
        };
        lanes((0..window).map(session).collect::<Result<_>>()?, job).await
    }
}

struct Session {
    store: FactumClient,
    words: Words,
}

impl Session {
    async fn read(&self, read: Read) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut reading = self.store.read(read).await?;
        while let Some(batch) = next_batch(&mut reading.batches).await {
            words::see(&mut tally, &batch?.events);
        }
        Ok(tally)
    }
}

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, events: &[Bytes]) -> Result<()> {
        self.store.append(self.words.append(subject, events)?).await?;
        subject.count += events.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        let tally = self.read(words::read_stream(subject)?).await?;
        subject.count = tally.events;
        Ok(tally)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        self.read(words::read_all(limit)).await
    }
}
