//! Subscriptions to a stream and to `$all`: from any point, caught up, and live.

use super::{append, client, event, events, from, number};
use crate::{Outcome, server::Server, soon};
use kurrentdb::{
    Error, Position, ResolvedEvent, StreamPosition, SubscribeToAllOptions,
    SubscribeToStreamOptions, Subscription, SubscriptionEvent, SubscriptionFilter as Filter,
};

/// What a subscription says until it is caught up.
#[derive(Default)]
struct Told {
    events: Vec<ResolvedEvent>,
    checkpoints: Vec<Position>,
    confirmed: bool,
}

impl Told {
    fn numbers(&self) -> Vec<u64> {
        super::numbers(&self.events)
    }
}

async fn until_caught_up(subscription: &mut Subscription) -> kurrentdb::Result<Told> {
    let mut told = Told::default();
    loop {
        match soon("caught up", subscription.next_subscription_event()).await? {
            SubscriptionEvent::Confirmed(id) => {
                assert!(!id.is_empty() && told.events.is_empty());
                told.confirmed = true;
            }
            SubscriptionEvent::EventAppeared(event) => told.events.push(event),
            SubscriptionEvent::Checkpoint(position) => told.checkpoints.push(position),
            SubscriptionEvent::CaughtUp(_) => return Ok(told),
            other => panic!("{other:?}"),
        }
    }
}

async fn next(subscription: &mut Subscription) -> kurrentdb::Result<u64> {
    Ok(number(&soon("an event", subscription.next()).await?))
}

fn stream_from(position: StreamPosition<u64>) -> SubscribeToStreamOptions {
    SubscribeToStreamOptions::default().start_from(position)
}

fn all_from(position: StreamPosition<Position>) -> SubscribeToAllOptions {
    SubscribeToAllOptions::default().position(position)
}

#[tokio::test]
async fn to_a_stream_catch_up_and_go_on_live() -> Outcome {
    let Some(server) = Server::start("kurrent::subscriptions::stream") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..10)).await?;
    append(&client, "order-2", events("placed", 90..95)).await?;
    let mut start =
        client.subscribe_to_stream("order-1", &stream_from(StreamPosition::Start)).await;
    let mut after = client.subscribe_to_stream("order-1", &stream_from(from(6))).await;
    let mut end = client.subscribe_to_stream("order-1", &stream_from(StreamPosition::End)).await;
    let told = until_caught_up(&mut start).await?;
    assert!(told.confirmed);
    assert_eq!(told.numbers(), (0..10).collect::<Vec<_>>());
    assert_eq!(until_caught_up(&mut after).await?.numbers(), [7, 8, 9]);
    assert!(until_caught_up(&mut end).await?.events.is_empty());
    for number in 10..20 {
        append(&client, "order-2", vec![event("placed", 99)]).await?;
        append(&client, "order-1", vec![event("placed", number)]).await?;
        for subscription in [&mut start, &mut after, &mut end] {
            assert_eq!(next(subscription).await?, number);
        }
    }
    Ok(())
}

#[tokio::test]
async fn to_a_stream_that_is_not_there_yet() -> Outcome {
    let Some(server) = Server::start("kurrent::subscriptions::missing") else { return Ok(()) };
    let client = client(&server);
    let mut subscription =
        client.subscribe_to_stream("order-1", &stream_from(StreamPosition::Start)).await;
    assert!(until_caught_up(&mut subscription).await?.events.is_empty());
    append(&client, "order-1", events("placed", 0..3)).await?;
    for number in 0..3 {
        assert_eq!(next(&mut subscription).await?, number);
    }
    Ok(())
}

#[tokio::test]
async fn to_a_tombstoned_stream_end_with_the_clients_own_error() -> Outcome {
    let Some(server) = Server::start("kurrent::subscriptions::tombstone") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..3)).await?;
    let mut before =
        client.subscribe_to_stream("order-1", &stream_from(StreamPosition::Start)).await;
    assert_eq!(until_caught_up(&mut before).await?.events.len(), 3);
    client.tombstone_stream("order-1", &Default::default()).await?;
    let mut after =
        client.subscribe_to_stream("order-1", &stream_from(StreamPosition::Start)).await;
    let refused = soon("the refusal", after.next()).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn to_all_from_any_position() -> Outcome {
    let Some(server) = Server::start("kurrent::subscriptions::all") else { return Ok(()) };
    let client = client(&server);
    let mut at = Vec::new();
    for number in 0..6 {
        let stream = format!("order-{number}");
        at.push(append(&client, &stream, vec![event("placed", number)]).await?.position);
    }
    let mut start = client.subscribe_to_all(&all_from(StreamPosition::Start)).await;
    let mut after = client.subscribe_to_all(&all_from(from(at[3]))).await;
    let mut end = client.subscribe_to_all(&all_from(StreamPosition::End)).await;
    let told = until_caught_up(&mut start).await?;
    assert_eq!(told.numbers(), [0, 1, 2, 3, 4, 5]);
    let positions: Vec<_> =
        told.events.iter().map(|event| event.get_original_event().position).collect();
    assert_eq!(positions, at);
    assert_eq!(until_caught_up(&mut after).await?.numbers(), [4, 5]);
    assert!(until_caught_up(&mut end).await?.events.is_empty());
    append(&client, "order-9", vec![event("placed", 9)]).await?;
    for subscription in [&mut start, &mut after, &mut end] {
        assert_eq!(next(subscription).await?, 9);
    }
    Ok(())
}

