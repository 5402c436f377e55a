//! Messages of a broker become events once, in order, and only then the broker is told.

use super::placeless::Placeless;
use factum_app::{
    AnyStore, App, EventStore, MemoryStore, OnError, TokioWorld,
    bus::Delivery,
    consumer::StartError,
    event,
    message::{
        MemoryBroker, MemoryLimits, Message, Outgoing, Publisher, ReceiverState, Receiving,
        Subscription,
    },
};
use factum_core::{Append, EventData, EventType, Query, Read, RecordedEvent, StreamName};
use factum_testkit::{Chances, Fault, Faults, FaultyStore};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Longer than anything here takes, on any machine.
const LIMIT: Duration = Duration::from_secs(120);

#[event("parcel.sent")]
struct ParcelSent {
    #[tag]
    parcel: u32,
    step: u32,
}

fn sent(id: &str, parcel: u32, step: u32) -> Outgoing {
    let message = Message::new(id, "/shipping", "parcel.sent")
        .key(format!("parcel-{parcel}"))
        .with("correlationid", "6a4b2a9e-0c3f-4b0a-9d55-5f3f0d4f0a11")
        .json(&serde_json::json!({ "parcel": parcel, "step": step }));
    Outgoing::new("parcel.sent", message)
}

async fn start(broker: &MemoryBroker, store: impl EventStore) -> App {
    let subscription = Subscription::shared("desk", ["parcel.*"]).from_oldest().prefetch(64);
    let app = App::builder(store).receive("desk-1", broker.clone(), subscription);
    app.start().await.unwrap()
}

/// Waits until what is known of the receiver is so.
async fn until(app: &App, so: impl FnMut(&Receiving) -> bool) -> Receiving {
    let mut status = app.receiving("desk-1").unwrap();
    let waited = tokio::time::timeout(LIMIT, status.wait_for(so)).await;
    waited
        .unwrap_or_else(|_| panic!("{:?}", app.receiving("desk-1").unwrap().borrow()))
        .unwrap()
        .clone()
}

async fn events(store: &impl EventStore, event_type: &str) -> Vec<RecordedEvent> {
    let query = Query::types([EventType::new(event_type).unwrap()]);
    store.read(Read::query(query)).await.unwrap().events().await.unwrap()
}

async fn publish(broker: &MemoryBroker, all: &[Outgoing]) {
    for confirmed in broker.publish(all).await {
        confirmed.unwrap();
    }
}

