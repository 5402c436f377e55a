//! How what was handed out ends, or comes again.

use super::kit::*;
use std::time::Instant;

pub(crate) async fn what_was_acknowledged_does_not_come_again(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=10)).await?;
    ack_all(feed.hold(10).await?).await?;
    feed.quiet().await?;
    feed.close().await?;
    t.shared(&topic).await?.quiet().await
}

pub(crate) async fn dropped_unsettled_it_comes_again(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    drop(feed.next().await?);
    same("again", feed.labels(1).await?, labels("k", [1]));
    feed.quiet().await
}

pub(crate) async fn sent_back_it_comes_again(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=3)).await?;
    feed.next().await?.send_back(Duration::ZERO).await?;
    same("all of it", sorted(feed.until(&labels("k", 1..=3)).await?), labels("k", 1..=3));
    feed.quiet().await
}

pub(crate) async fn sent_back_with_a_delay_it_comes_no_sooner(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    let (began, delay) = (Instant::now(), Duration::from_millis(700));
    feed.next().await?.send_back(delay).await?;
    same("again", feed.labels(1).await?, labels("k", [1]));
    // Clocks of brokers count in milliseconds.
    let passed = began.elapsed() + Duration::from_millis(5);
    hold(passed >= delay, || format!("after {passed:?} instead of {delay:?}"))
}

pub(crate) async fn while_one_waits_other_keys_go_on(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "slow", [1])).await?;
    feed.next().await?.send_back(Duration::from_secs(3)).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=20)).await?;
    same("meanwhile", feed.labels(20).await?, labels("k", 1..=20));
    same("in the end", feed.labels(1).await?, labels("slow", [1]));
    Ok(())
}

pub(crate) async fn unsettled_it_comes_again_when_the_subscription_is_dropped(
    t: Trial<'_>,
) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=10)).await?;
    let mut held = feed.hold(6).await?;
    held.remove(0).ack().await?;
    drop(feed);
    let came = t.shared(&topic).await?.until(&labels("k", 2..=10)).await?;
    drop(held);
    let came = came.into_iter().filter(|label| label != "k-1").collect::<Vec<_>>();
    same("again, in order", came, labels("k", 2..=10));
    Ok(())
}

pub(crate) async fn an_acknowledgement_after_the_end_says_what_is_true(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    let held = feed.next().await?;
    drop(feed);
    let acked = within(t.settings.patience, held.ack()).await;
    let mut feed = t.shared(&topic).await?;
    match acked {
        Some(Ok(())) => feed.quiet().await,
        Some(Err(SettleError::Lost { .. })) => {
            same("again", feed.labels(1).await?, labels("k", [1]));
            Ok(())
        }
        other => Err(Failure::new(format!("the acknowledgement: {other:?}"))),
    }
}

pub(crate) async fn acknowledged_out_of_order_nothing_is_lost(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    let mut held = feed.hold(5).await?;
    for nth in [4, 2, 0] {
        held.remove(nth).ack().await?;
    }
    drop((held, feed));
    t.shared(&topic).await?.until(&[labels("k", [2]), labels("k", [4])].concat()).await?;
    Ok(())
}

pub(crate) async fn the_first_delivery_is_attempt_1(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=3)).await?;
    let held = feed.hold(3).await?;
    let attempts = held.iter().map(|delivered| delivered.attempt).collect::<Vec<_>>();
    same("attempts", attempts, vec![1, 1, 1]);
    ack_all(held).await
}

pub(crate) async fn attempts_are_counted(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    for attempt in 1..=4 {
        let delivered = feed.next().await?;
        same("the attempt", delivered.attempt, attempt);
        match attempt {
            4 => delivered.ack().await?,
            2 => drop(delivered),
            _ => delivered.send_back(Duration::ZERO).await?,
        }
    }
    feed.quiet().await
}

pub(crate) async fn attempts_are_counted_over_connections(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    let held = feed.next().await?;
    drop((feed, held));
    let delivered = t.shared(&topic).await?.next().await?;
    hold(delivered.attempt >= 2, || format!("attempt {} is the second", delivered.attempt))
}
