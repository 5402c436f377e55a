//! Order of messages with one key.

use super::kit::*;

pub(crate) async fn of_one_key_in_one_batch(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=300)).await?;
    same("delivered", feed.labels(300).await?, labels("k", 1..=300));
    Ok(())
}

pub(crate) async fn of_one_key_over_batches(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    for n in 0..20 {
        t.put(&*publisher, &t.batch(&topic, "k", n * 5 + 1..=n * 5 + 5)).await?;
    }
    same("delivered", feed.labels(100).await?, labels("k", 1..=100));
    Ok(())
}

pub(crate) async fn of_each_key_where_keys_alternate(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let batch = (1..=60).flat_map(|n| ["a", "b", "c", "d", "e"].map(|key| (key, n)));
    let batch = batch.flat_map(|(key, n)| t.batch(&topic, key, [n])).collect::<Vec<_>>();
    t.put(&*publisher, &batch).await?;
    for (key, numbers) in by_key(&feed.labels(300).await?) {
        same(&key, numbers, (1..=60).collect());
    }
    Ok(())
}

pub(crate) async fn of_a_key_with_failures_in_between(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let max = usize::try_from(publisher.max_bytes()).unwrap_or(usize::MAX);
    if max > 64 << 20 {
        return Ok(());
    }
    // As an outbox does it: what failed for good is left out, what was behind it sent again.
    for round in 0..5_u64 {
        let numbers = round * 10 + 1..=round * 10 + 10;
        let mut batch = t.batch(&topic, "k", numbers);
        let broken = t.message("k", 0).data("text/plain", vec![b'x'; max + 1]);
        batch.insert(5, Outgoing::new(&topic, broken));
        let outcomes = t.publish(&*publisher, &batch).await?;
        let confirmed = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
        same("confirmed before it", confirmed, 5);
        batch.drain(..=5);
        t.put(&*publisher, &batch).await?;
    }
    same("delivered", feed.labels(50).await?, labels("k", 1..=50));
    feed.quiet().await
}

pub(crate) async fn of_a_key_from_publishers_one_after_the_other(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let mut feed = t.shared(&topic).await?;
    let publishers = [t.publisher().await?, t.publisher().await?, t.publisher().await?];
    for (number, publisher) in (1..=30).zip(publishers.iter().cycle()) {
        t.put(&**publisher, &t.batch(&topic, "k", [number])).await?;
    }
    same("delivered", feed.labels(30).await?, labels("k", 1..=30));
    Ok(())
}

pub(crate) async fn a_key_is_with_one_instance_at_a_time(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feeds = [t.shared(&topic).await?, t.shared(&topic).await?];
    let keys = ["a", "b", "c", "d", "e", "f"];
    let batch = (1..=5).flat_map(|n| keys.map(|key| (key, n)));
    let batch = batch.flat_map(|(key, n)| t.batch(&topic, key, [n])).collect::<Vec<_>>();
    t.put(&*publisher, &batch).await?;
    let mut held: BTreeMap<String, Vec<(usize, u64)>> = BTreeMap::new();
    let mut unsettled = Vec::new();
    for _ in 0..batch.len() {
        let (whose, delivered) = t.any(&mut feeds).await?;
        let came = label(&message_of(&delivered)?);
        let (key, number) = came.split_once('-').unwrap_or_default();
        held.entry(key.to_owned()).or_default().push((whose, number.parse().unwrap_or_default()));
        unsettled.push(delivered);
    }
    for (key, held) in held {
        let whose = held.first().map(|(whose, _)| *whose).unwrap_or_default();
        same(&key, held, (1..=5).map(|number| (whose, number)).collect());
    }
    ack_all(unsettled).await
}

pub(crate) async fn of_each_key_over_competing_instances(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feeds = [t.shared(&topic).await?, t.shared(&topic).await?, t.shared(&topic).await?];
    let batch = (1..=30).flat_map(|n| ["a", "b", "c", "d"].map(|key| (key, n)));
    let batch = batch.flat_map(|(key, n)| t.batch(&topic, key, [n])).collect::<Vec<_>>();
    t.put(&*publisher, &batch).await?;
    let mut came = Vec::new();
    for _ in 0..batch.len() {
        let (_, delivered) = t.any(&mut feeds).await?;
        came.push(label(&message_of(&delivered)?));
        delivered.ack().await?;
    }
    for (key, numbers) in by_key(&came) {
        same(&key, numbers, (1..=30).collect());
    }
    Ok(())
}

pub(crate) async fn of_a_key_after_its_instance_has_left(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feeds = vec![t.shared(&topic).await?, t.shared(&topic).await?];
    t.put(&*publisher, &t.batch(&topic, "k", 1..=10)).await?;
    let (whose, first) = t.any(&mut feeds).await?;
    same("the first", label(&message_of(&first)?), "k-1".to_owned());
    first.ack().await?;
    drop(feeds.remove(whose));
    let mut other = feeds.remove(0);
    let came = other.until(&labels("k", 2..=10)).await?;
    let came = came.into_iter().filter(|label| label != "k-1").collect::<Vec<_>>();
    same("delivered to the other", came, labels("k", 2..=10));
    Ok(())
}

pub(crate) async fn of_a_key_over_a_restart_of_its_consumer(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let publisher = t.publisher().await?;
    let mut feed = t.shared(&topic).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 1..=30)).await?;
    let mut came = feed.labels(10).await?;
    feed.close().await?;
    let mut feed = t.shared(&topic).await?;
    came.extend(feed.labels(10).await?);
    feed.close().await?;
    came.extend(t.shared(&topic).await?.labels(10).await?);
    same("delivered", came, labels("k", 1..=30));
    Ok(())
}

pub(crate) async fn messages_without_a_key_all_come(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "", 1..=50)).await?;
    let taken = feed.take(50).await?;
    hold(taken.iter().all(|message| message.key.is_none()), || "there is a key".into())?;
    let came = taken.iter().map(label).collect();
    same("delivered", sorted(came), sorted(labels("", 1..=50)));
    Ok(())
}
