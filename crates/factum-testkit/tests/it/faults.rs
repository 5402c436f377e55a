//! The faulty store: each fault does what it says, and none loses anything that is promised.

use factum_core::{
    AppendError, EventStore, MemoryStore, Query, Read, ReadError, Select, StreamName, Subscribe,
    next_batch,
};
use factum_testkit::{Chances, Fault, Faults, FaultyStore, SimWorld, build::to, event, seeds};
use std::{sync::Arc, time::Duration};

fn faulty(world: &SimWorld, faults: &Faults) -> (MemoryStore, FaultyStore) {
    let inner = MemoryStore::with_clock(world.clock());
    let store = FaultyStore::new(inner.clone(), faults.clone(), Arc::new(world.clone()));
    (inner, store)
}

fn stream() -> StreamName {
    StreamName::new("order-1").unwrap()
}

#[test]
fn each_fault_does_what_it_says() {
    for (fault, stored) in [
        (Fault::Unavailable, 0),
        (Fault::Overloaded, 0),
        (Fault::LoseRequest, 0),
        (Fault::LoseReply, 1),
        (Fault::CrashBefore, 0),
        (Fault::CrashAfter, 1),
    ] {
        let world = SimWorld::new(1);
        let faults = Faults::none().at(2, fault);
        let (inner, store) = faulty(&world, &faults);
        world.run(async {
            store.append(to(&stream(), [event("order.placed")])).await.unwrap();
            let error = store.append(to(&stream(), [event("order.paid")])).await.unwrap_err();
            match fault {
                Fault::Unavailable => assert!(matches!(error, AppendError::Unavailable { .. })),
                Fault::Overloaded => assert!(matches!(error, AppendError::Overloaded)),
                _ => assert!(matches!(error, AppendError::Unknown { .. }), "{error}"),
            }
            assert_eq!(inner.head().await.unwrap().0, 1 + stored, "{fault:?}");
            if matches!(fault, Fault::CrashBefore | Fault::CrashAfter) {
                assert!(store.is_down());
                let dead = store.head().await.unwrap_err();
                assert!(matches!(dead, ReadError::Unavailable { .. }), "{dead}");
                let dead = store.append(to(&stream(), [event("order.paid")])).await.unwrap_err();
                assert!(matches!(dead, AppendError::Unavailable { .. }), "{dead}");
                store.restart();
            }
            store.append(to(&stream(), [event("order.shipped")])).await.unwrap();
            assert_eq!(inner.head().await.unwrap().0, 2 + stored, "{fault:?}");
        });
    }
}

#[test]
fn a_subscription_is_split_repeated_and_broken_off_but_loses_nothing() {
    let chances = Chances { broken: 5, split: 2, repeated: 3, refused: 5, ..Chances::USUAL };
    for seed in seeds(30) {
        let world = SimWorld::new(seed);
        let faults = Faults::seeded(seed, chances);
        let (inner, store) = faulty(&world, &faults);
        world.run(async {
            for _ in 0..100 {
                inner.append(to(&stream(), [event("order.paid")])).await.unwrap();
            }
            let mut seen = 0;
            while seen < 100 {
                let select = Select::Query(Query::All);
                let Ok(mut batches) =
                    store.subscribe(Subscribe { select, after: Some(seen) }).await
                else {
                    continue;
                };
                while seen < 100
                    && let Some(Ok(batch)) = next_batch(&mut batches).await
                {
                    for event in batch.events {
                        let position = event.position().0;
                        assert!(position <= seen + 1, "SEED={seed}: {} is missing", seen + 1);
                        seen = seen.max(position);
                    }
                    assert!(batch.through.0 <= 100 && batch.through.0 <= seen, "SEED={seed}");
                }
            }
        });
        let counts = faults.counts();
        assert!(counts.broken + counts.split + counts.repeated > 0, "SEED={seed}: {counts:?}");
    }
}

#[test]
fn a_crash_kills_the_part_of_the_world_that_it_was_given() {
    let world = SimWorld::new(1);
    let faults = Faults::none().at(1, Fault::CrashAfter);
    let (inner, store) = faulty(&world, &faults);
    let instance = world.instance("shop");
    let dying = store.clone().killing(instance.clone());
    factum_app::World::spawn(
        &instance,
        Box::pin(async move {
            let _ = dying.append(to(&stream(), [event("order.placed")])).await;
            panic!("nothing goes on after `kill -9`");
        }),
    );
    world.run_until_idle();
    assert!(instance.is_killed());
    assert_eq!(faults.counts().crashes, 1);
    assert_eq!(world.run(inner.head()).unwrap().0, 1, "it was stored before");
}

#[test]
fn once_calm_nothing_goes_wrong_any_more() {
    let world = SimWorld::new(1);
    let always = Chances { refused: 1, ..Chances::NONE };
    let faults = Faults::seeded(1, always).at(2, Fault::LoseReply);
    let (_, store) = faulty(&world, &faults);
    world.run(async {
        let read = || store.read(Read::stream(stream()));
        assert!(read().await.is_err());
        store.append(to(&stream(), [event("order.placed")])).await.unwrap_err();
        faults.calm();
        store.append(to(&stream(), [event("order.placed")])).await.unwrap();
        assert_eq!(read().await.unwrap().events().await.unwrap().len(), 1);
    });
    assert_eq!(faults.counts().refused, 2);
}

#[test]
fn what_is_on_its_way_takes_time() {
    let world = SimWorld::new(1);
    let slow = Chances { delay_max: Duration::from_secs(1), ..Chances::NONE };
    let (_, store) = faulty(&world, &Faults::seeded(1, slow));
    let began = factum_app::World::now(&world);
    world.run(async { store.append(to(&stream(), [event("order.placed")])).await.unwrap() });
    assert!(factum_app::World::now(&world) > began);
}

#[factum_app::event("lamp.switched")]
struct Switched {
    lamp: u32,
}

/// Cause: a command whose append was sent again after a lost reply was said to have been done
/// before. Fix: that is said of a command with a key only, where an earlier one was found.
#[test]
fn a_lost_reply_does_not_make_a_fact_one_that_was_there_before() {
    let world = SimWorld::new(1);
    let faults = Faults::none().at(1, Fault::LoseReply);
    let (inner, store) = faulty(&world, &faults);
    let app = factum_app::App::builder(store).world(Arc::new(world.clone())).build();
    world.run(async {
        let receipt = app.record(Switched { lamp: 1 }).await.unwrap();
        assert_eq!((receipt.replayed, receipt.position.0), (false, 1));
        assert_eq!(inner.head().await.unwrap().0, 1, "recorded once");
    });
}
