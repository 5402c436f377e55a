//! Old versions of events are read as what they mean today.

use factum_app::{
    App, EventStore, MemoryStore, StreamName, Upcast, Uuid, event,
    event::{Raw, Why},
};
use factum_core::{Append, EventData, EventType, Read, RecordedEvent};

#[event("price.set")]
struct PriceSetV1 {
    #[tag]
    article: u32,
    price: u32,
}

#[event("price.set", version = 2)]
struct PriceSetV2 {
    #[tag]
    article: u32,
    cents: u64,
}

impl Upcast for PriceSetV2 {
    type Old = PriceSetV1;

    fn upcast(old: PriceSetV1) -> Self {
        Self { article: old.article, cents: u64::from(old.price) * 100 }
    }
}

#[event("price.set", version = 3)]
struct PriceSet {
    #[tag]
    article: u32,
    cents: u64,
    currency: String,
}

impl Upcast for PriceSet {
    type Old = PriceSetV2;

    fn upcast(old: PriceSetV2) -> Self {
        Self { article: old.article, cents: old.cents, currency: "EUR".into() }
    }
}

pub(crate) async fn stored(event_type: &str, version: Option<u32>, data: &str) -> RecordedEvent {
    let app = App::new(MemoryStore::new());
    let mut event =
        EventData::new(Uuid::from_u128(1), EventType::new(event_type).unwrap(), data.to_owned());
    if let Some(version) = version {
        event = event.with_metadata(format!(r#"{{"$schemaVersion":{version}}}"#));
    }
    let stream = StreamName::new("price-1").unwrap();
    app.store().append(Append::to(stream.clone(), [event])).await.unwrap();
    let read = app.store().read(Read::stream(stream)).await.unwrap();
    read.events().await.unwrap().remove(0)
}

async fn read(event_type: &str, version: Option<u32>, data: &str) -> Result<PriceSet, Why> {
    let stored = stored(event_type, version, data).await;
    <PriceSet as factum_app::Event>::decode(&Raw::of(&stored)).map_err(|error| error.why)
}

#[tokio::test]
async fn every_version_becomes_the_last() {
    let euros = |cents| PriceSet { article: 7, cents, currency: "EUR".into() };
    assert_eq!(read("price.set", None, r#"{"article":7,"price":3}"#).await, Ok(euros(300)));
    assert_eq!(read("price.set", Some(2), r#"{"article":7,"cents":5}"#).await, Ok(euros(5)));
    assert_eq!(read("price.set.v2", None, r#"{"article":7,"cents":5}"#).await, Ok(euros(5)));
    let third = r#"{"article":7,"cents":5,"currency":"EUR","unknown":[1]}"#;
    assert_eq!(read("price.set", Some(3), third).await, Ok(euros(5)), "unknown fields are let be");
    assert_eq!(read("price.set", Some(4), third).await, Err(Why::Newer { known: 3 }));
    assert!(matches!(read("price.set", Some(3), "{}").await, Err(Why::Payload { .. })));
}

#[event("price.dropped", version = 2, since = 2)]
struct PriceDropped {
    #[tag]
    article: u32,
}

#[tokio::test]
async fn before_a_chain_begins_is_an_error_of_its_own() {
    let stored = stored("price.dropped", None, r#"{"article":7}"#).await;
    let error = <PriceDropped as factum_app::Event>::decode(&Raw::of(&stored)).unwrap_err();
    assert_eq!(error.why, Why::Older { known: 2 });
}
