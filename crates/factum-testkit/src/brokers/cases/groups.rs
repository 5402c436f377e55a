//! Who gets a message: one of a group, each group, each instance.

use super::kit::*;

/// Messages of many keys.
fn many(t: &Trial<'_>, topic: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<Outgoing> {
    numbers.flat_map(|n| t.batch(topic, &format!("k{n}"), [n])).collect()
}

fn names(numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.flat_map(|n| labels(&format!("k{n}"), [n])).collect()
}

pub(crate) async fn instances_of_a_group_share(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feeds = [t.shared(&topic).await?, t.shared(&topic).await?];
    t.put(&*publisher, &many(&t, &topic, 1..=100)).await?;
    let mut came = Vec::new();
    for _ in 0..100 {
        let (_, delivered) = t.any(&mut feeds).await?;
        came.push(label(&message_of(&delivered)?));
        delivered.ack().await?;
    }
    same("delivered", sorted(came), sorted(names(1..=100)));
    for feed in &mut feeds {
        feed.quiet().await?;
    }
    Ok(())
}

pub(crate) async fn keys_are_spread_over_instances(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let some = Subscription::shared(&t.group("g"), [topic.as_str()]).prefetch(20);
    let mut feeds = [t.subscribe(some.clone()).await?, t.subscribe(some).await?];
    t.put(&*publisher, &many(&t, &topic, 1..=200)).await?;
    let mut counts = [0, 0];
    // Each keeps what it has until both have something.
    let mut held = Vec::new();
    while counts.contains(&0) {
        let (whose, delivered) = t.any(&mut feeds).await?;
        counts[whose] += 1;
        held.push(delivered);
    }
    ack_all(held).await
}

pub(crate) async fn an_instance_that_joins_costs_nothing(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feeds = vec![t.shared(&topic).await?];
    t.put(&*publisher, &many(&t, &topic, 1..=100)).await?;
    let mut came = feeds[0].labels(20).await?;
    feeds.push(t.shared(&topic).await?);
    let wanted = names(1..=100);
    while !wanted.iter().all(|label| came.contains(label)) {
        let (_, delivered) = t.any(&mut feeds).await?;
        came.push(label(&message_of(&delivered)?));
        // While keys go from one to the other, what the one had may come again.
        let _ = delivered.ack().await;
    }
    Ok(())
}

pub(crate) async fn an_instance_that_leaves_costs_nothing(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let (mut one, other) = (t.shared(&topic).await?, t.shared(&topic).await?);
    t.put(&*publisher, &many(&t, &topic, 1..=100)).await?;
    drop(other);
    one.until(&names(1..=100)).await?;
    Ok(())
}

pub(crate) async fn each_group_gets_all(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feeds = Vec::new();
    for name in ["one", "two", "three"] {
        feeds.push(t.subscribe(Subscription::shared(&t.group(name), [topic.as_str()])).await?);
    }
    t.put(&*publisher, &t.batch(&topic, "k", 1..=20)).await?;
    for feed in &mut feeds {
        same("delivered", feed.labels(20).await?, labels("k", 1..=20));
    }
    Ok(())
}

pub(crate) async fn a_group_goes_on_where_it_was(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feed = t.shared(&topic).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    same("at first", feed.labels(5).await?, labels("k", 1..=5));
    feed.close().await?;
    t.put(&*publisher, &t.batch(&topic, "k", 6..=10)).await?;
    let mut feed = t.shared(&topic).await?;
    same("afterwards", feed.labels(5).await?, labels("k", 6..=10));
    feed.quiet().await
}

pub(crate) async fn a_new_group_begins_with_what_is_new(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let _others = t.subscribe(Subscription::shared(&t.group("other"), [topic.as_str()])).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    let mut feed = t.shared(&topic).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 6..=8)).await?;
    same("delivered", feed.labels(3).await?, labels("k", 6..=8));
    feed.quiet().await
}

pub(crate) async fn a_new_group_may_begin_with_the_oldest(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    let oldest = Subscription::shared(&t.group("g"), [topic.as_str()]).from_oldest();
    let mut feed = t.subscribe(oldest).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 6..=8)).await?;
    same("delivered", feed.labels(8).await?, labels("k", 1..=8));
    Ok(())
}

pub(crate) async fn a_group_that_was_there_does_not_begin_anew(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let oldest = Subscription::shared(&t.group("g"), [topic.as_str()]).from_oldest();
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    let mut feed = t.subscribe(oldest.clone()).await?;
    same("at first", feed.labels(5).await?, labels("k", 1..=5));
    feed.close().await?;
    let mut feed = t.subscribe(oldest).await?;
    t.put(&*publisher, &t.batch(&topic, "k", [6])).await?;
    same("afterwards", feed.labels(1).await?, labels("k", [6]));
    feed.quiet().await
}

pub(crate) async fn a_broadcast_reaches_each(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let all = || t.subscribe(Subscription::broadcast([topic.as_str()]));
    let mut feeds = [all().await?, all().await?, all().await?];
    t.put(&*publisher, &t.batch(&topic, "k", 1..=20)).await?;
    for feed in &mut feeds {
        same("delivered", feed.labels(20).await?, labels("k", 1..=20));
    }
    Ok(())
}

pub(crate) async fn a_broadcast_does_not_wait_for_who_is_gone(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let _stays = t.subscribe(Subscription::broadcast([topic.as_str()])).await?;
    t.subscribe(Subscription::broadcast([topic.as_str()])).await?.close().await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    let mut later = t.subscribe(Subscription::broadcast([topic.as_str()])).await?;
    t.put(&*publisher, &t.batch(&topic, "k", [6])).await?;
    same("delivered", later.labels(1).await?, labels("k", [6]));
    Ok(())
}

pub(crate) async fn a_broadcast_leaves_groups_alone(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut group = t.shared(&topic).await?;
    let mut each = t.subscribe(Subscription::broadcast([topic.as_str()])).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    same("the group", group.labels(5).await?, labels("k", 1..=5));
    same("each", each.labels(5).await?, labels("k", 1..=5));
    Ok(())
}

pub(crate) async fn several_topics_in_one_subscription(t: Trial<'_>) -> Outcome {
    let topics = [t.topic("a").await?, t.topic("b").await?, t.topic("c").await?];
    let publisher = t.publisher().await?;
    let mut feed = t.subscribe(Subscription::shared(&t.group("g"), topics.clone())).await?;
    for (n, topic) in (1..).zip(&topics) {
        t.put(&*publisher, &t.batch(topic, "k", [n])).await?;
    }
    same("delivered", sorted(feed.labels(3).await?), labels("k", 1..=3));
    Ok(())
}

pub(crate) async fn other_topics_do_not_come(t: Trial<'_>) -> Outcome {
    let (a, ab, b) = (t.topic("a").await?, t.topic("ab").await?, t.topic("b").await?);
    let publisher = t.publisher().await?;
    let others = [ab.as_str(), b.as_str()];
    let _others = t.subscribe(Subscription::shared(&t.group("others"), others)).await?;
    let mut feed = t.shared(&a).await?;
    let parts = [t.batch(&ab, "k", [1]), t.batch(&b, "k", [2]), t.batch(&a, "k", [3])];
    t.put(&*publisher, &parts.concat()).await?;
    same("delivered", feed.labels(1).await?, labels("k", [3]));
    feed.quiet().await
}