#[tokio::test]
async fn a_message_becomes_an_event_with_what_is_known_of_it() {
    let (broker, store) = (MemoryBroker::new(), MemoryStore::new());
    let app = start(&broker, store.clone()).await;
    let id = "00000000-0000-4000-8000-00000000000a";
    publish(&broker, &[sent(id, 7, 1), sent("other", 7, 2), sent("keyless", 8, 1)]).await;
    until(&app, |now| now.received == 3).await;
    let events = events(&store, "parcel.sent").await;
    let streams: Vec<_> = events.iter().map(|one| one.stream().as_str()).collect();
    assert_eq!(
        streams,
        ["inbox.desk%2D1-parcel-7", "inbox.desk%2D1-parcel-7", "inbox.desk%2D1-parcel-8"]
    );
    assert_eq!((events[0].id().to_string().as_str(), events[1].revision().0), (id, 1));
    assert_eq!(events[0].data(), br#"{"parcel":7,"step":1}"#);
    let known = factum_app::Metadata::of(&events[0]);
    assert_eq!(known.correlation.unwrap().to_string(), "6a4b2a9e-0c3f-4b0a-9d55-5f3f0d4f0a11");
    assert_eq!(known.more["source"], "/shipping");
    app.stop().await;
    assert!(broker.dead_letters("desk").is_empty());
}

/// Ids that are no UUIDs are told apart by their source too, as CloudEvents says.
#[tokio::test]
async fn what_comes_again_is_known_whether_its_id_is_a_uuid_or_not() {
    let (broker, store) = (MemoryBroker::new(), MemoryStore::new());
    let app = start(&broker, store.clone()).await;
    let mut elsewhere = sent("order/1", 7, 3);
    elsewhere.message.source = "/elsewhere".into();
    let batch = [sent("order/1", 7, 1), sent("order/1", 7, 1), elsewhere];
    publish(&broker, &batch).await;
    publish(&broker, &batch).await;
    let end = until(&app, |now| now.received + now.repeated == 6).await;
    assert_eq!((end.received, end.repeated), (2, 4));
    // New ones beside one that is known: all of one batch.
    let mixed = [sent("order/1", 7, 1), sent("order/2", 7, 2), sent("order/3", 9, 1)];
    publish(&broker, &mixed).await;
    until(&app, |now| now.received == 4).await;
    assert_eq!(events(&store, "parcel.sent").await.len(), 4);
    app.stop().await;
}

/// A service that hears itself, and two receivers that hear one message.
#[tokio::test]
async fn a_message_whose_id_is_another_events_is_stored_once_all_the_same() {
    let (broker, store) = (MemoryBroker::new(), MemoryStore::new());
    let group = |name: &str| Subscription::shared(name, ["parcel.*"]).from_oldest();
    let app = App::builder(store.clone())
        .receive("desk-1", broker.clone(), group("desk"))
        .receive("office", broker.clone(), group("office"))
        .start()
        .await
        .unwrap();
    let id = "00000000-0000-4000-8000-00000000000a";
    let own = EventData::new(id.parse().unwrap(), EventType::new("own").unwrap(), "{}");
    store.append(Append::to(StreamName::new("own-1").unwrap(), [own])).await.unwrap();
    let batch = [sent(id, 7, 1), sent("2", 7, 2), sent(id, 7, 1)];
    publish(&broker, &batch).await;
    publish(&broker, &batch).await;
    for name in ["desk-1", "office"] {
        let mut status = app.receiving(name).unwrap();
        let all = status.wait_for(|now| now.received + now.repeated == 6);
        let end = tokio::time::timeout(LIMIT, all).await.unwrap().unwrap().clone();
        assert_eq!((end.received, end.repeated, end.refused), (2, 4, 0), "{name}");
    }
    app.stop().await;
    let events = events(&store, "parcel.sent").await;
    for name in ["desk%2D1", "office"] {
        let of = events.iter().filter(|one| one.stream().as_str().contains(name));
        assert_eq!(of.map(step).collect::<Vec<_>>(), [1, 2], "{name}");
    }
}

/// Nothing is acknowledged that is not durable, and nothing that was is there twice.
#[tokio::test]
async fn nothing_is_lost_and_nothing_twice_while_broker_and_store_come_and_go() {
    let (broker, store) = (MemoryBroker::new(), MemoryStore::new());
    let chances = Chances { refused: 3, lost_reply: 3, ..Chances::NONE };
    // At first it is away for longer than an append is tried: what was handed out goes back.
    let away = |faults: Faults, append| faults.at(append, Fault::LoseRequest);
    let faults = (1..=20).fold(Faults::seeded(7, chances), away);
    let faulty = FaultyStore::new(store.clone(), faults.clone(), Arc::new(TokioWorld::default()));
    let app = start(&broker, faulty).await;
    for step in 0..300 {
        if step % 50 == 20 {
            broker.go_away();
            broker.come_back();
        }
        while broker.publish(&[sent(&step.to_string(), step % 5, step)]).await.remove(0).is_err() {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }
    let is_all = async {
        while faults.counts().lost_requests < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        faults.calm();
        while events(&store, "parcel.sent").await.len() < 300 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, is_all).await.unwrap();
    app.stop().await;
    let events = events(&store, "parcel.sent").await;
    assert_eq!(events.len(), 300);
    for parcel in 0..5 {
        let stream = format!("inbox.desk%2D1-parcel-{parcel}");
        let of = events.iter().filter(|one| one.stream().as_str() == stream);
        let steps: Vec<u64> = of.map(step).collect();
        assert!(steps.is_sorted() && steps.len() == 60, "{parcel}: {steps:?}");
    }
    assert_eq!(app.receiving("desk-1").unwrap().borrow().state, ReceiverState::Ended);
}

fn step(event: &RecordedEvent) -> u64 {
    serde_json::from_slice::<ParcelSent>(event.data()).unwrap().step.into()
}

#[tokio::test]
async fn handlers_follow_what_was_received() {
    let (broker, store) = (MemoryBroker::new(), MemoryStore::new());
    let (tell, mut told) = mpsc::channel(16);
    let subscription = Subscription::shared("desk", ["parcel.*"]);
    let app = App::builder(store)
        .receive("desk-1", broker.clone(), subscription)
        .on("log", OnError::Park, move |sent: Delivery<ParcelSent>| {
            let tell = tell.clone();
            async move {
                tell.send((sent.event.parcel, sent.event.step, sent.metadata.correlation)).await?;
                Ok(())
            }
        })
        .start()
        .await
        .unwrap();
    until(&app, |now| now.state == ReceiverState::Running).await;
    publish(&broker, &[sent("1", 7, 1)]).await;
    let (parcel, step, correlation) = told.recv().await.unwrap();
    assert_eq!((parcel, step, correlation.is_some()), (7, 1, true));
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_message_is_put_aside_and_the_rest_goes_on() {
    let (broker, store) = (MemoryBroker::new(), MemoryStore::new());
    let app = start(&broker, store.clone()).await;
    broker.publish_raw("parcel.x", Vec::new(), None, "hello".into()).unwrap();
    let mut nameless = sent("2", 7, 2);
    nameless.message.name = "\0".into();
    publish(&broker, &[sent("1", 7, 1), nameless, sent("3", 7, 3)]).await;
    let end = until(&app, |now| now.received + now.refused == 4).await;
    assert_eq!((end.received, end.refused), (2, 2));
    assert_eq!(broker.dead_letters("desk").len(), 2);
    assert_eq!(events(&store, "parcel.sent").await.len(), 2);
    app.stop().await;
}

/// It came again under a fresh id, for ever; what was too large for the store stopped everything.
#[tokio::test]
async fn what_no_broker_and_no_store_has_a_place_for_is_kept_once_and_acknowledged() {
    let limits = MemoryLimits { message_bytes_max: 20 << 20, ..MemoryLimits::default() };
    let broker = MemoryBroker::with(Arc::new(TokioWorld::default()), limits);
    let store = MemoryStore::new();
    let subscription = Subscription::shared("desk", ["parcel.*"]).from_oldest().prefetch(2);
    let consumer = Placeless::new(broker.clone());
    let mut acked = consumer.acked();
    let app = App::builder(store.clone()).receive("desk-1", consumer, subscription);
    let app = app.start().await.unwrap();
    let most = store.capabilities().limits.event_bytes_max;
    for bytes in [vec![b'h'], vec![b'h'], vec![b'l'; most + 1]] {
        broker.publish_raw("parcel.x", Vec::new(), None, bytes.into()).unwrap();
    }
    let large = [b"\"".to_vec(), vec![b'm'; most], b"\"".to_vec()].concat();
    let mut too_large = sent("1", 7, 1);
    too_large.message = too_large.message.data("application/json", large);
    publish(&broker, &[too_large, sent("2", 7, 2), sent("3", 8, 3)]).await;
    tokio::time::timeout(LIMIT, acked.wait_for(|acked| *acked == 6)).await.unwrap().unwrap();
    until(&app, |now| now.received == 2).await;
    let mut kept = events(&store, "message.malformed").await;
    kept.sort_by_key(|one| one.data().len());
    let of = |one: &RecordedEvent| (one.data().len(), factum_app::Metadata::of(one).more);
    let kept: Vec<_> = kept.iter().map(of).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept[0].0 == 1 && kept[0].1.is_empty(), "{kept:?}");
    assert!(kept[1].0 == most && kept[2].0 == most, "{kept:?}");
    assert!(kept[1].1["bytes"].as_u64().unwrap() > most as u64, "{kept:?}");
    app.stop().await;
}

#[tokio::test]
async fn names_are_checked_before_anything_runs() {
    let (broker, subscription) = (MemoryBroker::new(), Subscription::shared("g", ["t"]));
    let builder = || App::builder(AnyStore::new(MemoryStore::new()));
    let with = |name: &str| builder().receive(name, broker.clone(), subscription.clone());
    let twice = with("a").receive("a", broker.clone(), subscription.clone()).start().await;
    assert!(matches!(twice, Err(StartError::ReceiversTwice { name }) if name == "a"));
    assert!(matches!(with("a\0").start().await, Err(StartError::Name { .. })));
}

#[tokio::test]
async fn a_subscription_that_is_refused_says_why() {
    let broker = MemoryBroker::new();
    let subscription = Subscription::shared("desk", Vec::<String>::new());
    let app = App::builder(MemoryStore::new()).receive("desk-1", broker, subscription);
    let app = app.start().await.unwrap();
    let end = until(&app, |now| matches!(now.state, ReceiverState::Stopped { .. })).await;
    let ReceiverState::Stopped { why } = end.state else { unreachable!() };
    assert!(why.contains("it names no topic"), "{why}");
    app.stop().await;
}
