//! What gRPC alone allows: a service of an event store's shape, with nothing behind it or with the
//! least log that is durable. Server and client are ours, in the same framework that Factum uses.

mod log;
pub(crate) mod message;
mod serve;
#[allow(unreachable_pub, clippy::all)]
mod stub {
    include!(concat!(env!("OUT_DIR"), "/echo.v1.Echo.rs"));
}

pub(crate) use serve::serve;

use super::{Client, EVENT_TYPE, Peer, Subject, Tally, measured};
use crate::{sample::Sample, work::Loop};
use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use message::{AppendRequest, Event, ReadRequest};
use std::{collections::VecDeque, time::Instant};
use stub::echo_client::EchoClient;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};

/// Windows of HTTP/2 on both sides, in bytes: no event store that is measured has larger ones.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;
pub(super) const CONNECTION_WINDOW: u32 = 8 << 20;
/// The largest message.
pub(super) const MESSAGE_MAX: usize = 64 << 20;

/// Events in a message that answers a read.
const BATCH: u32 = 500;

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(format!("http://{authority}"))
    }

    async fn connect(&self) -> Result<EchoClient<Channel>> {
        let endpoint = Endpoint::from_shared(self.0.clone())?
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let client = EchoClient::new(endpoint.connect().await?);
        Ok(client.max_decoding_message_size(MESSAGE_MAX))
    }
}

#[async_trait]
impl Peer for Server {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(Session(self.connect().await?)))
    }

    /// Answers come in order, so this needs no table of who waits: a limit has the least to do.
    async fn pipeline(&self, window: usize, mut job: Loop) -> Result<Sample> {
        let (sender, mut receiver) = mpsc::channel(window);
        let requests = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut client = self.connect().await?;
        let (mut subject, mut sent) = (Subject::new(), VecDeque::new());
        let (batch, bytes) = (job.batch as u64, job.bytes());
        let mut send = |sent: &mut VecDeque<Instant>| {
            sent.push_back(Instant::now());
            let request = request(&subject, &job.payloads.take(job.batch));
            subject.count += batch;
            request
        };
        for _ in 0..window {
            sender.send(send(&mut sent)).await?;
        }
        let mut answers = client.append_stream(requests).await?.into_inner();
        let mut sample = Sample::new();
        while !job.window.over() {
            answers.message().await?.context("the echo ended the call")?;
            let began = sent.pop_front().context("an answer without its question")?;
            if measured(&job.window, began) {
                sample.ended(began, batch, bytes);
            }
            sender.send(send(&mut sent)).await?;
        }
        Ok(sample)
    }
}

fn request(subject: &Subject, data: &[Bytes]) -> AppendRequest {
    let event = |data: &Bytes| Event {
        id: Bytes::from_static(&[7; 16]),
        event_type: EVENT_TYPE.to_owned(),
        data: data.clone(),
        ..Event::default()
    };
    let events = data.iter().map(event).collect();
    AppendRequest { stream: subject.name.clone(), expected: subject.count, events }
}

struct Session(EchoClient<Channel>);

impl Session {
    async fn read(&mut self, count: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        let answer = self.0.read(ReadRequest { count, batch: BATCH }).await?;
        let mut batches = answer.into_inner();
        while let Some(batch) = batches.message().await? {
            batch.events.iter().for_each(|event| tally.see(&event.data));
        }
        Ok(tally)
    }
}

#[async_trait]
impl Client for Session {
    async fn append(&mut self, subject: &mut Subject, data: &[Bytes]) -> Result<()> {
        self.0.append(request(subject, data)).await?;
        subject.count += data.len() as u64;
        Ok(())
    }

    /// As many as the stream has: the echo remembers none.
    async fn read_stream(&mut self, subject: &mut Subject) -> Result<Tally> {
        self.read(subject.count).await
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        self.read(limit).await
    }
}
