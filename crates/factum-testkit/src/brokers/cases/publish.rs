//! Giving messages to a broker.

use super::kit::*;
use futures_util::future::join_all;

pub(crate) async fn an_empty_batch_has_no_outcomes(t: Trial<'_>) -> Outcome {
    let publisher = t.publisher().await?;
    same("outcomes", t.publish(&*publisher, &[]).await?, Vec::new());
    Ok(())
}

pub(crate) async fn what_is_confirmed_is_delivered(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=20)).await?;
    same("delivered", feed.labels(20).await?, labels("k", 1..=20));
    feed.quiet().await
}

pub(crate) async fn a_batch_for_several_topics_goes_to_each(t: Trial<'_>) -> Outcome {
    let (a, b) = (t.topic("a").await?, t.topic("b").await?);
    let publisher = t.publisher().await?;
    let mut to_a = t.subscribe(Subscription::shared(&t.group("a"), [a.as_str()])).await?;
    let mut to_b = t.subscribe(Subscription::shared(&t.group("b"), [b.as_str()])).await?;
    let batch = (1..=10).flat_map(|n| [t.batch(&a, "k", [n]), t.batch(&b, "l", [n])].concat());
    t.put(&*publisher, &batch.collect::<Vec<_>>()).await?;
    same("to one", to_a.labels(10).await?, labels("k", 1..=10));
    same("to the other", to_b.labels(10).await?, labels("l", 1..=10));
    Ok(())
}

pub(crate) async fn what_is_confirmed_waits_while_the_group_is_gone(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    t.shared(&topic).await?.close().await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=10)).await?;
    same("delivered", t.shared(&topic).await?.labels(10).await?, labels("k", 1..=10));
    Ok(())
}

/// A message that is larger than the broker takes.
fn too_large(t: &Trial<'_>, topic: &str, key: &str, max: u64) -> Option<Outgoing> {
    // Where nothing is refused by its size, 64 MiB are proof enough.
    let bytes = usize::try_from(max).ok().filter(|max| *max <= 64 << 20)? + 1;
    let message = t.message(key, 0).data("application/octet-stream", vec![7; bytes]);
    Some(Outgoing::new(topic, message))
}

pub(crate) async fn over_the_limit_is_refused_and_those_beside_it_go(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let max = publisher.max_bytes();
    let Some(large) = too_large(&t, &topic, "large", max) else { return Ok(()) };
    let batch = [t.batch(&topic, "k", [1]), vec![large], t.batch(&topic, "k", [2])].concat();
    let outcomes = t.publish(&*publisher, &batch).await?;
    match &outcomes[..] {
        [Ok(()), Err(PublishError::TooLarge { bytes, max: told }), Ok(())] => {
            hold(*bytes > max && *told == max, || format!("{bytes} of {told}"))?;
        }
        other => return Err(Failure::new(format!("outcomes: {other:?}"))),
    }
    same("delivered", feed.labels(2).await?, labels("k", 1..=2));
    feed.quiet().await
}

pub(crate) async fn what_is_behind_a_failure_with_its_key_is_not_sent(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let Some(large) = too_large(&t, &topic, "k", publisher.max_bytes()) else { return Ok(()) };
    let parts = [t.batch(&topic, "k", [1]), vec![large], t.batch(&topic, "k", [2, 3])];
    let batch = [parts.concat(), t.batch(&topic, "l", [1])].concat();
    let outcomes = t.publish(&*publisher, &batch).await?;
    let behind = PublishError::Behind { key: "k".into() };
    hold(matches!(outcomes[1], Err(PublishError::TooLarge { .. })), || format!("{outcomes:?}"))?;
    same("the first", outcomes[0].clone(), Ok(()));
    same("those behind", outcomes[2..4].to_vec(), vec![Err(behind.clone()), Err(behind)]);
    same("of another key", outcomes[4].clone(), Ok(()));
    same("delivered", sorted(feed.labels(2).await?), vec!["k-1".to_owned(), "l-1".to_owned()]);
    feed.quiet().await
}

pub(crate) async fn after_a_failure_the_next_call_goes_on(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let Some(large) = too_large(&t, &topic, "k", publisher.max_bytes()) else { return Ok(()) };
    let batch = [vec![large], t.batch(&topic, "k", [1])].concat();
    let outcomes = t.publish(&*publisher, &batch).await?;
    hold(outcomes.iter().all(Result::is_err), || "a failure was confirmed".into())?;
    t.put(&*publisher, &t.batch(&topic, "k", 2..=3)).await?;
    same("delivered", feed.labels(2).await?, labels("k", 2..=3));
    Ok(())
}

