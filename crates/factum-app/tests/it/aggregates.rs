//! The classical aggregate.

use crate::shop::{Cancel, Order, OrderCancelled, OrderPlaced};
use factum_app::{AggregateError, App, EventSet, EventStore, MemoryStore, SaveError, State, event};

fn placed(order: u32) -> OrderPlaced {
    OrderPlaced { order, total: 5 }
}

#[tokio::test]
async fn it_is_loaded_records_and_is_saved() {
    let app = App::new(MemoryStore::new());
    let mut order = app.aggregate::<Order>(1).await.unwrap();
    assert_eq!((order.state(), order.version()), (&Order::New, None));
    order.record(placed(1));
    assert_eq!((order.state(), order.uncommitted().len()), (&Order::Pending, 1));
    app.save(&mut order).await.unwrap();
    order.record(OrderCancelled { order: 1 });
    app.save(&mut order).await.unwrap();
    app.save(&mut order).await.expect("nothing to save is no error");
    assert_eq!((order.version().unwrap().0, order.uncommitted().len()), (1, 0));
    let again = app.aggregate::<Order>(1).await.unwrap();
    assert_eq!((again.state(), again.version()), (&Order::Cancelled, order.version()));
}

#[tokio::test]
async fn what_others_wrote_meanwhile_is_an_error_of_its_own() {
    let app = App::new(MemoryStore::new());
    let mut order = app.aggregate::<Order>(1).await.unwrap();
    order.record(placed(1));
    app.save(&mut order).await.unwrap();
    app.execute(Cancel { order: 1 }).await.unwrap();
    order.record(OrderCancelled { order: 1 });
    let error = app.save(&mut order).await.unwrap_err();
    assert!(matches!(error, SaveError::Changed { .. }), "{error}");
    assert_eq!(order.uncommitted().len(), 1, "it keeps what it recorded");

    // Deleted meanwhile is changed too, though the revision is what it was.
    let mut order = app.aggregate::<Order>(1).await.unwrap();
    app.store().change(order.stream(), factum_core::Change::Delete, None).await.unwrap();
    order.record(placed(1));
    assert!(matches!(app.save(&mut order).await, Err(SaveError::Changed { .. })));
}

#[tokio::test]
async fn an_event_of_another_stream_is_refused() {
    let app = App::new(MemoryStore::new());
    let mut order = app.aggregate::<Order>(1).await.unwrap();
    order.record(placed(2));
    let error = app.save(&mut order).await.unwrap_err();
    assert!(matches!(error, SaveError::OtherStream { .. }), "{error}");
    assert_eq!(app.store().head().await.unwrap().0, 0);
}

#[event("parcel.sent", stream = "van-{van}")]
struct Sent {
    #[tag]
    van: u32,
}

#[derive(Clone, Debug, EventSet)]
enum Mixed {
    Placed(OrderPlaced),
    Sent(Sent),
}

#[derive(Clone, Debug, Default)]
struct Both;

impl State for Both {
    type Event = Mixed;

    fn evolve(self, _: &Mixed) -> Self {
        self
    }
}

#[tokio::test]
async fn a_state_of_many_streams_is_no_aggregate() {
    let app = App::new(MemoryStore::new());
    let error = app.aggregate::<Both>(1).await.unwrap_err();
    assert!(matches!(error, AggregateError::ManyStreams), "{error}");
    let _ = Mixed::from(Sent { van: 1 });
}
