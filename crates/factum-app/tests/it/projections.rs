//! Projections: rows that are kept, made anew, parked, partitioned, and asked.

use crate::{
    failing::Failing,
    shop::{Cancel, OrderEvent, Place},
};
use factum_app::{
    App, Envelope, EventStore, MemoryStore, OnError, Position, Projection, Row, StreamName, Uuid,
    consumer::{ConsumerHandle, Options, Progress, RunState},
    projection::{
        Key, MemoryTarget, Target, inline_changes, inline_keys,
        target::{RowChange, StoredRow},
    },
    view::{View, ViewError, ViewQuery},
};
use factum_core::{Append, AsOf, EventData, EventType, Read};
use serde::{Deserialize, Serialize};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    total: u32,
    status: String,
    /// How many events were applied.
    pub(crate) applied: u32,
}

impl Projection for Summary {
    const NAME: &'static str = "order-summary";
    type Event = OrderEvent;

    fn apply(row: &mut Row<Self>, e: &Envelope<OrderEvent>) {
        match &e.event {
            OrderEvent::Placed(placed) if placed.total == 666 => row.fail("not that number"),
            OrderEvent::Placed(placed) if placed.total == 667 => panic!("nor that"),
            OrderEvent::Placed(placed) => row.upsert(|row| {
                row.total = placed.total;
                row.status = "placed".into();
                row.applied += 1;
            }),
            OrderEvent::Cancelled(_) => row.edit(|row| {
                row.status = "cancelled".into();
                row.applied += 1;
            }),
        }
    }
}

async fn app(store: &MemoryStore, options: impl Into<Options>) -> App {
    App::builder(store.clone()).projection::<Summary>(options).start().await.unwrap()
}

async fn over(store: &MemoryStore, target: impl Target, options: impl Into<Options>) -> App {
    let builder = App::builder(store.clone()).target(target);
    builder.projection::<Summary>(options).start().await.unwrap()
}

async fn until(consumer: &ConsumerHandle, so: impl FnMut(&Progress) -> bool) -> Progress {
    let mut progress = consumer.progress();
    let found = tokio::time::timeout(Duration::from_secs(5), progress.wait_for(so)).await;
    let found = found.unwrap_or_else(|_| panic!("still {:?}", consumer.progress().borrow()));
    found.unwrap().clone()
}

fn summary(total: u32, status: &str, applied: u32) -> Option<Summary> {
    Some(Summary { total, status: status.into(), applied })
}

