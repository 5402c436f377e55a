//! Reads: one stream again and again, and everything once.

use super::{Load, one};
use crate::{
    payload::Payloads,
    peer::{Client, Shared, Subject},
    sample::{Label, Sample},
};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Instant;

/// Events in an append that fills the stream: what every store takes.
const FILL_EVENTS: u64 = 500;

/// A stream of so many events, written first and then read until the time is over.
pub(crate) async fn stream(peer: &Shared, label: &Label, len: u64, load: Load) -> Result<()> {
    let (sample, start) = one(&**peer, |client| again(client, len, load)).await?;
    sample.print(label, &json!({ "len": len }), start)
}

async fn again(mut client: Box<dyn Client>, len: u64, load: Load) -> Result<(Sample, Instant)> {
    let mut subject = Subject::new();
    let mut payloads = Payloads::new(load.size);
    while subject.count < len {
        let count = FILL_EVENTS.min(len - subject.count);
        client.append(&mut subject, &payloads.take(count as usize)).await?;
    }
    client.read_stream(&mut subject).await?;
    let (mut sample, start) = (Sample::new(), Instant::now());
    while sample.count() < 2 || start.elapsed() < load.time {
        let began = Instant::now();
        let tally = client.read_stream(&mut subject).await?;
        ensure!(tally.events == len, "read {} of {len} events", tally.events);
        sample.ended(began, tally.events, tally.bytes);
    }
    Ok((sample, start))
}

/// The whole log, from its start: so many events, or an error.
pub(crate) async fn all(peer: &Shared, label: &Label, events: u64) -> Result<()> {
    let (sample, start) = one(&**peer, |mut client| async move {
        let (mut sample, start) = (Sample::new(), Instant::now());
        let tally = client.read_all(events).await?;
        sample.ended(start, tally.events, tally.bytes);
        ensure!(tally.events == events, "read {} of {events} events", tally.events);
        Ok((sample, start))
    })
    .await?;
    sample.print(label, &json!({ "events": events }), start)
}
