//! How much is handed out, and when.

use super::kit::*;
use std::task::Poll;

/// Subscribes with a small prefetch.
async fn few(t: &Trial<'_>, topic: &str, prefetch: u16) -> Result<Feed, Failure> {
    t.subscribe(Subscription::shared(&t.group("g"), [topic]).prefetch(prefetch)).await
}

/// Messages, each with a key of its own.
fn apart(t: &Trial<'_>, topic: &str, count: u64) -> Vec<Outgoing> {
    (1..=count).flat_map(|n| t.batch(topic, &format!("k{n}"), [n])).collect()
}

pub(crate) async fn no_more_are_handed_out_than_asked_for(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, few(&t, &topic, 5).await?);
    t.put(&*publisher, &apart(&t, &topic, 12)).await?;
    let mut held = feed.hold(5).await?;
    feed.quiet().await?;
    held.remove(0).ack().await?;
    held.push(feed.next().await?);
    feed.quiet().await?;
    ack_all(held).await?;
    same("the rest", feed.labels(6).await?.len(), 6);
    feed.quiet().await
}

pub(crate) async fn one_at_a_time(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, few(&t, &topic, 1).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    let first = feed.next().await?;
    feed.quiet().await?;
    first.ack().await?;
    same("the rest", feed.labels(4).await?, labels("k", 2..=5));
    Ok(())
}

pub(crate) async fn what_is_sent_back_makes_room(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, few(&t, &topic, 1).await?);
    t.put(&*publisher, &apart(&t, &topic, 2)).await?;
    feed.next().await?.send_back(Duration::ZERO).await?;
    same("all", sorted(feed.until(&["k1-1".into(), "k2-2".into()]).await?).len(), 2);
    feed.quiet().await
}

pub(crate) async fn what_is_dropped_makes_room(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, few(&t, &topic, 2).await?);
    t.put(&*publisher, &apart(&t, &topic, 2)).await?;
    drop(feed.hold(2).await?);
    same("all", sorted(feed.until(&["k1-1".into(), "k2-2".into()]).await?).len(), 2);
    Ok(())
}

pub(crate) async fn dropping_next_loses_nothing(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let batch = t.batch(&topic, "k", 1..=50);
    let mut came = Vec::new();
    for outgoing in batch.chunks(1) {
        let _ = within(Duration::from_millis(1), feed.raw_next()).await.map(|one| came.push(one));
        t.put(&*publisher, outgoing).await?;
        for _ in 0..3 {
            if let Poll::Ready(one) = poll_once(&mut feed.raw_next()).await {
                came.push(one);
            }
        }
    }
    let mut seen = Vec::new();
    for delivered in came {
        let delivered = delivered?;
        seen.push(label(&message_of(&delivered)?));
        delivered.ack().await?;
    }
    let left = 50 - seen.len();
    seen.extend(feed.labels(left).await?);
    same("delivered", seen, labels("k", 1..=50));
    feed.quiet().await
}

pub(crate) async fn next_waits_until_there_is_one(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let mut next = feed.raw_next();
    hold(within(t.settings.quiet, &mut next).await.is_none(), || "something came".into())?;
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    let came = within(t.settings.patience, next).await;
    let delivered = came.ok_or_else(|| Failure::new("nobody woke it"))??;
    same("it", label(&message_of(&delivered)?), "k-1".to_owned());
    delivered.ack().await?;
    Ok(())
}

pub(crate) async fn a_long_queue_is_worked_off(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, few(&t, &topic, 16).await?);
    for n in 0..10 {
        t.put(&*publisher, &t.batch(&topic, &format!("k{n}"), 1..=100)).await?;
    }
    let mut count = 0;
    while count < 1_000 {
        let held = feed.hold(8.min(1_000 - count)).await?;
        count += labels_of(&held).len();
        ack_all(held).await?;
    }
    feed.quiet().await
}
