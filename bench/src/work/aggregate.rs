//! What an application does all day: read a stream, decide, append under the condition of the read.

use super::{Load, WARM_UP, each};
use crate::{
    payload::Payloads,
    peer::{Client, Shared, Subject},
    sample::{Label, Sample, Window},
};
use anyhow::Result;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Barrier;

/// Events in a stream at first.
const EVENTS: usize = 20;

/// Streams, shared out among the clients.
const STREAMS: usize = 1000;

/// Coprime to the number of streams, so that each gets its turn, far from the one before.
const STRIDE: usize = 7919;

pub(crate) async fn aggregate(
    peer: &Shared,
    label: &Label,
    clients: usize,
    load: Load,
) -> Result<()> {
    let filled = Arc::new(Barrier::new(clients));
    let samples = each(&**peer, clients, |_, mut client| {
        let filled = filled.clone();
        async move {
            let names = fill(&mut *client, STREAMS / clients, load).await?;
            filled.wait().await;
            run(client, names, load).await
        }
    });
    let (samples, starts): (Vec<_>, Vec<_>) = samples.await?.into_iter().unzip();
    let start = starts.into_iter().min().unwrap_or_else(Instant::now);
    let params = json!({ "clients": clients, "stream": EVENTS });
    Sample::sum(&samples)?.print(label, &params, start)
}

async fn fill(client: &mut dyn Client, streams: usize, load: Load) -> Result<Vec<String>> {
    let (mut names, mut payloads) = (Vec::new(), Payloads::new(load.size));
    for _ in 0..streams {
        let mut subject = Subject::new();
        client.append(&mut subject, &payloads.take(EVENTS)).await?;
        names.push(subject.name);
    }
    Ok(names)
}

async fn run(
    mut client: Box<dyn Client>,
    names: Vec<String>,
    load: Load,
) -> Result<(Sample, Instant)> {
    let (window, mut sample) = (Window::after(WARM_UP, load.time), Sample::new());
    let mut payloads = Payloads::new(load.size);
    for name in names.iter().cycle().step_by(STRIDE) {
        let began = Instant::now();
        if began >= window.stop {
            break;
        }
        // As a process that has never seen the stream does.
        let mut subject = Subject::named(name.clone());
        client.read_stream(&mut subject).await?;
        client.append(&mut subject, &payloads.take(1)).await?;
        if began >= window.start {
            sample.ended(began, 1, load.size as u64);
        }
    }
    Ok((sample, window.start))
}
