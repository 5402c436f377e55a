//! A clock that is set: timers are about moments, not about how long somebody slept.

use crate::payments::{Payment, Place};
use factum_app::{
    App, EventStore, MemoryStore, OnError, Timestamp, TokioWorld, World, world::BoxFuture,
};
use factum_core::{Query, Read};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Its clock can be set; its sleeps know nothing of that, as a monotonic clock's.
#[derive(Clone, Debug, Default)]
struct SetWorld {
    real: Arc<TokioWorld>,
    ahead: Arc<AtomicI64>,
}

impl World for SetWorld {
    fn now(&self) -> Timestamp {
        Timestamp(self.real.now().0 + self.ahead.load(Ordering::Relaxed))
    }

    fn sleep(&self, how_long: Duration) -> BoxFuture<'static, ()> {
        self.real.sleep(how_long)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let world = self.clone();
        Box::pin(async move {
            while world.now() < at {
                world.real.sleep(Duration::from_millis(1)).await;
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.real.spawn(task);
    }

    fn random(&self) -> u64 {
        self.real.random()
    }
}

/// A deadline that passed while the machine was asleep is met when it wakes, not as long after as
/// it had slept.
#[tokio::test]
async fn a_deadline_follows_the_clock_that_is_set() {
    let (store, world) = (MemoryStore::new(), SetWorld::default());
    let builder = App::builder(store.clone()).world(Arc::new(world.clone()));
    let app = builder.process::<Payment>(OnError::Stop).start().await.unwrap();
    let placed = app.execute(Place { order: 1 }).await.unwrap().position;
    let mut progress = app.consumer("payment").unwrap().progress();
    progress.wait_for(|now| now.through > placed && now.caught_up).await.unwrap();
    world.ahead.store(3_600_000_000_000, Ordering::Relaxed);
    let cancelled = async {
        loop {
            let all = Read::query(Query::All);
            let events = store.read(all).await.unwrap().events().await.unwrap();
            if events.iter().any(|event| event.event_type().as_str() == "order.cancelled") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), cancelled).await.expect("the timer went off");
    app.stop().await;
}
