//! The crate `kurrentdb`: a module a behaviour, and what they share.

mod appends;
mod deletes;
mod expectations;
mod filters;
mod limits;
mod links;
mod metadata;
mod operations;
mod reads;
mod restart;
mod subscriptions;

use crate::{PATIENCE, server::Server};
use kurrentdb::{
    AppendToStreamOptions, Client, EventData, ReadAllOptions, ReadStream, ReadStreamOptions,
    ResolvedEvent, Result, StreamPosition, StreamState, WriteResult,
};
use serde_json::json;
use std::{future::Future, time::Instant};

/// A client of this server.
pub(crate) fn client(server: &Server) -> Client {
    let settings = format!("kurrentdb://{}?tls=false", server.address());
    Client::new(settings.parse().unwrap()).unwrap()
}

/// An event that carries a number.
pub(crate) fn event(kind: &str, number: u64) -> EventData {
    EventData::json(kind, &json!({ "number": number })).unwrap()
}

/// Events with the numbers of a range.
fn events(kind: &str, numbers: std::ops::Range<u64>) -> Vec<EventData> {
    numbers.map(|number| event(kind, number)).collect()
}

/// The number that an event carries.
fn number(event: &ResolvedEvent) -> u64 {
    let event = event.event.as_ref().unwrap();
    event.as_json::<serde_json::Value>().unwrap()["number"].as_u64().unwrap()
}

fn numbers(events: &[ResolvedEvent]) -> Vec<u64> {
    events.iter().map(number).collect()
}

fn revisions(events: &[ResolvedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.get_original_event().revision).collect()
}

fn expecting(state: StreamState) -> AppendToStreamOptions {
    AppendToStreamOptions::default().stream_state(state)
}

/// Appends, whatever the stream holds.
pub(crate) async fn append(
    client: &Client,
    stream: &str,
    events: Vec<EventData>,
) -> Result<WriteResult> {
    client.append_to_stream(stream, &AppendToStreamOptions::default(), events).await
}

async fn collect(mut stream: ReadStream) -> Result<Vec<ResolvedEvent>> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await? {
        events.push(event);
    }
    Ok(events)
}

/// A stream from its start.
pub(crate) async fn read(client: &Client, stream: &str) -> Result<Vec<ResolvedEvent>> {
    read_with(client, stream, &ReadStreamOptions::default()).await
}

async fn read_with(
    client: &Client,
    stream: &str,
    options: &ReadStreamOptions,
) -> Result<Vec<ResolvedEvent>> {
    collect(client.read_stream(stream, options).await?).await
}

/// `$all`.
pub(crate) async fn read_all(
    client: &Client,
    options: &ReadAllOptions,
) -> Result<Vec<ResolvedEvent>> {
    collect(client.read_all(options).await?).await
}

fn from<A>(position: A) -> StreamPosition<A> {
    StreamPosition::Position(position)
}

/// Asks again until it succeeds, for what a client does not retry by itself after a restart.
async fn retry<T, F: Future<Output = Result<T>>>(mut ask: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(error) if started.elapsed() > PATIENCE => panic!("still after a restart: {error}"),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}
