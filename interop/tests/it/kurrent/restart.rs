//! The server is killed, or asked to end, and started again: nothing that was told is different.

use super::{append, client, event, events, expecting, from, number, read, read_all, retry};
use crate::{Outcome, server::Server, soon};
use kurrentdb::{
    Client, EventData, ReadAllOptions, ResolvedEvent, RetryOptions, StreamMetadata, StreamPosition,
    StreamState, SubscribeToAllOptions, SubscribeToStreamOptions, Subscription, SubscriptionFilter,
};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Everything that is told of every event.
async fn everything(client: &Client) -> kurrentdb::Result<Vec<String>> {
    let all = read_all(client, &ReadAllOptions::default()).await?;
    Ok(all.iter().map(told).collect())
}

fn told(event: &ResolvedEvent) -> String {
    let event = event.get_original_event();
    let metadata: BTreeMap<_, _> = event.metadata.iter().collect();
    let (id, data, custom) = (event.id, &event.data, &event.custom_metadata);
    let (stream, kind) = (event.stream_id(), &event.event_type);
    format!(
        "{}/{} {stream} {} {kind} {id} {data:?} {custom:?} {metadata:?} {} {}",
        event.position.commit, event.position.prepare, event.revision, event.is_json, event.created
    )
}

#[tokio::test]
async fn positions_and_events_are_the_same() -> Outcome {
    let Some(mut server) = Server::start("kurrent::restart::same") else { return Ok(()) };
    let before = client(&server);
    append(&before, "order-1", events("placed", 0..50)).await?;
    append(&before, "order-2", events("placed", 0..50)).await?;
    let metadata = StreamMetadata::builder().max_count(7).build();
    before.set_stream_metadata("order-2", &Default::default(), &metadata).await?;
    append(&before, "order-3", events("placed", 0..5)).await?;
    before.delete_stream("order-3", &Default::default()).await?;
    append(&before, "order-4", events("placed", 0..5)).await?;
    before.tombstone_stream("order-4", &Default::default()).await?;
    let told = everything(&before).await?;
    for crash in [true, false] {
        if crash {
            server.kill()
        } else {
            server.stop().await
        }
        server.start_again();
        let after = client(&server);
        assert_eq!(everything(&after).await?, told);
        assert_eq!(read(&after, "order-2").await?.len(), 7);
        let found = read(&after, "order-3").await;
        assert!(matches!(found, Err(kurrentdb::Error::ResourceNotFound)), "{found:?}");
        let found = read(&after, "order-4").await;
        assert!(matches!(found, Err(kurrentdb::Error::ResourceDeleted)), "{found:?}");
    }
    let after = client(&server);
    assert_eq!(append(&after, "order-1", vec![event("paid", 0)]).await?.next_expected_version, 50);
    assert_eq!(append(&after, "order-3", vec![event("paid", 0)]).await?.next_expected_version, 5);
    Ok(())
}

#[tokio::test]
async fn the_same_client_goes_on() -> Outcome {
    let Some(mut server) = Server::start("kurrent::restart::client") else { return Ok(()) };
    let client = client(&server);
    let first = append(&client, "order-1", vec![event("placed", 0)]).await?;
    server.kill();
    assert!(append(&client, "order-1", vec![event("lost", 9)]).await.is_err());
    server.start_again();
    let second = retry(|| append(&client, "order-1", vec![event("placed", 1)])).await;
    assert_eq!(second.next_expected_version, 1);
    assert!(second.position > first.position);
    Ok(())
}

#[tokio::test]
async fn a_retry_after_a_crash_is_answered_as_the_first_time() -> Outcome {
    let Some(mut server) = Server::start("kurrent::restart::retry") else { return Ok(()) };
    let before = client(&server);
    let ids = [Uuid::new_v4(), Uuid::new_v4()];
    let events = || ids.iter().map(|id| event("paid", 7).id(*id)).collect::<Vec<EventData>>();
    append(&before, "order-1", super::events("placed", 0..2)).await?;
    let table = [("order-1", StreamState::StreamRevision(1)), ("order-2", StreamState::NoStream)];
    for (stream, state) in table {
        let first = before_or_after(&client(&server), stream, state, events()).await?;
        server.kill();
        server.start_again();
        let after = client(&server);
        let again = before_or_after(&after, stream, state, events()).await?;
        assert_eq!(again, first, "{stream}");
    }
    assert_eq!(read(&client(&server), "order-1").await?.len(), 4);
    Ok(())
}

async fn before_or_after(
    client: &Client,
    stream: &str,
    state: StreamState,
    events: Vec<EventData>,
) -> kurrentdb::Result<(u64, kurrentdb::Position)> {
    let written = client.append_to_stream(stream, &expecting(state), events).await?;
    Ok((written.next_expected_version, written.position))
}

async fn numbers(subscription: &mut Subscription, count: usize) -> kurrentdb::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(number(&soon("an event", subscription.next()).await?));
    }
    Ok(numbers)
}

fn patient() -> RetryOptions {
    RetryOptions::default().retry_forever().retry_delay(Duration::from_millis(50))
}

#[tokio::test]
async fn subscriptions_go_on_without_a_gap_or_a_duplicate() -> Outcome {
    let Some(mut server) = Server::start("kurrent::restart::subscriptions") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..3)).await?;
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut stream = client.subscribe_to_stream("order-1", &options.retry_options(patient())).await;
    let all = SubscribeToAllOptions::default().retry_options(patient());
    let filter = SubscriptionFilter::on_stream_name().add_prefix("order");
    let mut filtered = client.subscribe_to_all(&all.clone().filter(filter)).await;
    let mut all = client.subscribe_to_all(&all).await;
    let mut subscriptions = [&mut stream, &mut filtered, &mut all];
    for subscription in &mut subscriptions {
        assert_eq!(numbers(subscription, 3).await?, [0, 1, 2]);
    }
    for (start, crash) in [(3, true), (6, false)] {
        if crash {
            server.kill()
        } else {
            server.stop().await
        }
        server.start_again();
        retry(|| append(&client, "order-1", events("placed", start..start + 3))).await;
        for subscription in &mut subscriptions {
            assert_eq!(numbers(subscription, 3).await?, [start, start + 1, start + 2]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_subscription_goes_on_from_a_kept_position() -> Outcome {
    let Some(mut server) = Server::start("kurrent::restart::position") else { return Ok(()) };
    let before = client(&server);
    append(&before, "order-1", events("placed", 0..10)).await?;
    let mut subscription = before.subscribe_to_all(&SubscribeToAllOptions::default()).await;
    let mut kept = None;
    for _ in 0..4 {
        kept = Some(soon("an event", subscription.next()).await?.get_original_event().position);
    }
    server.kill();
    server.start_again();
    let options = SubscribeToAllOptions::default().position(from(kept.unwrap()));
    let mut subscription = client(&server).subscribe_to_all(&options).await;
    assert_eq!(numbers(&mut subscription, 6).await?, [4, 5, 6, 7, 8, 9]);
    Ok(())
}