pub(crate) async fn large_messages_go(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let bytes = usize::try_from(publisher.max_bytes() / 2).unwrap_or(usize::MAX).min(4 << 20);
    let data = (0..bytes).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    let message = t.message("k", 1).data("application/octet-stream", data.clone());
    t.put(&*publisher, &[Outgoing::new(&topic, message)]).await?;
    let taken = feed.take(1).await?;
    hold(taken[0].data == data, || format!("{} bytes of {bytes}, or others", taken[0].data.len()))
}

pub(crate) async fn a_topic_that_nobody_takes_is_unroutable(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let nobody = t.name("nobody");
    let parts = [t.batch(&nobody, "k", [1]), t.batch(&topic, "k", [2]), t.batch(&topic, "l", [1])];
    let outcomes = t.publish(&*publisher, &parts.concat()).await?;
    match &outcomes[0] {
        Err(PublishError::Unroutable { topic, .. }) => same("the topic", topic, &nobody),
        other => return Err(Failure::new(format!("not unroutable: {other:?}"))),
    }
    same("behind", outcomes[1].clone(), Err(PublishError::Behind { key: "k".into() }));
    same("another key", outcomes[2].clone(), Ok(()));
    same("delivered", feed.labels(1).await?, labels("l", [1]));
    Ok(())
}

pub(crate) async fn an_empty_topic_is_refused_for_good(t: Trial<'_>) -> Outcome {
    let publisher = t.publisher().await?;
    match t.publish(&*publisher, &t.batch("", "k", [1])).await?.remove(0) {
        Err(error) if !error.is_retryable() => Ok(()),
        other => Err(Failure::new(format!("not refused for good: {other:?}"))),
    }
}

pub(crate) async fn publishers_at_the_same_time_lose_nothing(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let mut feed = t.shared(&topic).await?;
    let keys = ["a", "b", "c", "d"];
    let publishing = keys.map(async |key| {
        let publisher = t.publisher().await?;
        for number in 1..=10 {
            let numbers = number * 10 - 9..=number * 10;
            t.put(&*publisher, &t.batch(&topic, key, numbers)).await?;
        }
        Ok::<_, Failure>(())
    });
    join_all(publishing).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let came = by_key(&feed.labels(400).await?);
    let want = keys.map(|key| (key.to_owned(), (1..=100).collect()));
    same("delivered", came, BTreeMap::from(want));
    feed.quiet().await
}

pub(crate) async fn many_keys_and_many_messages(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let message = |n: u64| t.batch(&topic, &format!("k{}", n % 200), [n / 200]);
    let all = (0..2_000).flat_map(message).collect::<Vec<_>>();
    for batch in all.chunks(500) {
        t.put(&*publisher, batch).await?;
    }
    let came = by_key(&feed.labels(2_000).await?);
    let want = (0..200).map(|key| (format!("k{key}"), (0..10).collect()));
    same("delivered", came, want.collect());
    Ok(())
}

pub(crate) async fn a_publish_that_was_dropped_harms_nobody(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let batch = t.batch(&topic, "k", 1..=20);
    for _ in 0..3 {
        let mut publishing = publisher.publish(&batch);
        let _ = poll_once(&mut publishing).await;
    }
    t.put(&*publisher, &batch).await?;
    t.put(&*publisher, &t.batch(&topic, "k", [21])).await?;
    let came = feed.until(&labels("k", 1..=21)).await?;
    hold(came.len() == 21, || format!("came: {came:?}"))
}

pub(crate) async fn a_slow_consumer_stops_no_publisher(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let slow = Subscription::shared(&t.group("g"), [topic.as_str()]).prefetch(2);
    let (publisher, mut feed) = (t.publisher().await?, t.subscribe(slow).await?);
    t.put(&*publisher, &t.batch(&topic, "held", 1..=2)).await?;
    let held = feed.hold(2).await?;
    for n in 0..10 {
        t.put(&*publisher, &t.batch(&topic, &format!("k{n}"), 1..=50)).await?;
    }
    ack_all(held).await?;
    same("delivered", feed.labels(500).await?.len(), 500);
    Ok(())
}
