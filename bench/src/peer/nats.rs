//! NATS JetStream with file storage: one JetStream stream, one subject an event stream.
//!
//! The check is `Nats-Expected-Last-Subject-Sequence`; several events are an atomic batch (servers
//! from 2.12), of 1,000 at most; streams are read by batched direct gets (from 2.11), everything by
//! an ordered consumer.

use super::{ARRIVALS_MAX, Arrivals, Client as Session, Peer, Subject, Tally, arrived};
use anyhow::{Context as _, Result, bail};
use async_nats::{
    Client, ConnectOptions, HeaderMap,
    jetstream::{self, Context, consumer, stream},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;

const STREAM: &str = "EVENTS";
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// Messages that the client may have under way.
const CLIENT_CAPACITY: usize = 65_536;

/// Events in one direct get, and their bytes.
const GET_EVENTS: u64 = 1000;
const GET_BYTES: u64 = 8 << 20;

pub(super) struct Server(String);

impl Server {
    pub(super) fn at(authority: &str) -> Self {
        Self(format!("nats://{authority}"))
    }

    async fn connect(&self) -> Result<Client> {
        Ok(ConnectOptions::new().client_capacity(CLIENT_CAPACITY).connect(&self.0).await?)
    }
}

#[async_trait]
impl Peer for Server {
    async fn setup(&self) -> Result<()> {
        let config = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["ev.>".to_owned()],
            storage: stream::StorageType::File,
            allow_direct: true,
            allow_atomic_publish: true,
            ..stream::Config::default()
        };
        jetstream::new(self.connect().await?).get_or_create_stream(config).await?;
        Ok(())
    }

    async fn client(&self) -> Result<Box<dyn Session>> {
        let client = self.connect().await?;
        Ok(Box::new(Connection { jetstream: jetstream::new(client.clone()), client }))
    }

    async fn subscribe(&self) -> Result<Arrivals> {
        let client = self.connect().await?;
        let jetstream = jetstream::new(client.clone());
        let config = consumer::push::OrderedConfig {
            deliver_subject: client.new_inbox(),
            deliver_policy: consumer::DeliverPolicy::New,
            ..consumer::push::OrderedConfig::default()
        };
        let consumer = jetstream.get_stream(STREAM).await?.create_consumer(config).await?;
        let mut messages = consumer.messages().await?;
        let (sender, arrivals) = tokio::sync::mpsc::channel(ARRIVALS_MAX);
        tokio::spawn(async move {
            let _connection = jetstream;
            while let Some(Ok(message)) = messages.next().await {
                if !arrived(&sender, &message.payload) {
                    break;
                }
            }
        });
        Ok(arrivals)
    }
}

fn subject_of(stream: &Subject) -> String {
    format!("ev.{}", stream.name)
}

fn expecting(stream: &Subject) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(EXPECTED, stream.token.unwrap_or(0).to_string());
    headers
}

struct Connection {
    client: Client,
    jetstream: Context,
}

impl Connection {
    async fn append_one(&self, stream: &Subject, data: &Bytes) -> Result<u64> {
        let publish = self.jetstream.publish_with_headers(
            subject_of(stream),
            expecting(stream),
            data.clone(),
        );
        Ok(publish.await?.await?.sequence)
    }

    async fn append_batch(&self, stream: &Subject, data: &[Bytes]) -> Result<u64> {
        let (subject, inbox) = (subject_of(stream), self.client.new_inbox());
        let batch = inbox.rsplit('.').next().unwrap_or_default();
        let (last, others) = data.split_last().context("an append has events")?;
        let headers = |number: usize| {
            let mut headers = if number == 0 { expecting(stream) } else { HeaderMap::new() };
            headers.insert("Nats-Batch-Id", batch);
            headers.insert("Nats-Batch-Sequence", (number + 1).to_string());
            headers
        };
        for (number, data) in others.iter().enumerate() {
            let publish =
                self.client.publish_with_headers(subject.clone(), headers(number), data.clone());
            publish.await?;
        }
        let mut commit = headers(others.len());
        commit.insert("Nats-Batch-Commit", "1");
        let answer = self.client.request_with_headers(subject, commit, last.clone()).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload)?;
        let sequence = answer.get("seq").and_then(serde_json::Value::as_u64);
        sequence.with_context(|| format!("the batch was refused: {answer}"))
    }

    /// One batched direct get: the events, and the sequence of the last.
    async fn get(&self, subject: &str, from: u64) -> Result<(Tally, u64)> {
        let (inbox, mut tally, mut last) = (self.client.new_inbox(), Tally::default(), 0);
        let mut answers = self.client.subscribe(inbox.clone()).await?;
        let request = serde_json::json!({
            "seq": from, "next_by_subj": subject, "batch": GET_EVENTS, "max_bytes": GET_BYTES,
        });
        let api = format!("$JS.API.DIRECT.GET.{STREAM}");
        self.client.publish_with_reply(api, inbox, request.to_string().into()).await?;
        while let Some(answer) = answers.next().await {
            match answer.status.map(|status| status.as_u16()) {
                None => {}
                Some(0..300 | 404) => break,
                Some(status) => bail!("the direct get was refused with status {status}"),
            }
            tally.see(&answer.payload);
            let sequence = answer.headers.as_ref().and_then(|all| all.get("Nats-Sequence"));
            last = sequence.context("an event without its sequence")?.as_str().parse()?;
        }
        Ok((tally, last))
    }
}

#[async_trait]
impl Session for Connection {
    async fn append(&mut self, stream: &mut Subject, data: &[Bytes]) -> Result<()> {
        let sequence = match data {
            [one] => self.append_one(stream, one).await?,
            many => self.append_batch(stream, many).await?,
        };
        stream.token = Some(sequence);
        stream.count += data.len() as u64;
        Ok(())
    }

    async fn read_stream(&mut self, stream: &mut Subject) -> Result<Tally> {
        let (subject, mut all, mut from) = (subject_of(stream), Tally::default(), 1);
        loop {
            let (got, last) = self.get(&subject, from).await?;
            all = Tally { events: all.events + got.events, bytes: all.bytes + got.bytes };
            if got.events > 0 {
                stream.token = Some(last);
            }
            // Fewer than were asked for may also be what fitted: a short stream needs no more.
            if got.events == 0 || all.events >= stream.count {
                break;
            }
            from = last + 1;
        }
        stream.count = all.events;
        Ok(all)
    }

    async fn read_all(&mut self, limit: u64) -> Result<Tally> {
        let config = consumer::push::OrderedConfig {
            deliver_subject: self.client.new_inbox(),
            deliver_policy: consumer::DeliverPolicy::All,
            ..consumer::push::OrderedConfig::default()
        };
        let consumer = self.jetstream.get_stream(STREAM).await?.create_consumer(config).await?;
        let pending = consumer.cached_info().num_pending.min(limit);
        let (mut messages, mut tally) = (consumer.messages().await?, Tally::default());
        while tally.events < pending {
            let message = messages.next().await.context("the consumer ended early")??;
            tally.see(&message.payload);
        }
        Ok(tally)
    }
}
