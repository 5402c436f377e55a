//! Leaving: with nothing in flight lost, within a limit.

use super::kit::*;
use futures_util::future::join;
use std::time::Instant;

pub(crate) async fn with_nothing_in_flight_it_is_quick(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=3)).await?;
    feed.labels(3).await?;
    let began = Instant::now();
    same("unsettled", feed.close().await?.unsettled, 0);
    let passed = began.elapsed();
    hold(passed < t.settings.patience / 3, || format!("it took {passed:?}"))
}

pub(crate) async fn it_waits_for_what_is_in_flight(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=4)).await?;
    let held = feed.hold(4).await?;
    let closing = feed.close();
    let acking = async {
        t.pause(t.settings.quiet).await;
        ack_all(held).await
    };
    let (closed, acked) = join(closing, acking).await;
    acked?;
    same("unsettled", closed?.unsettled, 0);
    t.shared(&topic).await?.quiet().await
}

pub(crate) async fn it_waits_no_longer_than_its_limit(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=4)).await?;
    let held = feed.hold(4).await?;
    let (began, limit) = (Instant::now(), Duration::from_millis(500));
    same("unsettled", feed.close_within(limit).await?.unsettled, 4);
    let passed = began.elapsed();
    hold(passed < limit + t.settings.patience / 3, || format!("it took {passed:?}"))?;
    drop(held);
    Ok(())
}

pub(crate) async fn what_was_not_settled_comes_again(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=4)).await?;
    let held = feed.hold(4).await?;
    feed.close_within(Duration::ZERO).await?;
    let came = t.shared(&topic).await?.until(&labels("k", 1..=4)).await?;
    same("again, in order", came, labels("k", 1..=4));
    drop(held);
    Ok(())
}

pub(crate) async fn what_was_not_handed_out_comes_to_the_next(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=100)).await?;
    same("at first", feed.labels(3).await?, labels("k", 1..=3));
    same("unsettled", feed.close().await?.unsettled, 0);
    let mut next = t.shared(&topic).await?;
    same("the rest", next.labels(97).await?, labels("k", 4..=100));
    next.quiet().await
}

pub(crate) async fn nothing_comes_twice_over_a_clean_restart(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    t.shared(&topic).await?.close().await?;
    let mut came = Vec::new();
    for round in 0..4 {
        t.put(&*publisher, &t.batch(&topic, "k", round * 5 + 1..=round * 5 + 5)).await?;
        let mut feed = t.shared(&topic).await?;
        came.extend(feed.labels(5).await?);
        same("unsettled", feed.close().await?.unsettled, 0);
    }
    same("delivered", came, labels("k", 1..=20));
    Ok(())
}
