//! Appends: in a closed loop, with many in flight, and as fast as a store is filled.

use super::{Load, WARM_UP, each};
use crate::{
    payload::Payloads,
    peer::{Client, Shared, Subject},
    sample::{Label, Sample, Window},
};
use anyhow::Result;
use serde_json::json;
use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// A client that waits for each answer before its next append, on a stream of its own.
#[derive(Clone)]
pub(crate) struct Loop {
    pub(crate) payloads: Payloads,
    pub(crate) batch: usize,
    pub(crate) size: usize,
    pub(crate) window: Window,
}

impl Loop {
    fn new(batch: usize, load: Load) -> Self {
        let window = Window::after(WARM_UP, load.time);
        Self { payloads: Payloads::new(load.size), batch, size: load.size, window }
    }

    /// Bytes of an append.
    pub(crate) fn bytes(&self) -> u64 {
        (self.batch * self.size) as u64
    }

    pub(crate) async fn run(mut self, mut client: Box<dyn Client>) -> Result<Sample> {
        let (mut sample, mut subject) = (Sample::new(), Subject::new());
        loop {
            let events = self.payloads.take(self.batch);
            let began = Instant::now();
            if began >= self.window.stop {
                return Ok(sample);
            }
            client.append(&mut subject, &events).await?;
            if began >= self.window.start {
                sample.ended(began, self.batch as u64, self.bytes());
            }
        }
    }
}

/// So many clients, and so many events an append.
pub(crate) async fn append(
    peer: &Shared,
    label: &Label,
    (clients, batch): (usize, usize),
    load: Load,
) -> Result<()> {
    // Begins when the clients are connected, which takes some of them longer than the warm-up.
    let job = LazyLock::new(|| Loop::new(batch, load));
    let samples = each(&**peer, clients, |_, client| job.clone().run(client)).await?;
    let params = json!({ "clients": clients, "batch": batch });
    Sample::sum(&samples)?.print(label, &params, job.window.start)
}

/// One client with a window of appends in flight.
pub(crate) async fn pipeline(
    peer: &Shared,
    label: &Label,
    window: usize,
    load: Load,
) -> Result<()> {
    let job = Loop::new(1, load);
    let start = job.window.start;
    let sample = peer.pipeline(window, job).await?;
    sample.print(label, &json!({ "window": window }), start)
}

/// What a store is filled with.
#[derive(Clone, Copy)]
pub(crate) struct Fill {
    pub(crate) events: u64,
    /// Events in an append, which is a stream.
    pub(crate) each: u64,
    pub(crate) clients: usize,
    pub(crate) size: usize,
}

/// Fills a store: every append a stream of its own, except where one stream stands for the log.
pub(crate) async fn fill(peer: &Shared, label: &Label, fill: Fill) -> Result<()> {
    let clients = if peer.whole_log().is_some() { 1 } else { fill.clients };
    let (next, start, whole_log) = (Arc::new(AtomicU64::new(0)), Instant::now(), peer.whole_log());
    let samples = each(&**peer, clients, |_, client| {
        let next = next.clone();
        async move { run(client, fill, whole_log, &next).await }
    });
    let params = json!({ "events": fill.events, "each": fill.each, "clients": clients });
    Sample::sum(&samples.await?)?.print(label, &params, start)
}

async fn run(
    mut client: Box<dyn Client>,
    fill: Fill,
    whole_log: Option<&'static str>,
    next: &AtomicU64,
) -> Result<Sample> {
    let (mut sample, mut payloads) = (Sample::new(), Payloads::new(fill.size));
    let new = || whole_log.map_or_else(Subject::new, |name| Subject::named(name.to_owned()));
    let mut subject = new();
    loop {
        let begun = next.fetch_add(fill.each, Ordering::Relaxed);
        if begun >= fill.events {
            return Ok(sample);
        }
        let count = fill.each.min(fill.events - begun);
        if whole_log.is_none() {
            subject = new();
        }
        let began = Instant::now();
        client.append(&mut subject, &payloads.take(count as usize)).await?;
        sample.ended(began, count, count * fill.size as u64);
    }
}
