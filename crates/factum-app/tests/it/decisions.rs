//! Emit, nothing, refuse; conflicts; keys; metadata.

use crate::shop::{Cancel, OrderEvent, Place, Rejected};
use factum_app::{
    AnyStore, App, EventStore, ExecuteError, MemoryStore, Metadata, Position, StreamName,
};
use factum_core::{Append, EventData, EventType, Read, RecordedEvent, Uuid};

async fn everything(store: &AnyStore) -> Vec<RecordedEvent> {
    store.read(Read::query(factum_core::Query::All)).await.unwrap().events().await.unwrap()
}

#[tokio::test]
async fn the_three_outcomes() {
    let app = App::new(MemoryStore::new());
    let placed = app.execute(Place { order: 1, total: 5 }).await.unwrap();
    assert_eq!((placed.position, placed.replayed, placed.ids.len()), (Position(1), false, 1));
    assert_eq!(placed.streams[0].stream.as_str(), "order-1");

    let again = app.execute(Place { order: 1, total: 5 }).await.unwrap_err();
    assert!(matches!(again, ExecuteError::Refused(Rejected::Exists)), "{again}");
    let empty = app.execute(Place { order: 2, total: 0 }).await.unwrap_err();
    assert!(matches!(empty, ExecuteError::Refused(Rejected::Empty)), "{empty}");

    let none = app.execute(Cancel { order: 9 }).await.unwrap();
    assert_eq!((none.nothing.as_deref(), none.position), (Some("not pending"), Position(1)));
    assert_eq!(everything(app.store()).await.len(), 1);
}

#[tokio::test]
async fn a_stale_cache_is_found_out_whatever_the_outcome() {
    let store = AnyStore::new(MemoryStore::new());
    let (one, other) = (App::new(store.clone()), App::new(store.clone()));
    one.execute(Place { order: 1, total: 5 }).await.unwrap();
    // `one` keeps "pending"; another instance cancels.
    other.execute(Cancel { order: 1 }).await.unwrap();
    let receipt = one.execute(Cancel { order: 1 }).await.unwrap();
    assert_eq!(receipt.nothing.as_deref(), Some("not pending"), "emitted on a stale state");

    // The other way round: what is kept leads to nothing, and the facts to an event.
    let before = one.execute(Cancel { order: 2 }).await.unwrap();
    assert_eq!(before.nothing.as_deref(), Some("not pending"));
    other.execute(Place { order: 2, total: 5 }).await.unwrap();
    let receipt = one.execute(Cancel { order: 2 }).await.unwrap();
    assert_eq!(receipt.nothing, None, "nothing, on a stale state");
}

#[tokio::test]
async fn a_deleted_stream_is_a_new_one() {
    let store = AnyStore::new(MemoryStore::new());
    let app = App::new(store.clone());
    app.execute(Place { order: 1, total: 5 }).await.unwrap();
    let stream = StreamName::new("order-1").unwrap();
    store.change(&stream, factum_core::Change::Delete, None).await.unwrap();
    let placed = app.execute(Place { order: 1, total: 7 }).await.unwrap();
    assert_eq!(placed.streams[0].first.0, 1, "revisions go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_places_the_order() {
    for cached in [0, 100] {
        let store = AnyStore::new(MemoryStore::new());
        let apps: Vec<App> =
            (0..4).map(|_| App::builder(store.clone()).states_max(cached).build()).collect();
        let tries = (0..64u32).map(|n| {
            let app = apps[n as usize % 4].clone();
            tokio::spawn(async move { app.execute(Place { order: 1, total: n + 1 }).await })
        });
        let mut placed = 0;
        for one in tries.collect::<Vec<_>>() {
            match one.await.unwrap() {
                Ok(_) => placed += 1,
                Err(error) => assert!(matches!(error, ExecuteError::Refused(Rejected::Exists))),
            }
        }
        assert_eq!((placed, everything(&store).await.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_key_answers_a_retry_with_the_first_receipt() {
    let app = App::new(MemoryStore::new());
    let first = app.execute(Place { order: 1, total: 5 }).key("k").await.unwrap();
    app.execute(Cancel { order: 1 }).await.unwrap();
    let again = app.execute(Place { order: 1, total: 5 }).key("k").await.unwrap();
    assert!(again.replayed);
    assert_eq!(factum_app::Receipt { replayed: false, ..again }, first);
    // The same key for another kind of command is another key.
    let other = app.execute(Cancel { order: 1 }).key("k").await.unwrap();
    assert!(!other.replayed);
    // A refusal is not remembered: it is decided again.
    app.execute(Place { order: 2, total: 0 }).key("z").await.unwrap_err();
    assert!(!app.execute(Place { order: 2, total: 1 }).key("z").await.unwrap().replayed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_at_the_same_time_in_two_places_is_done_once() {
    let store = AnyStore::new(MemoryStore::new());
    for order in 0..50 {
        let tries = (0..4).map(|_| {
            let app = App::new(store.clone());
            tokio::spawn(async move { app.execute(Place { order, total: 1 }).key("once").await })
        });
        let mut firsts = 0;
        for one in tries.collect::<Vec<_>>() {
            let receipt = one.await.unwrap();
            // The key is of the command, not of the order: the first order took it.
            firsts += u32::from(receipt.is_ok_and(|receipt| !receipt.replayed));
        }
        assert_eq!(firsts, u32::from(order == 0), "order {order}");
    }
    assert_eq!(everything(&store).await.len(), 1);
}

#[tokio::test]
async fn metadata_says_who_and_why() {
    let app = App::builder(MemoryStore::new()).service("shop", "1.2").build();
    let receipt = app.execute(Place { order: 1, total: 5 }).actor("ann").await.unwrap();
    let events = everything(app.store()).await;
    let placed = Metadata::of(&events[0]);
    assert_eq!(placed.actor.as_deref(), Some("ann"));
    assert_eq!(
        (placed.service.as_deref(), placed.service_version.as_deref()),
        (Some("shop"), Some("1.2"))
    );
    assert_eq!(placed.correlation, Some(receipt.correlation));

    let envelope = factum_app::Envelope::<OrderEvent>::decode(&events[0]).unwrap();
    let factum_app::event::Decoded::One(envelope) = envelope else { panic!("one event") };
    app.execute(Cancel { order: 1 }).caused_by(&envelope).await.unwrap();
    let cancelled = Metadata::of(&everything(app.store()).await[1]);
    assert_eq!(cancelled.causation, Some(events[0].id()));
    assert_eq!(cancelled.correlation, Some(receipt.correlation), "the chain is one");
    assert_eq!(cancelled.actor.as_deref(), Some("ann"), "on whose behalf is handed on");
}

#[tokio::test]
async fn what_cannot_be_decoded_stops_the_decision_and_names_the_place() {
    let store = AnyStore::new(MemoryStore::new());
    let app = App::new(store.clone());
    let stream = StreamName::new("order-1").unwrap();
    let placed = EventType::new("order.placed").unwrap();
    let bad = EventData::new(Uuid::from_u128(1), placed, r#"{"order": "x"}"#);
    store.append(Append::to(stream, [bad])).await.unwrap();
    let error = app.execute(Place { order: 1, total: 5 }).await.unwrap_err().to_string();
    assert!(error.contains("order.placed") && error.contains("position 1"), "{error}");
    assert!(error.contains("version 1"), "{error}");
}
