//! What others send: CloudEvents in either mode, and what is none.

use super::kit::*;
use factum_core::Bytes;

fn pairs(message: &Message) -> Vec<(String, String)> {
    message.attributes().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What was handed out for a raw message.
async fn delivered(t: &Trial<'_>, raw: Raw) -> Result<Result<Message, Bytes>, Failure> {
    let mut feed = t.shared(&raw.topic).await?;
    t.raw(raw).await?;
    let delivered = feed.next().await?;
    let message = delivered.message.clone().map_err(|malformed| malformed.bytes);
    delivered.ack().await?;
    feed.quiet().await?;
    Ok(message)
}

fn document(topic: String, document: impl Into<Bytes>) -> Raw {
    let content_type = Some(STRUCTURED.to_owned());
    Raw { topic, attributes: Vec::new(), content_type, data: document.into() }
}

pub(crate) async fn in_binary_mode_it_is_a_message(t: Trial<'_>) -> Outcome {
    let message =
        Message { subject: Some("7".into()), ..t.message("k", 1) }.with("tenant", "north");
    let raw = Raw {
        topic: t.topic("a").await?,
        attributes: pairs(&message),
        content_type: message.content_type.clone(),
        data: message.data.clone(),
    };
    same("delivered", delivered(&t, raw).await?, Ok(message));
    Ok(())
}

pub(crate) async fn in_structured_mode_it_is_a_message(t: Trial<'_>) -> Outcome {
    let message = Message { subject: Some("7".into()), ..t.message("k", 1) };
    let message = message.with("tenant", "north").data("application/json", r#"{"a":1}"#);
    let raw = document(t.topic("a").await?, message.to_structured());
    same("delivered", delivered(&t, raw).await?, Ok(message));
    Ok(())
}

pub(crate) async fn in_structured_mode_with_bytes_it_is_a_message(t: Trial<'_>) -> Outcome {
    let message = t.message("k", 1).data("application/octet-stream", vec![0, 159, 1, 255]);
    let mut raw = document(t.topic("a").await?, message.to_structured());
    raw.content_type = Some(format!("{STRUCTURED}; charset=UTF-8"));
    same("delivered", delivered(&t, raw).await?, Ok(message));
    Ok(())
}

pub(crate) async fn what_is_no_message_is_handed_out_as_it_is(t: Trial<'_>) -> Outcome {
    let data = Bytes::from_static(b"\x00\xffplain bytes");
    let topic = t.topic("a").await?;
    let raw = Raw { topic, attributes: Vec::new(), content_type: None, data: data.clone() };
    same("delivered", delivered(&t, raw).await?, Err(data));
    Ok(())
}

pub(crate) async fn a_broken_document_is_handed_out_as_it_is(t: Trial<'_>) -> Outcome {
    let broken = Bytes::from_static(br#"{"specversion":"1.0","id":"#);
    let raw = document(t.topic("a").await?, broken.clone());
    same("delivered", delivered(&t, raw).await?, Err(broken));
    Ok(())
}

pub(crate) async fn it_stops_nothing_behind_it(t: Trial<'_>) -> Outcome {
    let topic = t.topic("a").await?;
    let (publisher, mut feed) = (t.publisher().await?, t.shared(&topic).await?);
    t.put(&*publisher, &t.batch(&topic, "k", [1])).await?;
    t.raw(document(topic.clone(), "7")).await?;
    t.put(&*publisher, &t.batch(&topic, "k", 2..=5)).await?;
    let (mut came, mut malformed) = (Vec::new(), 0);
    for _ in 0..6 {
        let delivered = feed.next().await?;
        match &delivered.message {
            Ok(message) => came.push(label(message)),
            Err(_) => malformed += 1,
        }
        delivered.ack().await?;
    }
    same("malformed", malformed, 1);
    same("the others", came, labels("k", 1..=5));
    Ok(())
}

pub(crate) async fn of_another_version_it_is_no_message(t: Trial<'_>) -> Outcome {
    let message = t.message("k", 1);
    let old =
        |(name, value)| if name == "specversion" { (name, "0.3".into()) } else { (name, value) };
    let raw = Raw {
        topic: t.topic("a").await?,
        attributes: pairs(&message).into_iter().map(old).collect(),
        content_type: message.content_type,
        data: message.data.clone(),
    };
    same("delivered", delivered(&t, raw).await?, Err(message.data));
    Ok(())
}
