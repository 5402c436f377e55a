//! From an acknowledgement to a live subscriber in the same process, at a steady rate.

use super::Load;
use crate::{
    payload::numbered,
    peer::{Arrivals, Client, Shared, Subject},
    sample::{self, Label, Sample},
};
use anyhow::{Result, bail, ensure};
use serde_json::json;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long the last events are waited for, and until a subscription is live.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two events that show whether a subscription is live.
const POLL: Duration = Duration::from_millis(50);

/// Numbers from here on are those of such events.
const NOT_COUNTED: u64 = 1 << 62;

/// When an event was sent, and when it was acknowledged.
type Sent = HashMap<u64, (Instant, Instant)>;

pub(crate) async fn subscribe(peer: &Shared, label: &Label, rate: f64, load: Load) -> Result<()> {
    let mut arrivals = peer.subscribe().await?;
    let count = ((load.time.as_secs_f64() * rate) as u64).max(1);
    let mut client = peer.client().await?;
    let mut subject = Subject::new();
    if let Some(name) = peer.whole_log() {
        subject = Subject::named(name.to_owned());
        client.read_stream(&mut subject).await?;
    }
    go_live(&mut arrivals, &mut *client, &mut subject).await?;
    let receiving = tokio::spawn(receive(arrivals, count, load.time + PATIENCE));
    let sent = send(client, subject, (count, rate), load.size).await?;
    let received = receiving.await?;
    ensure!(received.len() as u64 == count, "{} of {count} events arrived", received.len());
    print(label, rate, &sent, &received);
    Ok(())
}

/// Appends until one of it arrives: stores do not say when a subscription is live.
async fn go_live(
    arrivals: &mut Arrivals,
    client: &mut dyn Client,
    subject: &mut Subject,
) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        client.append(subject, &[numbered(NOT_COUNTED + subject.count, 256)]).await?;
        if let Ok(arrived) = timeout(POLL, arrivals.recv()).await {
            ensure!(arrived.is_some(), "the subscription ended");
            return Ok(());
        }
    }
    bail!("the subscription is not live after {} s", PATIENCE.as_secs())
}

async fn send(
    mut client: Box<dyn Client>,
    mut subject: Subject,
    (count, rate): (u64, f64),
    size: usize,
) -> Result<Sent> {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Sent::new();
    for number in 0..count {
        ticks.tick().await;
        let event = numbered(number, size);
        let began = Instant::now();
        client.append(&mut subject, &[event]).await?;
        sent.insert(number, (began, Instant::now()));
    }
    Ok(sent)
}

async fn receive(mut arrivals: Arrivals, count: u64, limit: Duration) -> HashMap<u64, Instant> {
    let (mut received, until) = (HashMap::new(), Instant::now() + limit);
    while (received.len() as u64) < count {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(Some((number, at))) = timeout(left, arrivals.recv()).await else { break };
        if number < NOT_COUNTED {
            received.insert(number, at);
        }
    }
    received
}

fn print(label: &Label, rate: f64, sent: &Sent, received: &HashMap<u64, Instant>) {
    let (mut after, mut whole, mut append) = (Sample::new(), Sample::new(), Sample::new());
    let mut early = 0;
    for (number, (began, acknowledged)) in sent {
        let Some(arrived) = received.get(number) else { continue };
        early += u64::from(arrived < acknowledged);
        after.took(arrived.saturating_duration_since(*acknowledged));
        whole.took(arrived.saturating_duration_since(*began));
        append.took(*acknowledged - *began);
    }
    let figures = json!({
        "events": sent.len(),
        "p50_ms": after.ms(0.5), "p99_ms": after.ms(0.99), "max_ms": after.ms(1.0),
        "append_p50_ms": append.ms(0.5), "append_p99_ms": append.ms(0.99),
        "send_to_receive_p50_ms": whole.ms(0.5), "send_to_receive_p99_ms": whole.ms(0.99),
        "before_acknowledgement": early,
    });
    sample::print(label, &json!({ "rate": rate }), figures);
}
