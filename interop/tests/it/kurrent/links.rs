//! Links: events of type `$>` that name another event, resolved where the client asks for it.

use super::{append, client, event, events, read, read_with};
use crate::{Outcome, server::Server, soon};
use bytes::Bytes;
use kurrentdb::{
    Client, EventData, ReadAllOptions, ReadStreamOptions, ResolvedEvent, StreamPosition,
    SubscribeToStreamOptions,
};

fn link(target: &str) -> EventData {
    EventData::binary("$>", Bytes::copy_from_slice(target.as_bytes()))
}

/// Two links in `paid`: to an event, and to one that is not there.
async fn prepare(client: &Client) -> kurrentdb::Result<()> {
    append(client, "order-1", events("placed", 0..3)).await?;
    append(client, "paid", vec![link("1@order-1"), link("7@order-1")]).await?;
    Ok(())
}

fn check(found: &[ResolvedEvent]) {
    let (there, lost) = (&found[0], &found[1]);
    assert!(there.is_resolved());
    let event = there.event.as_ref().unwrap();
    assert_eq!((event.stream_id(), event.revision), ("order-1", 1));
    assert_eq!(event.event_type, "placed");
    let link = there.link.as_ref().unwrap();
    assert_eq!((link.stream_id(), link.revision), ("paid", 0));
    assert_eq!(link.event_type, "$>");
    assert_eq!(there.get_original_stream_id(), "paid");
    assert!(lost.event.is_none());
    assert_eq!(lost.link.as_ref().unwrap().revision, 1);
}

#[tokio::test]
async fn are_resolved_in_reads() -> Outcome {
    let Some(server) = Server::start("kurrent::links::reads") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let options = ReadStreamOptions::default().resolve_link_tos();
    check(&read_with(&client, "paid", &options).await?);
    let options = ReadAllOptions::default().resolve_link_tos();
    check(&super::read_all(&client, &options).await?[3..]);
    Ok(())
}

#[tokio::test]
async fn are_events_like_others_unless_asked_for() -> Outcome {
    let Some(server) = Server::start("kurrent::links::plain") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let found = read(&client, "paid").await?;
    assert!(!found[0].is_resolved());
    assert_eq!(found[0].get_original_event().data, Bytes::from_static(b"1@order-1"));
    Ok(())
}

#[tokio::test]
async fn are_resolved_in_subscriptions() -> Outcome {
    let Some(server) = Server::start("kurrent::links::subscription") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let options =
        SubscribeToStreamOptions::default().start_from(StreamPosition::Start).resolve_link_tos();
    let mut subscription = client.subscribe_to_stream("paid", &options).await;
    let one = soon("the first link", subscription.next()).await?;
    let two = soon("the second link", subscription.next()).await?;
    check(&[one, two]);
    append(&client, "order-2", vec![event("placed", 9)]).await?;
    append(&client, "paid", vec![link("0@order-2")]).await?;
    assert_eq!(super::number(&soon("a live link", subscription.next()).await?), 9);
    Ok(())
}
