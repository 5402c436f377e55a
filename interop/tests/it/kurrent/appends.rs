//! Appends: one event, many, batches; what comes back of an event; a retry.

use super::{append, client, event, events, expecting, numbers, read, read_all, revisions};
use crate::{Outcome, server::Server};
use bytes::Bytes;
use kurrentdb::{BatchAppendOptions, Error, EventData, ReadAllOptions, StreamState};
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn one_at_a_time_each_at_the_next_revision() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::one_at_a_time") else { return Ok(()) };
    let client = client(&server);
    let mut positions = Vec::new();
    for number in 0..3 {
        let written = append(&client, "order-1", vec![event("placed", number)]).await?;
        assert_eq!(written.next_expected_version, number);
        assert_eq!(written.position.commit, written.position.prepare);
        positions.push(written.position);
    }
    assert!(positions.is_sorted() && positions[0] != positions[1]);
    let in_stream = read(&client, "order-1").await?;
    let in_all = read_all(&client, &ReadAllOptions::default()).await?;
    for read in [in_stream, in_all] {
        let found: Vec<_> = read.iter().map(|read| read.get_original_event().position).collect();
        assert_eq!(found, positions);
    }
    Ok(())
}

#[tokio::test]
async fn many_at_once_are_one_append() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::many_at_once") else { return Ok(()) };
    let client = client(&server);
    let written = append(&client, "order-1", events("placed", 0..2_000)).await?;
    assert_eq!(written.next_expected_version, 1_999);
    let found = read(&client, "order-1").await?;
    assert_eq!(numbers(&found), (0..2_000).collect::<Vec<_>>());
    assert_eq!(revisions(&found), (0..2_000).collect::<Vec<_>>());
    assert_eq!(found[1_999].get_original_event().position, written.position);
    Ok(())
}

#[tokio::test]
async fn events_of_an_iterator_are_streamed() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::iterator") else { return Ok(()) };
    let client = client(&server);
    let events = kurrentdb::Streaming((0..100).map(|number| event("placed", number)));
    let written = client.append_to_stream("order-1", &Default::default(), events).await?;
    assert_eq!(written.next_expected_version, 99);
    Ok(())
}

#[tokio::test]
async fn no_events_write_nothing() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::no_events") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", Vec::new()).await?;
    assert!(matches!(read(&client, "order-1").await, Err(Error::ResourceNotFound)));
    append(&client, "order-2", vec![event("placed", 0)]).await?;
    let none: Vec<EventData> = Vec::new();
    let wrong = client.append_to_stream("order-2", &expecting(StreamState::NoStream), none).await;
    assert!(matches!(wrong, Err(Error::WrongExpectedVersion { .. })), "{wrong:?}");
    assert_eq!(read(&client, "order-2").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn everything_of_an_event_comes_back() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::everything") else { return Ok(()) };
    let client = client(&server);
    let (json_id, binary_id) = (Uuid::new_v4(), Uuid::new_v4());
    let metadata = json!({ "$correlationId": "c-1", "user": "Ada" });
    let json = EventData::json("order placed", &json!({ "total": 12.5, "to": "Zoë" }))?
        .id(json_id)
        .metadata_as_json(&metadata)?;
    let bytes = Bytes::from_static(b"\x00\xff\x01");
    let binary = EventData::binary("picture", bytes.clone()).id(binary_id);
    append(&client, "order-über/1", vec![json, binary.metadata(Bytes::from_static(b"\xfe"))])
        .await?;

    let found = read(&client, "order-über/1").await?;
    let (json, binary) = (found[0].get_original_event(), found[1].get_original_event());
    assert_eq!((json.id, binary.id), (json_id, binary_id));
    assert_eq!((json.event_type.as_str(), binary.event_type.as_str()), ("order placed", "picture"));
    assert_eq!((json.is_json, binary.is_json), (true, false));
    assert_eq!(json.stream_id(), "order-über/1");
    assert_eq!(json.as_json::<serde_json::Value>()?, json!({ "total": 12.5, "to": "Zoë" }));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json.custom_metadata)?, metadata);
    assert_eq!(binary.data, bytes);
    assert_eq!(binary.custom_metadata, Bytes::from_static(b"\xfe"));
    let age = std::time::SystemTime::now().duration_since(json.created.into())?;
    assert!(age < crate::PATIENCE, "{age:?}");
    Ok(())
}

