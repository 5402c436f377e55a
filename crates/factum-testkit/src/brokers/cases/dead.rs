//! What will never be handled: put aside, to be read by people.

use super::kit::*;
use factum_core::Timestamp;

pub(crate) async fn it_does_not_come_again_and_can_be_read(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    feed.next().await?.dead_letter("its amount is negative").await?;
    feed.quiet().await?;
    feed.close().await?;
    t.shared(&topic).await?.quiet().await?;
    let letter = t.dead_letters(&topic, 1).await?.remove(0);
    same("the topic", letter.topic, topic);
    hold(letter.why.contains("its amount is negative"), || format!("why: {}", letter.why))?;
    same("the message", letter.message.map(|message| label(&message)), Ok("k-1".to_owned()));
    Ok(())
}

pub(crate) async fn it_is_kept_as_it_was(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let message = Message {
        subject: Some("7".into()),
        time: Some(Timestamp(1_700_000_000_123_000_000)),
        ..t.message("k", 1)
    };
    let message = message.with("tenant", "north").data("application/octet-stream", vec![0, 1, 255]);
    t.put(&*publisher, &[Outgoing::new(&topic, message.clone())]).await?;
    feed.next().await?.dead_letter("no").await?;
    same("kept", t.dead_letters(&topic, 1).await?.remove(0).message, Ok(message));
    Ok(())
}

pub(crate) async fn those_behind_it_go_on(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", 1..=5)).await?;
    feed.next().await?.dead_letter("no").await?;
    same("those behind", feed.labels(4).await?, labels("k", 2..=5));
    same("letters", t.dead_letters(&topic, 1).await?.len(), 1);
    Ok(())
}

pub(crate) async fn it_is_one_groups_alone(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    let mut other = t.subscribe(Subscription::shared(&t.group("h"), [topic.as_str()])).await?;
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    feed.next().await?.dead_letter("no").await?;
    same("letters", t.dead_letters(&topic, 1).await?.len(), 1);
    same("the other group", other.labels(1).await?, labels("k", [1]));
    Ok(())
}

pub(crate) async fn after_so_many_deliveries_it_is_put_aside(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let three = Subscription::shared(&t.group("g"), [topic.as_str()]).deliveries_max(3);
    let (publisher, mut feed) = (t.publisher().await?, t.subscribe(three).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    for _ in 0..3 {
        feed.next().await?.send_back(Duration::ZERO).await?;
    }
    feed.quiet().await?;
    let letter = t.dead_letters(&topic, 1).await?.remove(0);
    same("the message", letter.message.map(|message| label(&message)), Ok("k-1".to_owned()));
    Ok(())
}

pub(crate) async fn malformed_it_keeps_its_bytes(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let mut feed = t.shared(&topic).await?;
    let data = factum_core::Bytes::from_static(b"\x00\xffno message");
    let raw = Raw { topic: topic.clone(), attributes: Vec::new(), content_type: None, data };
    t.raw(raw.clone()).await?;
    feed.next().await?.dead_letter("it is no message").await?;
    let letter = t.dead_letters(&topic, 1).await?.remove(0);
    same("kept", letter.message.map_err(|malformed| malformed.bytes), Err(raw.data));
    Ok(())
}
