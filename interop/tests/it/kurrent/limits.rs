//! Sizes at the limit and one past, and deadlines.

use super::{append, client, event, read};
use crate::{Outcome, server::Server};
use bytes::Bytes;
use kurrentdb::{AppendToStreamOptions, Error, EventData};
use std::time::Duration;

/// Bytes of one event's data, at most.
const EVENT_BYTES_MAX: usize = 16 << 20;

fn large(bytes: usize) -> EventData {
    EventData::binary("large", Bytes::from(vec![7; bytes]))
}

#[tokio::test]
async fn an_event_at_the_limit_is_taken_and_one_past_it_refused() -> Outcome {
    let Some(server) = Server::start("kurrent::limits::event") else { return Ok(()) };
    let client = client(&server);
    let written = append(&client, "order-1", vec![large(EVENT_BYTES_MAX)]).await?;
    assert_eq!(written.next_expected_version, 0);
    let refused = append(&client, "order-1", vec![large(EVENT_BYTES_MAX + 1)]).await;
    let Err(Error::Grpc { code, message }) = refused else { panic!("{refused:?}") };
    assert_eq!(format!("{code:?}"), "InvalidArgument", "{message}");
    // The connection and the stream go on.
    let written = append(&client, "order-1", vec![event("placed", 1)]).await?;
    assert_eq!(written.next_expected_version, 1);
    Ok(())
}

#[tokio::test]
async fn an_append_past_the_limit_writes_nothing() -> Outcome {
    let Some(server) = Server::start("kurrent::limits::append") else { return Ok(()) };
    let client = client(&server);
    let events = (0..5).map(|_| large(EVENT_BYTES_MAX)).collect();
    let refused = append(&client, "order-1", events).await;
    let Err(Error::Grpc { code, message }) = refused else { panic!("{refused:?}") };
    assert_eq!(format!("{code:?}"), "InvalidArgument", "{message}");
    assert!(matches!(read(&client, "order-1").await, Err(Error::ResourceNotFound)));
    Ok(())
}

#[tokio::test]
async fn large_events_come_back_as_they_went() -> Outcome {
    let Some(server) = Server::start("kurrent::limits::large") else { return Ok(()) };
    let client = client(&server);
    // What this client takes in one message is less than what it sends.
    let bytes: Vec<u8> = (0..3_900_000_u32).map(|number| (number % 251) as u8).collect();
    let event = EventData::binary("large", Bytes::from(bytes.clone()));
    append(&client, "order-1", vec![event]).await?;
    let found = read(&client, "order-1").await?;
    assert!(found[0].get_original_event().data == bytes);
    Ok(())
}

#[tokio::test]
async fn a_deadline_that_is_over_writes_nothing() -> Outcome {
    let Some(server) = Server::start("kurrent::limits::deadline") else { return Ok(()) };
    let client = client(&server);
    let options = AppendToStreamOptions::default().deadline(Duration::ZERO);
    let refused = client.append_to_stream("order-1", &options, event("placed", 0)).await;
    assert!(matches!(refused, Err(Error::DeadlineExceeded)), "{refused:?}");
    assert!(matches!(read(&client, "order-1").await, Err(Error::ResourceNotFound)));
    let options = AppendToStreamOptions::default().deadline(Duration::from_secs(30));
    client.append_to_stream("order-1", &options, event("placed", 0)).await?;
    assert_eq!(read(&client, "order-1").await?.len(), 1);
    Ok(())
}
