//! Deleted streams: softly, which a new event reopens, and by a tombstone, for ever.

use super::{append, client, event, events, numbers, read, read_all, read_with, revisions};
use crate::{Outcome, server::Server};
use kurrentdb::{
    BatchAppendOptions, DeleteStreamOptions, Error, ReadAllOptions, ReadStreamOptions,
    StreamMetadata, StreamMetadataResult, StreamPosition, StreamState, TombstoneStreamOptions,
};

fn delete(state: StreamState) -> DeleteStreamOptions {
    DeleteStreamOptions::default().stream_state(state)
}

fn tombstone(state: StreamState) -> TombstoneStreamOptions {
    TombstoneStreamOptions::default().stream_state(state)
}

/// The code of an error that the client has no type for.
fn code<T: std::fmt::Debug>(result: kurrentdb::Result<T>) -> String {
    match result {
        Err(Error::Grpc { code, .. }) => format!("{code:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_deleted_stream_is_not_found_and_opens_again() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::soft") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..3)).await?;
    let position = client.delete_stream("order-1", &delete(StreamState::Any)).await?;
    assert!(position.is_some());
    let end = ReadStreamOptions::default().position(StreamPosition::End);
    for options in [ReadStreamOptions::default(), end] {
        let found = read_with(&client, "order-1", &options).await;
        assert!(matches!(found, Err(Error::ResourceNotFound)), "{found:?}");
    }
    append(&client, "order-1", events("placed", 3..5)).await?;
    let found = read(&client, "order-1").await?;
    assert_eq!((revisions(&found), numbers(&found)), (vec![3, 4], vec![3, 4]));
    Ok(())
}

#[tokio::test]
async fn a_delete_checks_the_version() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::version") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..3)).await?;
    for wrong in [StreamState::StreamRevision(0), StreamState::NoStream] {
        let refused = client.delete_stream("order-1", &delete(wrong)).await;
        assert_eq!(code(refused), "FailedPrecondition", "{wrong:?}");
        let refused = client.tombstone_stream("order-1", &tombstone(wrong)).await;
        assert_eq!(code(refused), "FailedPrecondition", "{wrong:?}");
    }
    assert_eq!(read(&client, "order-1").await?.len(), 3);
    client.delete_stream("order-1", &delete(StreamState::StreamRevision(2))).await?;
    append(&client, "order-2", events("placed", 0..1)).await?;
    client.delete_stream("order-2", &delete(StreamState::StreamExists)).await?;
    // A second time says the same, and is no error.
    client.delete_stream("order-1", &delete(StreamState::StreamRevision(2))).await?;
    Ok(())
}

#[tokio::test]
async fn a_tombstoned_stream_is_deleted_for_ever() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::tombstone") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..3)).await?;
    let before = read_all(&client, &ReadAllOptions::default()).await?.len();
    let options = tombstone(StreamState::StreamRevision(2));
    assert!(client.tombstone_stream("order-1", &options).await?.is_some());

    let found = read(&client, "order-1").await;
    assert!(matches!(found, Err(Error::ResourceDeleted)), "{found:?}");
    let refused = append(&client, "order-1", vec![event("placed", 3)]).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
    let refused = client.delete_stream("order-1", &delete(StreamState::Any)).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
    let refused = client.tombstone_stream("order-1", &tombstone(StreamState::Any)).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");

    let all = read_all(&client, &ReadAllOptions::default()).await?;
    assert_eq!(all.len(), before + 1);
    assert_eq!(all.last().unwrap().get_original_event().event_type, "$streamDeleted");
    Ok(())
}

#[tokio::test]
async fn a_batch_for_a_tombstoned_stream_is_refused() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::batch") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..1)).await?;
    client.tombstone_stream("order-1", &tombstone(StreamState::Any)).await?;
    let batches = client.batch_append(&BatchAppendOptions::default()).await?;
    let refused = batches.append_to_stream("order-1", StreamState::Any, events("paid", 1..2)).await;
    assert_eq!(code(refused), "NotFound");
    Ok(())
}

#[tokio::test]
async fn a_name_can_be_tombstoned_before_its_stream_is() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::missing") else { return Ok(()) };
    let client = client(&server);
    client.tombstone_stream("order-1", &tombstone(StreamState::Any)).await?;
    let refused = append(&client, "order-1", vec![event("placed", 3)]).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
    let refused = client.delete_stream("order-2", &delete(StreamState::StreamExists)).await;
    assert_eq!(code(refused), "FailedPrecondition");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_never_was_is_not_deleted() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::never") else { return Ok(()) };
    let client = client(&server);
    for state in [StreamState::Any, StreamState::NoStream] {
        let refused = client.delete_stream("order-1", &delete(state)).await;
        assert_eq!(code(refused), "FailedPrecondition", "{state:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_stream_keeps_the_rest_of_its_metadata() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::metadata") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..2)).await?;
    let owner = || StreamMetadata::builder().insert_custom_property("owner", "Ada");
    let metadata = owner().truncate_before(i64::MAX as u64).build();
    client.set_stream_metadata("order-1", &Default::default(), &metadata).await?;
    let found = read(&client, "order-1").await;
    assert!(matches!(found, Err(Error::ResourceNotFound)), "{found:?}");
    append(&client, "order-1", events("placed", 2..3)).await?;
    assert_eq!(revisions(&read(&client, "order-1").await?), [2]);
    let found = client.get_stream_metadata("order-1", &Default::default()).await?;
    let StreamMetadataResult::Success(found) = found else { panic!("{found:?}") };
    assert_eq!(*found.metadata(), owner().truncate_before(2).build());
    Ok(())
}

#[tokio::test]
async fn new_metadata_does_not_bring_deleted_events_back() -> Outcome {
    let Some(server) = Server::start("kurrent::deletes::back") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..2)).await?;
    client.delete_stream("order-1", &delete(StreamState::Any)).await?;
    let metadata = StreamMetadata::builder().max_count(100).build();
    client.set_stream_metadata("order-1", &Default::default(), &metadata).await?;
    let found = read(&client, "order-1").await;
    assert!(
        matches!(&found, Err(Error::ResourceNotFound)) || found.as_ref().is_ok_and(Vec::is_empty),
        "{found:?}"
    );
    append(&client, "order-1", events("placed", 2..3)).await?;
    assert_eq!(revisions(&read(&client, "order-1").await?), [2]);
    Ok(())
}
