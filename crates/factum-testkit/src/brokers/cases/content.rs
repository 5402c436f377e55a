//! What a message says comes back as it was.

use super::kit::*;
use factum_app::Metadata;
use factum_core::{Timestamp, Uuid};

/// Publishes a message, and compares what comes.
async fn there_and_back(t: &Trial<'_>, message: Message) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &[Outgoing::new(&topic, message.clone())]).await?;
    same("the message", feed.take(1).await?, vec![message]);
    Ok(())
}

pub(crate) async fn every_attribute_comes_back(t: Trial<'_>) -> Outcome {
    let message = Message {
        subject: Some("orders/7".into()),
        time: Some(Timestamp(1_700_000_000_123_456_789)),
        schema: Some("https://example.org/schemas/order?v=1#a".into()),
        ..t.message("order-7", 1)
    };
    there_and_back(&t, message.json(&serde_json("{\"a\":[1,null]}"))).await
}

/// JSON, without a dependency on its library.
fn serde_json(text: &str) -> factum_app::serde_json::Value {
    factum_app::serde_json::from_str(text).expect("the cases write JSON")
}

pub(crate) async fn extensions_come_back(t: Trial<'_>) -> Outcome {
    let message = (0..20).fold(t.message("k", 1), |message, n| {
        message.with(format!("extension{n}"), format!("value {n}"))
    });
    there_and_back(&t, message.with("long", "x".repeat(2_000)).with("number", "-7")).await
}

pub(crate) async fn unicode_comes_back(t: Trial<'_>) -> Outcome {
    let text = "Grüße, 注文 №7 — “%41” 🦀";
    let message = Message { subject: Some(text.into()), ..t.message("schlüssel 鍵 🗝", 1) };
    let message = message.with("note", text).with("percent", "100%25%");
    there_and_back(&t, message.data("text/plain; charset=utf-8", text)).await
}

pub(crate) async fn an_empty_payload_stays_empty(t: Trial<'_>) -> Outcome {
    let message = Message { data: Default::default(), content_type: None, ..t.message("k", 1) };
    there_and_back(&t, message).await
}

pub(crate) async fn any_bytes_come_back(t: Trial<'_>) -> Outcome {
    let bytes = (0..=255).chain((0..=255).rev()).collect::<Vec<u8>>();
    there_and_back(&t, t.message("k", 1).data("application/octet-stream", bytes)).await
}

pub(crate) async fn without_a_content_type_there_is_none(t: Trial<'_>) -> Outcome {
    there_and_back(&t, Message { content_type: None, ..t.message("k", 1) }).await
}

pub(crate) async fn the_topic_is_told(t: Trial<'_>) -> Outcome {
    let topics = [t.topic("orders.placed").await?, t.topic("orders.paid").await?];
    let publisher = t.publisher().await?;
    let mut feed = t.subscribe(Subscription::shared(&t.group("g"), topics.clone())).await?;
    for topic in topics {
        t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
        let delivered = feed.next().await?;
        same("the topic", delivered.topic.clone(), topic);
        delivered.ack().await?;
    }
    Ok(())
}

pub(crate) async fn what_is_known_about_it_travels(t: Trial<'_>) -> Outcome {
    let known = Metadata {
        correlation: Some(Uuid::from_u128(1)),
        causation: Some(Uuid::from_u128(2)),
        trace_parent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        trace_state: Some("vendor=1,other=2".into()),
        actor: Some("ann".into()),
        tenant: Some("north".into()),
        ..Metadata::default()
    };
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &[Outgoing::new(&topic, t.message("k", 1).about(&known))]).await?;
    same("what is known", feed.take(1).await?.remove(0).metadata(), known);
    Ok(())
}

pub(crate) async fn a_payload_that_looks_like_a_message_is_a_payload(t: Trial<'_>) -> Outcome {
    let inner = Message::new("inner", "/inner", "inner.happened").data("text/plain", "inner");
    there_and_back(&t, t.message("k", 1).data("application/json", inner.to_structured())).await
}