#[tokio::test]
async fn batches_of_one_call_go_to_many_streams() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::batches") else { return Ok(()) };
    let client = client(&server);
    let batches = client.batch_append(&BatchAppendOptions::default()).await?;
    for number in 0..20 {
        let stream = format!("order-{}", number % 4);
        let done = batches.append_to_stream(&stream, StreamState::Any, events("placed", 0..3));
        let done = done.await?;
        assert_eq!(done.stream_name(), stream);
        assert_eq!(done.current_revision(), Some(number / 4 * 3 + 2));
        let last = read(&client, &stream).await?.pop().unwrap();
        assert_eq!(done.current_position(), Some(last.get_original_event().position));
    }
    let all = read_all(&client, &ReadAllOptions::default()).await?;
    assert_eq!(all.len(), 60);
    Ok(())
}

#[tokio::test]
async fn a_batch_with_a_wrong_version_is_refused_alone() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::batch_wrong") else { return Ok(()) };
    let client = client(&server);
    let batches = client.batch_append(&BatchAppendOptions::default()).await?;
    batches.append_to_stream("order-1", StreamState::NoStream, events("placed", 0..2)).await?;
    let again = batches.append_to_stream("order-1", StreamState::NoStream, events("placed", 2..3));
    let Err(Error::Grpc { code, message }) = again.await else { panic!("not refused") };
    assert_eq!(format!("{code:?}"), "AlreadyExists", "{message}");
    assert_eq!(read(&client, "order-1").await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_retry_is_answered_as_the_first_time() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::retry") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..2)).await?;
    for state in [StreamState::Any, StreamState::StreamExists, StreamState::StreamRevision(1)] {
        let ids = [Uuid::new_v4(), Uuid::new_v4()];
        let events = || ids.iter().map(|id| event("paid", 7).id(*id)).collect::<Vec<EventData>>();
        let stream = format!("order-{state:?}");
        append(&client, &stream, super::events("placed", 0..2)).await?;
        let first = client.append_to_stream(&*stream, &expecting(state), events()).await?;
        append(&client, &stream, vec![event("sent", 8)]).await?;
        let again = client.append_to_stream(&*stream, &expecting(state), events()).await?;
        assert_eq!(again.next_expected_version, first.next_expected_version, "{state:?}");
        assert_eq!(again.position, first.position, "{state:?}");
        assert_eq!(numbers(&read(&client, &stream).await?), [0, 1, 7, 7, 8], "{state:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_retry_that_is_longer_than_the_first_time_is_refused() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::longer_retry") else { return Ok(()) };
    let client = client(&server);
    let first = Uuid::new_v4();
    let options = expecting(StreamState::NoStream);
    client.append_to_stream("order-1", &options, event("placed", 0).id(first)).await?;
    let longer = vec![event("placed", 0).id(first), event("paid", 1)];
    let refused = client.append_to_stream("order-1", &options, longer).await;
    assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");
    assert_eq!(read(&client, "order-1").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_id_is_written_again_where_the_version_is_right() -> Outcome {
    let Some(server) = Server::start("kurrent::appends::same_id") else { return Ok(()) };
    let client = client(&server);
    let id = Uuid::new_v4();
    append(&client, "order-1", vec![event("placed", 0).id(id)]).await?;
    let options = expecting(StreamState::StreamRevision(0));
    let written = client.append_to_stream("order-1", &options, event("placed", 1).id(id)).await?;
    assert_eq!(written.next_expected_version, 1);
    assert_eq!(read(&client, "order-1").await?.len(), 2);
    Ok(())
}
