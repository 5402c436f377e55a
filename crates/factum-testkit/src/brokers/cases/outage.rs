//! The broker goes away, and comes back.

use super::kit::*;
use futures_util::future::{join, join3};

pub(crate) async fn publishing_ends_and_may_be_tried_again(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, _feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    t.go_away().await?;
    let outcomes = t.publish(&*publisher, &t.batch(&topic, "k", 2..=4)).await;
    t.come_back().await?;
    for outcome in outcomes? {
        let retryable = outcome.as_ref().is_err_and(PublishError::is_retryable);
        hold(retryable, || format!("while it was away: {outcome:?}"))?;
    }
    Ok(())
}

pub(crate) async fn the_same_publisher_goes_on_afterwards(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    t.go_away().await?;
    t.come_back().await?;
    t.insist(&*publisher, &t.batch(&topic, "k", 2..=5)).await?;
    feed.until(&labels("k", 1..=5)).await?;
    Ok(())
}

pub(crate) async fn the_same_subscription_goes_on_afterwards(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=3)).await?;
    feed.until(&labels("k", 1..=3)).await?;
    for round in 1..=2_u64 {
        t.go_away().await?;
        feed.quiet().await?;
        t.come_back().await?;
        t.insist(&*publisher, &t.batch(&topic, "k", [3 + round])).await?;
        feed.until(&labels("k", [3 + round])).await?;
    }
    Ok(())
}

pub(crate) async fn what_was_confirmed_before_comes_afterwards(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    t.shared(&topic).await?.close().await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=50)).await?;
    t.go_away().await?;
    t.come_back().await?;
    let came = t.shared(&topic).await?.until(&labels("k", 1..=50)).await?;
    same("delivered, in order", came, labels("k", 1..=50));
    Ok(())
}

pub(crate) async fn what_was_not_settled_comes_again(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    let held = feed.hold(5).await?;
    t.go_away().await?;
    t.come_back().await?;
    let came = feed.until(&labels("k", 1..=5)).await?;
    drop(held);
    same("again, in order", came, labels("k", 1..=5));
    Ok(())
}

pub(crate) async fn a_settlement_that_is_lost_says_so(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    let held = feed.next().await?;
    t.go_away().await?;
    let acked = within(t.settings.patience, held.ack()).await;
    t.come_back().await?;
    match acked {
        Some(Err(SettleError::Lost { .. })) => {
            feed.until(&labels("k", [1])).await?;
            Ok(())
        }
        other => Err(Failure::new(format!("while it was away: {other:?}"))),
    }
}

pub(crate) async fn order_of_a_key_holds_over_it(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let keys = ["a", "b", "c"];
    let batch = (1..=30).flat_map(|n| keys.map(|key| (key, n)));
    let batch = batch.flat_map(|(key, n)| t.batch(&topic, key, [n])).collect::<Vec<_>>();
    let outage = async {
        t.go_away().await?;
        t.pause(Duration::from_millis(200)).await;
        t.come_back().await
    };
    let publishing = async {
        for part in batch.chunks(9) {
            t.insist(&*publisher, part).await?;
        }
        Ok::<_, Failure>(())
    };
    let (published, away) = join(publishing, outage).await;
    published?;
    away?;
    let all = keys.iter().flat_map(|key| labels(key, 1..=30)).collect::<Vec<_>>();
    for (key, numbers) in by_key(&feed.until(&all).await?) {
        same(&key, numbers, (1..=30).collect());
    }
    Ok(())
}

pub(crate) async fn nothing_is_lost_while_it_comes_and_goes(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let all = labels("k", 1..=40);
    let publishing = async {
        for number in 1..=40 {
            t.insist(&*publisher, &t.batch(&topic, "k", [number])).await?;
            // Slowly, so that some of it falls into the outages.
            t.pause(Duration::from_millis(10)).await;
        }
        Ok::<_, Failure>(())
    };
    let outages = async {
        for _ in 0..2 {
            t.go_away().await?;
            t.pause(Duration::from_millis(100)).await;
            t.come_back().await?;
        }
        Ok::<_, Failure>(())
    };
    let (published, away, came) = join3(publishing, outages, feed.until(&all)).await;
    published?;
    away?;
    same("delivered, in order", came?, all);
    Ok(())
}