#[tokio::test]
async fn who_has_a_receipt_sees_what_it_wrote() {
    let app = app(&MemoryStore::new(), OnError::Stop).await;
    for order in 0..200 {
        let placed = app.execute(Place { order, total: order + 1 }).await.unwrap();
        let row = app.view::<Summary>().at_least(&placed).get(order).await.unwrap();
        assert_eq!(row, summary(order + 1, "placed", 1));
    }
    let cancelled = app.execute(Cancel { order: 7 }).await.unwrap();
    let row = app.view::<Summary>().at_least(&cancelled).get(7).await.unwrap();
    assert_eq!(row, summary(8, "cancelled", 2));
    assert_eq!(app.view::<Summary>().get("none").await.unwrap(), None);
    assert_eq!(app.live::<Summary>(7).await.unwrap(), row);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_too_much_is_told_how_far_it_is() {
    let app = app(&MemoryStore::new(), OnError::Stop).await;
    let placed = app.execute(Place { order: 1, total: 1 }).await.unwrap();
    app.view::<Summary>().at_least(&placed).get(1).await.unwrap();
    let within = Duration::from_secs(3);
    let behind = app.view::<Summary>().at_least(Position(9)).within(within).get(1).await;
    let (name, at_least, through) = ("order-summary", Position(9), Position(1));
    assert_eq!(behind, Err(ViewError::Behind { name, at_least, through, within }));
    let listed = app.view::<Summary>().at_least(Position(9)).within(within).list().await;
    assert!(matches!(listed, Err(ViewError::Behind { .. })));
}

#[tokio::test]
async fn what_is_not_registered_says_so() {
    let app = App::new(MemoryStore::new());
    let error = app.view::<Summary>().get(1).await;
    assert_eq!(error, Err(ViewError::NotRegistered { name: "order-summary" }));
    app.execute(Place { order: 1, total: 5 }).await.unwrap();
    assert_eq!(app.live::<Summary>(1).await.unwrap(), summary(5, "placed", 1), "on demand");
}

#[tokio::test]
async fn an_event_that_fails_blocks_its_own_key_until_it_is_redriven() {
    for bad in [666, 667] {
        let store = MemoryStore::new();
        let app = app(&store, OnError::Park).await;
        let poison = app.execute(Place { order: 1, total: bad }).await.unwrap();
        app.execute(Place { order: 2, total: 2 }).await.unwrap();
        let last = app.execute(Cancel { order: 1 }).await.unwrap();
        let view = app.view::<Summary>().at_least(&last);
        assert_eq!(view.get(2).await.unwrap(), summary(2, "placed", 1));
        let parked = view.get(1).await.unwrap_err();
        assert!(
            matches!(parked, ViewError::Parked { position, .. } if position == poison.position)
        );
        assert_eq!(app.view::<Summary>().get(1).await.unwrap(), None, "as far as it is");
        let keeping = app.projection::<Summary>().unwrap();
        let parked = keeping.parked().await.unwrap();
        let waits: Vec<_> = parked.iter().map(|one| (one.position.0, one.why.is_some())).collect();
        assert_eq!(waits, [(1, true), (3, false)]);
        // What cannot be applied stays.
        keeping.redrive();
        let consumer = keeping.consumers().remove(0);
        let next = app.execute(Place { order: 3, total: 3 }).await.unwrap();
        app.view::<Summary>().at_least(&next).get(3).await.unwrap();
        assert_eq!(consumer.progress().borrow().parked, 2);
    }
}

/// Fails on demand for whoever sees it.
static MENDED: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mended(Vec<u64>);

impl Projection for Mended {
    const NAME: &'static str = "mended";
    type Event = OrderEvent;

    fn apply(row: &mut Row<Self>, e: &Envelope<OrderEvent>) {
        if MENDED.load(Ordering::SeqCst) == 0 && e.position().0 == 1 {
            return row.fail("not yet");
        }
        row.upsert(|row| row.0.push(e.position().0));
    }
}

#[tokio::test]
async fn what_is_redriven_is_applied_in_order_and_once() {
    let store = MemoryStore::new();
    let target = MemoryTarget::new();
    let builder = App::builder(store.clone()).target(target.clone());
    let app = builder.projection::<Mended>(OnError::Park).start().await.unwrap();
    app.execute(Place { order: 1, total: 1 }).await.unwrap();
    let last = app.execute(Cancel { order: 1 }).await.unwrap();
    let consumer = app.projection::<Mended>().unwrap().consumers().remove(0);
    until(&consumer, |now| now.through >= last.position && now.parked == 2).await;
    app.stop().await;
    // What is parked survives a restart.
    let builder = App::builder(store.clone()).target(target);
    let app = builder.projection::<Mended>(OnError::Park).start().await.unwrap();
    let keeping = app.projection::<Mended>().unwrap();
    let consumer = keeping.consumers().remove(0);
    until(&consumer, |now| now.parked == 2).await;
    MENDED.store(1, Ordering::SeqCst);
    keeping.redrive();
    until(&consumer, |now| now.parked == 0).await;
    assert_eq!(keeping.parked().await.unwrap(), []);
    assert_eq!(app.view::<Mended>().get(1).await.unwrap(), Some(Mended(vec![1, 2])));
}

/// One row for each of two keys; the second fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Twice(u32);

impl Projection for Twice {
    const NAME: &'static str = "twice";
    const KEY: Key = Key::Computed;
    type Event = OrderEvent;

    fn keys(_: &Envelope<OrderEvent>) -> Vec<String> {
        vec!["good".into(), "bad".into()]
    }

    fn apply(row: &mut Row<Self>, e: &Envelope<OrderEvent>) {
        if row.key() == "bad" && e.position() == Position(2) {
            return row.fail("the second");
        }
        row.upsert(|row| row.0 += 1);
    }
}

#[tokio::test]
async fn what_fails_for_one_key_is_applied_once_to_the_others() {
    for (policy, bad) in [(OnError::Park, 1), (OnError::Skip, 2)] {
        let store = MemoryStore::new();
        let app = App::builder(store).projection::<Twice>(policy).start().await.unwrap();
        for order in 1..=2 {
            app.execute(Place { order, total: 1 }).await.unwrap();
        }
        let last = app.execute(Place { order: 3, total: 1 }).await.unwrap();
        let rows = app.view::<Twice>().at_least(&last).list().await.unwrap();
        let rows: Vec<_> = rows.rows.into_iter().map(|row| (row.key, row.value.0)).collect();
        assert_eq!(rows, [("bad".to_owned(), bad), ("good".to_owned(), 3)], "{policy:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_blocks_its_stream() {
    let store = MemoryStore::new();
    let app = app(&store, OnError::Park).await;
    let data = EventData::new(Uuid::from_u128(1), EventType::new("order.placed").unwrap(), "{");
    store.append(Append::to(StreamName::new("order-1").unwrap(), [data])).await.unwrap();
    app.execute(Place { order: 2, total: 2 }).await.unwrap();
    let data = EventData::new(
        Uuid::from_u128(2),
        EventType::new("order.placed").unwrap(),
        r#"{"order":1,"total":1}"#,
    );
    let last = store.append(Append::to(StreamName::new("order-1").unwrap(), [data])).await.unwrap();
    let view = app.view::<Summary>().at_least(last.position);
    assert_eq!(view.get(2).await.unwrap(), summary(2, "placed", 1));
    let parked = app.projection::<Summary>().unwrap().parked().await.unwrap();
    let parked: Vec<_> =
        parked.into_iter().map(|one| (one.position.0, one.stream, one.key)).collect();
    assert_eq!(parked, [(1, "order-1".to_owned(), None), (3, "order-1".to_owned(), None)]);
    assert_eq!(view.get(1).await.unwrap(), None);
}

#[tokio::test]
async fn parts_have_their_own_keys_and_come_to_the_same() {
    let (store, target) = (MemoryStore::new(), MemoryTarget::new());
    let options = || Options::from(OnError::Stop).partitions(3);
    let app = over(&store, target.clone(), options()).await;
    let mut last = Position::START;
    for order in 0..60 {
        last = app.execute(Place { order, total: 1 }).await.unwrap().position;
    }
    app.view::<Summary>().at_least(last).list().await.unwrap();
    app.stop().await;
    // Rows are read from the target now, so that a part that took another's would apply it twice.
    let app = over(&store, target, options()).await;
    for order in 0..60 {
        last = app.execute(Cancel { order }).await.unwrap().position;
    }
    let page = app.view::<Summary>().at_least(last).list().limit(50).await.unwrap();
    assert_eq!(page.rows.len(), 50);
    let next = page.next.unwrap();
    let rest = app.view::<Summary>().list().after(next).limit(50).await.unwrap();
    assert_eq!((rest.rows.len(), rest.next), (10, None));
    assert!(page.rows.iter().chain(&rest.rows).all(|row| row.value.applied == 2));
    let names: Vec<_> = app.consumers().await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn rows_are_found_by_their_fields() {
    let app = app(&MemoryStore::new(), OnError::Stop).await;
    for order in 1..=4 {
        app.execute(Place { order, total: order }).await.unwrap();
    }
    let last = app.execute(Cancel { order: 2 }).await.unwrap();
    let view = app.view::<Summary>().at_least(&last);
    let open = view.list().with("status", "placed").await.unwrap();
    assert_eq!(open.values().map(|row| row.total).collect::<Vec<_>>(), [1, 3, 4]);
}

#[tokio::test]
async fn a_view_is_made_anew_beside_the_one_that_is_read() {
    let store = MemoryStore::new();
    let target = MemoryTarget::new();
    let app = over(&store, target.clone(), OnError::Stop).await;
    for order in 0..100 {
        app.execute(Place { order, total: 1 }).await.unwrap();
    }
    let keeping = app.projection::<Summary>().unwrap();
    let before = app.view::<Summary>().at_least(Position(100)).row(1).await.unwrap().unwrap();
    for round in 1..=3 {
        keeping.rebuild().await.unwrap();
        for order in 0..100 {
            // Readable, new enough, and right, all the time.
            let receipt =
                app.execute(Place { order: round * 1_000 + order, total: 1 }).await.unwrap();
            let view = app.view::<Summary>().at_least(&receipt);
            assert_eq!(view.get(1).await.unwrap(), summary(1, "placed", 1));
            assert_eq!(view.get(round * 1_000 + order).await.unwrap(), summary(1, "placed", 1));
        }
        let keeper = keeping.consumers().remove(0);
        let builder = keeping.builders().remove(0);
        until(&builder, |now| now.state == RunState::Idle && now.generation > u64::from(round))
            .await;
        until(&keeper, |now| now.generation == u64::from(round) + 1).await;
    }
    let after = app.view::<Summary>().row(1).await.unwrap().unwrap();
    assert_eq!((after.etag(), after.value), (before.etag(), before.value));
    let all = app.view::<Summary>().list().limit(1_000).await.unwrap();
    assert_eq!(all.rows.len(), 400);
    assert!(all.rows.iter().all(|row| row.value.applied == 1));
}

#[tokio::test]
async fn a_reset_begins_at_the_first_event() {
    let store = MemoryStore::new();
    let app = app(&store, OnError::Stop).await;
    let placed = app.execute(Place { order: 1, total: 1 }).await.unwrap();
    app.view::<Summary>().at_least(&placed).get(1).await.unwrap();
    let keeping = app.projection::<Summary>().unwrap();
    keeping.pause().await;
    keeping.reset().await.unwrap();
    let building = app.view::<Summary>().within(Duration::from_millis(20)).get(1).await;
    assert!(matches!(building, Err(ViewError::Building { .. })), "{building:?}");
    keeping.resume();
    let row = app.view::<Summary>().get(1).await.unwrap();
    assert_eq!(row, summary(1, "placed", 1));
}

/// The second version of [`Summary`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Summary2 {
    total: u32,
    #[serde(default)]
    double: u32,
}

impl Projection for Summary2 {
    const NAME: &'static str = "order-summary";
    const VERSION: u32 = 2;
    type Event = OrderEvent;

    fn apply(row: &mut Row<Self>, e: &Envelope<OrderEvent>) {
        if let OrderEvent::Placed(placed) = &e.event {
            row.set(Self { total: placed.total, double: placed.total * 2 });
        }
    }
}

#[tokio::test]
async fn a_new_version_is_built_beside_the_old_and_read_when_it_has_caught_up() {
    let store = MemoryStore::new();
    let target = MemoryTarget::new();
    let old = over(&store, target.clone(), OnError::Stop).await;
    let placed = old.execute(Place { order: 1, total: 7 }).await.unwrap();
    old.view::<Summary>().at_least(&placed).get(1).await.unwrap();
    let builder = App::builder(store.clone()).target(target.clone());
    let builder = builder.projection::<Summary>(OnError::Stop);
    let new = builder.projection::<Summary2>(OnError::Stop).start().await.unwrap();
    let row = new.view::<Summary2>().at_least(&placed).get(1).await.unwrap().unwrap();
    assert_eq!(row, Summary2 { total: 7, double: 14 });
    // The old one is kept as long as somebody keeps it.
    let placed = new.execute(Place { order: 2, total: 8 }).await.unwrap();
    assert_eq!(
        new.view::<Summary>().at_least(&placed).get(2).await.unwrap(),
        summary(8, "placed", 1)
    );
    new.projection::<Summary2>().unwrap().remove_older().await.unwrap();
    assert_eq!(target.versions("order-summary").await.unwrap(), [2]);
}

#[tokio::test]
async fn until_a_new_version_is_ready_the_old_one_is_read() {
    let store = MemoryStore::new();
    let target = MemoryTarget::new();
    let old = over(&store, target.clone(), OnError::Stop).await;
    let placed = old.execute(Place { order: 1, total: 7 }).await.unwrap();
    old.view::<Summary>().at_least(&placed).get(1).await.unwrap();
    let failing = Failing::over(target, 0);
    let builder = App::builder(store.clone()).target(failing.clone());
    let new = builder.projection::<Summary2>(OnError::Stop).start().await.unwrap();
    let row = new.view::<Summary2>().row(1).await.unwrap().unwrap();
    assert_eq!((row.etag(), row.value), ("\"1-1\"".to_owned(), Summary2 { total: 7, double: 0 }));
    failing.mend();
    let row = new.view::<Summary2>().at_least(&placed).row(1).await.unwrap().unwrap();
    assert_eq!((row.value.double, row.etag()), (14, "\"2-1\"".to_owned()));
}

/// F1: at each commit a crash before it and one after it, with poison among the events: nothing is
/// lost, nothing is applied twice, and what is parked is parked once.
#[tokio::test(start_paused = true)]
async fn f1_a_crash_at_each_commit_loses_nothing_and_applies_nothing_twice() {
    for nth in 1..=6 {
        for after in [false, true] {
            let store = MemoryStore::new();
            let failing = Failing::over(MemoryTarget::new(), nth);
            let failing = if after { failing.after() } else { failing };
            let app = over(&store, failing.clone(), OnError::Park).await;
            let mut last = Position::START;
            for order in 0..40 {
                let total = if order % 10 == 3 { 666 } else { 1 };
                app.execute(Place { order, total }).await.unwrap();
                last = app.execute(Cancel { order }).await.unwrap().position;
                if order % 5 == 0 {
                    app.view::<Summary>().at_least(last).list().await.unwrap();
                }
            }
            let page = app.view::<Summary>().at_least(last).list().await.unwrap();
            assert!(failing.has_failed(), "{nth}");
            assert_eq!(page.rows.len(), 36);
            let once = |row: &factum_app::view::Stamped<Summary>| row.value.applied == 2;
            assert!(page.rows.iter().all(once), "{nth} {after}: {:?}", page.rows);
            let parked = app.projection::<Summary>().unwrap().parked().await.unwrap();
            assert_eq!(parked.len(), 8, "{nth} {after}");
        }
    }
}

/// F1: two instances that do not know of each other write to one target.
#[tokio::test]
async fn f1_two_writers_of_one_target_apply_nothing_twice() {
    let (store, target) = (MemoryStore::new(), MemoryTarget::new());
    let first = over(&store, target.clone(), OnError::Stop).await;
    let mut last = Position::START;
    for order in 0..100 {
        last = first.execute(Place { order, total: 1 }).await.unwrap().position;
    }
    first.view::<Summary>().at_least(last).get(1).await.unwrap();
    first.stop().await;
    let one = over(&store, target.clone(), OnError::Stop).await;
    let other = over(&store, target.clone(), OnError::Stop).await;
    for order in 0..100 {
        last = first.execute(Cancel { order }).await.unwrap().position;
        tokio::task::yield_now().await;
    }
    for app in [&one, &other] {
        let page = app.view::<Summary>().at_least(last).list().limit(500).await.unwrap();
        assert_eq!(page.rows.len(), 100);
        assert!(page.rows.iter().all(|row| row.value.applied == 2));
    }
}

/// Nothing needs to come for the one who keeps a view to go on with what was made anew.
#[tokio::test]
async fn a_view_that_was_made_anew_is_kept_though_nothing_comes() {
    let app = app(&MemoryStore::new(), OnError::Stop).await;
    let placed = app.execute(Place { order: 1, total: 1 }).await.unwrap();
    app.view::<Summary>().at_least(&placed).get(1).await.unwrap();
    let keeping = app.projection::<Summary>().unwrap();
    keeping.rebuild().await.unwrap();
    let keeper = keeping.consumers().remove(0);
    until(&keeper, |now| now.generation == 2 && now.through == placed.position).await;
}

#[tokio::test]
async fn a_whole_view_as_it_was() {
    let store = MemoryStore::new();
    let app = app(&store, OnError::Stop).await;
    for order in 1..=3 {
        app.execute(Place { order, total: order }).await.unwrap();
    }
    app.execute(Cancel { order: 1 }).await.unwrap();
    let past = app.view_as_of::<Summary>(AsOf::Position(Position(2))).await.unwrap();
    assert_eq!(past.rows().count(), 2);
    assert_eq!(past.get(1), summary(1, "placed", 1).as_ref());
    let now = app.view_as_of::<Summary>(AsOf::Now).await.unwrap();
    assert_eq!((now.rows().count(), now.get(1)), (3, summary(1, "cancelled", 2).as_ref()));
}

struct Open;

impl ViewQuery for Open {
    type View = Summary;
    type Answer = Vec<u32>;

    async fn answer(&self, view: View<'_, Summary>) -> Result<Vec<u32>, ViewError> {
        let page = view.list().with("status", "placed").await?;
        Ok(page.values().map(|row| row.total).collect())
    }
}

#[tokio::test]
async fn a_query_is_answered_and_followed() {
    let app = app(&MemoryStore::new(), OnError::Stop).await;
    let placed = app.execute(Place { order: 1, total: 1 }).await.unwrap();
    assert_eq!(app.ask(Open).at_least(&placed).await.unwrap(), [1]);
    let mut follow = app.ask(Open).follow();
    let mut watch = app.view::<Summary>().watch(2);
    assert_eq!(follow.next().await.unwrap(), [1]);
    assert_eq!(watch.next().await.unwrap(), None);
    app.execute(Place { order: 2, total: 2 }).await.unwrap();
    assert_eq!(follow.next().await.unwrap(), [1, 2]);
    assert_eq!(watch.next().await.unwrap().unwrap().value.total, 2);
    app.execute(Cancel { order: 1 }).await.unwrap();
    assert_eq!(follow.next().await.unwrap(), [2]);
    let cancelled = app.execute(Cancel { order: 2 }).await.unwrap();
    let row = watch.next().await.unwrap().unwrap();
    assert_eq!((row.at, row.value.status.as_str()), (cancelled.position, "cancelled"));
    assert_eq!(row.etag(), format!("\"1-{}\"", cancelled.position));
    assert!(row.is_named("\"x\", W/\"1-4\"") && row.is_named("*") && !row.is_named("\"1-3\""));
}

/// What a store with transactions does in that of an append: read the rows, and write the changes.
#[tokio::test]
async fn a_projection_inline_comes_to_what_is_kept() {
    let store = MemoryStore::new();
    let app = app(&store, OnError::Stop).await;
    let mut rows: std::collections::BTreeMap<String, StoredRow> = std::collections::BTreeMap::new();
    for order in [1, 2, 1, 2, 3] {
        let receipt = match rows.contains_key(&order.to_string()) {
            true => app.execute(Cancel { order }).await.unwrap(),
            false => app.execute(Place { order, total: order }).await.unwrap(),
        };
        let from = Some(receipt.position.0);
        let read = Read { from, ..Read::query(factum_core::Query::All) };
        let events = store.read(read).await.unwrap().events().await.unwrap();
        let keys = inline_keys::<Summary>(&events).unwrap();
        assert_eq!(keys, [order.to_string()]);
        let stored: Vec<_> = keys.iter().filter_map(|key| rows.get(key)).cloned().collect();
        for RowChange { key, at, data } in inline_changes::<Summary>(&events, stored).unwrap() {
            let data = data.unwrap();
            rows.insert(key.clone(), StoredRow { key, at, data });
        }
    }
    let head = store.head().await.unwrap();
    let kept = app.view::<Summary>().at_least(head).list().await.unwrap().rows;
    let inline = rows.into_values().map(|row| {
        let value: Summary = serde_json::from_slice(&row.data).unwrap();
        (row.key, row.at, value)
    });
    let kept = kept.into_iter().map(|row| (row.key, row.at, row.value));
    assert_eq!(inline.collect::<Vec<_>>(), kept.collect::<Vec<_>>());
}
