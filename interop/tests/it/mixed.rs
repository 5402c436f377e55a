//! One store, two protocols: what KurrentDB's client wrote is seen by UmaDB's, and back.

use crate::{Outcome, kurrent, server::Server, soon, umadb};
use kurrentdb::{EventData, ReadAllOptions, StreamMetadata, StreamPosition, SubscribeToAllOptions};
use serde_json::json;
use umadb_dcb::{DcbAppendCondition, DcbError, DcbEventStoreAsync};

#[tokio::test]
async fn what_kurrentdb_wrote_is_seen_by_umadb() -> Outcome {
    let Some(server) = Server::start("mixed::kurrentdb_to_umadb") else { return Ok(()) };
    let (kurrentdb, umadb) = (kurrent::client(&server), umadb::client(&server).await?);
    let tagged = EventData::json("placed", &json!({ "total": 12 }))?
        .metadata_as_json(&json!({ "$tags": ["o:1", "shop"], "user": "Ada" }))?;
    let written = kurrent::append(&kurrentdb, "order-1", vec![tagged]).await?;
    kurrent::append(&kurrentdb, "order-1", vec![kurrent::event("paid", 1)]).await?;

    let found = umadb::read(&umadb, Some(umadb::query(&["placed"], &["shop", "o:1"]))).await?;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].position, written.position.commit);
    assert_eq!(found[0].event.event_type, "placed");
    assert_eq!(found[0].event.data, br#"{"total":12}"#);
    assert!(found[0].event.metadata.contains(&("user".to_owned(), "Ada".to_owned())));
    let condition = DcbAppendCondition::new(umadb::query(&["paid"], &[]));
    let refused = umadb.append(vec![umadb::event("seen", &[], 0)], Some(condition), None).await;
    assert!(matches!(refused, Err(DcbError::IntegrityError(_))), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn what_umadb_wrote_is_seen_by_kurrentdb() -> Outcome {
    let Some(server) = Server::start("mixed::umadb_to_kurrentdb") else { return Ok(()) };
    let (kurrentdb, umadb) = (kurrent::client(&server), umadb::client(&server).await?);
    let mut subscription = kurrentdb.subscribe_to_all(&SubscribeToAllOptions::default()).await;
    let event = umadb::event("placed", &["o:1"], 7).metadata([("user", "Ada")]);
    let position = umadb.append(vec![event], None, None).await?;
    let named = umadb::event("paid", &["o:1"], 8).metadata([("$stream", "order-1")]);
    umadb.append(vec![named], None, None).await?;

    let all = kurrent::read_all(&kurrentdb, &ReadAllOptions::default()).await?;
    let placed = all[0].get_original_event();
    assert_eq!((placed.event_type.as_str(), &placed.data[..]), ("placed", &b"7"[..]));
    assert_eq!(placed.position.commit, position);
    assert_eq!(placed.stream_id(), "dcb-0");
    let metadata: serde_json::Value = serde_json::from_slice(&placed.custom_metadata)?;
    assert_eq!(metadata["user"], "Ada");
    let live = soon("an event", subscription.next()).await?;
    assert_eq!(live.get_original_event().id, placed.id);
    let order = kurrent::read(&kurrentdb, "order-1").await?;
    assert_eq!(order[0].get_original_event().event_type, "paid");
    assert_eq!(order[0].get_original_event().revision, 0);
    Ok(())
}

#[tokio::test]
async fn streams_of_the_system_are_not_seen_by_umadb() -> Outcome {
    let Some(server) = Server::start("mixed::system") else { return Ok(()) };
    let (kurrentdb, umadb) = (kurrent::client(&server), umadb::client(&server).await?);
    let metadata = StreamMetadata::builder().max_count(100).build();
    kurrentdb.set_stream_metadata("order-1", &Default::default(), &metadata).await?;
    assert_eq!(umadb.head().await?, None);
    assert_eq!(umadb::read(&umadb, None).await?.len(), 0);
    let condition = DcbAppendCondition::new(umadb::query(&["$metadata"], &[]));
    let position =
        umadb.append(vec![umadb::event("placed", &["o:1"], 0)], Some(condition), None).await?;
    kurrentdb.set_stream_metadata("order-1", &Default::default(), &metadata).await?;
    assert_eq!(umadb.head().await?, Some(position));
    let (events, head) = umadb.read_with_head(None, None, true, None).await?;
    assert_eq!((umadb::numbers(&events), head), (vec![0], Some(position)));
    Ok(())
}

#[tokio::test]
async fn what_kurrentdb_deleted_is_still_a_fact_of_all() -> Outcome {
    let Some(server) = Server::start("mixed::deleted") else { return Ok(()) };
    let (kurrentdb, umadb) = (kurrent::client(&server), umadb::client(&server).await?);
    kurrent::append(&kurrentdb, "order-1", vec![kurrent::event("placed", 0)]).await?;
    let seen = umadb::read(&umadb, None).await?.len();
    kurrentdb.delete_stream("order-1", &Default::default()).await?;
    assert_eq!(umadb::read(&umadb, None).await?.len(), seen);
    Ok(())
}

#[tokio::test]
async fn both_append_at_once_and_read_the_same_order() -> Outcome {
    let Some(server) = Server::start("mixed::order") else { return Ok(()) };
    let (kurrentdb, umadb) = (kurrent::client(&server), umadb::client(&server).await?);
    let one = async {
        for number in 0..100 {
            kurrent::append(&kurrentdb, "order-1", vec![kurrent::event("one", number)]).await?;
        }
        kurrentdb::Result::Ok(())
    };
    let other = async {
        for number in 0..100 {
            umadb.append(vec![umadb::event("other", &["o:1"], number)], None, None).await?;
        }
        umadb_dcb::DcbResult::Ok(())
    };
    let (one, other) = tokio::join!(one, other);
    one?;
    other?;
    let options = ReadAllOptions::default().position(StreamPosition::Start);
    let by_one = kurrent::read_all(&kurrentdb, &options).await?;
    let by_one: Vec<_> = by_one
        .iter()
        .map(|read| read.get_original_event())
        .map(|event| (event.position.commit, event.id))
        .collect();
    let by_other = umadb::read(&umadb, None).await?;
    let by_other: Vec<_> =
        by_other.iter().map(|event| (event.position, event.event.uuid.unwrap())).collect();
    assert_eq!(by_one.len(), 200);
    assert_eq!(by_one, by_other);
    Ok(())
}