async fn filtered(server: &Server, filter: Filter, expect: &[u64]) -> Outcome {
    let client = client(server);
    let options = all_from(StreamPosition::Start).filter(filter);
    let mut subscription = client.subscribe_to_all(&options).await;
    let told = until_caught_up(&mut subscription).await?;
    assert_eq!(told.numbers(), expect);
    append(&client, "invoice-9", vec![event("other", 98)]).await?;
    append(&client, "order-9", vec![event("paid-late", 99)]).await?;
    assert_eq!(next(&mut subscription).await?, 99);
    Ok(())
}

#[tokio::test]
async fn to_all_with_a_filter() -> Outcome {
    let Some(server) = Server::start("kurrent::subscriptions::filter") else { return Ok(()) };
    let client = client(&server);
    for number in 0..8 {
        let stream = if number % 2 == 0 { "order-1" } else { "invoice-1" };
        let kind = if number < 4 { "placed" } else { "paid-late" };
        append(&client, stream, vec![event(kind, number)]).await?;
    }
    filtered(&server, Filter::on_stream_name().add_prefix("order-"), &[0, 2, 4, 6]).await?;
    filtered(&server, Filter::on_event_type().add_prefix("paid"), &[4, 5, 6, 7, 99]).await?;
    let orders_twice = [0, 2, 4, 6, 99, 99];
    filtered(&server, Filter::on_stream_name().regex("^order"), &orders_twice).await
}

#[tokio::test]
async fn to_all_with_a_filter_give_checkpoints_to_go_on_from() -> Outcome {
    let Some(server) = Server::start("kurrent::subscriptions::checkpoints") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..1)).await?;
    append(&client, "invoice-1", events("sent", 0..1_000)).await?;
    let filter = Filter::on_stream_name().add_prefix("order-").max(32);
    let options = all_from(StreamPosition::Start).filter(filter);
    let mut subscription = client.subscribe_to_all(&options).await;
    let told = until_caught_up(&mut subscription).await?;
    assert_eq!(told.numbers(), [0]);
    let caught_up = *told.checkpoints.last().expect("a checkpoint after a thousand events");
    assert!(told.checkpoints.is_sorted(), "{:?}", told.checkpoints);
    // Live too: what passes is told, though nothing of it matches.
    append(&client, "invoice-1", events("sent", 0..100)).await?;
    let last = loop {
        match soon("a checkpoint", subscription.next_subscription_event()).await? {
            SubscriptionEvent::Checkpoint(position) => break position,
            SubscriptionEvent::EventAppeared(event) => panic!("{event:?}"),
            _ => {}
        }
    };
    assert!(last > caught_up, "{last:?} after {caught_up:?}");

    append(&client, "order-1", vec![event("paid", 7)]).await?;
    let options = all_from(from(last)).filter(Filter::on_stream_name().add_prefix("order-"));
    let mut resumed = client.subscribe_to_all(&options).await;
    assert_eq!(until_caught_up(&mut resumed).await?.numbers(), [7]);
    Ok(())
}

#[tokio::test]
async fn to_all_see_every_event_while_others_append() -> Outcome {
    let Some(server) = Server::start("kurrent::subscriptions::race") else { return Ok(()) };
    let client = client(&server);
    let writer = {
        let client = client.clone();
        tokio::spawn(async move {
            for number in 0..300 {
                append(&client, "order-1", vec![event("placed", number)]).await?;
            }
            kurrentdb::Result::Ok(())
        })
    };
    let mut subscriptions = Vec::new();
    for _ in 0..5 {
        subscriptions.push(client.subscribe_to_all(&all_from(StreamPosition::Start)).await);
        tokio::task::yield_now().await;
    }
    for subscription in &mut subscriptions {
        for expect in 0..300 {
            assert_eq!(next(subscription).await?, expect);
        }
    }
    writer.await??;
    Ok(())
}
