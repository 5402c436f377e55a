//! Stream metadata: what it holds, and what it hides.

use super::{append, client, events, expecting, read, read_all, revisions};
use crate::{Outcome, PATIENCE, server::Server};
use kurrentdb::{
    Acl, Client, Error, ReadAllOptions, StreamAclBuilder, StreamMetadata, StreamMetadataResult,
    StreamState, VersionedMetadata,
};
use serde_json::json;
use std::time::{Duration, Instant};

async fn set(client: &Client, stream: &str, metadata: &StreamMetadata) -> kurrentdb::Result<u64> {
    let written = client.set_stream_metadata(stream, &Default::default(), metadata).await?;
    Ok(written.next_expected_version)
}

async fn get(client: &Client, stream: &str) -> kurrentdb::Result<VersionedMetadata> {
    match client.get_stream_metadata(stream, &Default::default()).await? {
        StreamMetadataResult::Success(metadata) => Ok(*metadata),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn everything_in_it_comes_back() -> Outcome {
    let Some(server) = Server::start("kurrent::metadata::everything") else { return Ok(()) };
    let client = client(&server);
    let found = client.get_stream_metadata("order-1", &Default::default()).await?;
    assert!(found.is_not_found());
    let acl = StreamAclBuilder::new().add_read_roles("admin").add_write_roles("ops").build();
    let metadata = StreamMetadata::builder()
        .max_count(100)
        .max_age(Duration::from_secs(3_600))
        .truncate_before(2)
        .cache_control(Duration::from_secs(10))
        .acl(Acl::Stream(acl))
        .insert_custom_property("owner", json!({ "team": "orders" }))
        .build();
    assert_eq!(set(&client, "order-1", &metadata).await?, 0);
    let found = get(&client, "order-1").await?;
    assert_eq!((found.metadata(), found.version()), (&metadata, 0));
    assert_eq!(found.stream_name(), "$$order-1");
    Ok(())
}

#[tokio::test]
async fn the_last_one_counts() -> Outcome {
    let Some(server) = Server::start("kurrent::metadata::last") else { return Ok(()) };
    let client = client(&server);
    for count in [3, 2, 1] {
        set(&client, "order-1", &StreamMetadata::builder().max_count(count).build()).await?;
    }
    let found = get(&client, "order-1").await?;
    assert_eq!((found.metadata().max_count, found.version()), (Some(1), 2));
    assert_eq!(revisions(&read(&client, "$$order-1").await?), [2]);
    assert_eq!(read_all(&client, &ReadAllOptions::default()).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn it_has_an_expected_version_of_its_own() -> Outcome {
    let Some(server) = Server::start("kurrent::metadata::version") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..5)).await?;
    let metadata = StreamMetadata::builder().max_count(3).build();
    let first = expecting(StreamState::NoStream);
    client.set_stream_metadata("order-1", &first, &metadata).await?;
    let refused = client.set_stream_metadata("order-1", &first, &metadata).await;
    assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");
    let next = expecting(StreamState::StreamRevision(0));
    assert_eq!(
        client.set_stream_metadata("order-1", &next, &metadata).await?.next_expected_version,
        1
    );
    Ok(())
}

#[tokio::test]
async fn max_count_shows_the_last_ones() -> Outcome {
    let Some(server) = Server::start("kurrent::metadata::max_count") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..5)).await?;
    set(&client, "order-1", &StreamMetadata::builder().max_count(2).build()).await?;
    assert_eq!(revisions(&read(&client, "order-1").await?), [3, 4]);
    append(&client, "order-1", events("placed", 5..6)).await?;
    assert_eq!(revisions(&read(&client, "order-1").await?), [4, 5]);
    Ok(())
}

#[tokio::test]
async fn truncate_before_shows_what_is_not() -> Outcome {
    let Some(server) = Server::start("kurrent::metadata::tb") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..5)).await?;
    set(&client, "order-1", &StreamMetadata::builder().truncate_before(3).build()).await?;
    assert_eq!(revisions(&read(&client, "order-1").await?), [3, 4]);
    set(&client, "order-1", &StreamMetadata::builder().truncate_before(1).build()).await?;
    assert_eq!(revisions(&read(&client, "order-1").await?), [1, 2, 3, 4]);
    Ok(())
}

#[tokio::test]
async fn max_age_shows_the_young() -> Outcome {
    let Some(server) = Server::start("kurrent::metadata::max_age") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..2)).await?;
    // This client counts it in milliseconds where the protocol has seconds.
    let metadata = json!({ "$maxAge": 1 });
    let event = kurrentdb::EventData::json("$metadata", &metadata)?;
    append(&client, "$$order-1", vec![event]).await?;
    let started = Instant::now();
    while !read(&client, "order-1").await?.is_empty() {
        assert!(started.elapsed() < PATIENCE, "still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    append(&client, "order-1", events("placed", 2..3)).await?;
    assert_eq!(revisions(&read(&client, "order-1").await?), [2]);
    Ok(())
}

#[tokio::test]
async fn metadata_that_is_no_json_is_refused() -> Outcome {
    let Some(server) = Server::start("kurrent::metadata::bad") else { return Ok(()) };
    let client = client(&server);
    append(&client, "order-1", events("placed", 0..2)).await?;
    let bad = kurrentdb::EventData::binary("$metadata", bytes::Bytes::from_static(b"{"));
    let refused = append(&client, "$$order-1", vec![bad]).await;
    assert!(matches!(refused, Err(Error::Grpc { .. })), "{refused:?}");
    assert_eq!(read(&client, "order-1").await?.len(), 2);
    Ok(())
}
