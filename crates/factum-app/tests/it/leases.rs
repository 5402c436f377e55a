//! Leases: of several instances one has a name at a time, and what it has goes over to another.

use crate::{
    away::Away,
    projections::Summary,
    shop::{Cancel, Place},
};
use factum_app::{
    AnyStore, App, EventStore, MemoryStore, OnError, TokioWorld,
    consumer::{ConsumerHandle, Options, Progress, RunState},
    lease::{LeaseError, Leases},
    projection::{MemoryTarget, Target},
};
use factum_core::{Append, AppendError, EventData, EventType, StreamName, Uuid};
use std::{sync::Arc, time::Duration};

const TAKEOVER: Duration = Duration::from_secs(2);

fn leases<S: EventStore + Clone>(store: &S) -> Leases {
    Leases::new(AnyStore::new(store.clone()), Arc::new(TokioWorld::default()), TAKEOVER)
}

#[tokio::test(start_paused = true)]
async fn one_has_it_and_another_takes_over_when_it_is_silent() {
    let store = MemoryStore::new();
    let (one, other) = (leases(&store), leases(&store));
    let mut first = one.acquire("x").await.unwrap();
    let begun = tokio::time::Instant::now();
    // As long as it beats, it has it.
    let kept = tokio::time::timeout(TAKEOVER * 10, first.keep());
    let waited = tokio::time::timeout(TAKEOVER * 10, other.acquire("x"));
    let (kept, waited) = tokio::join!(kept, waited);
    assert!(kept.is_err() && waited.is_err(), "{kept:?} {waited:?}");
    // And no longer.
    let second = other.acquire("x").await.unwrap();
    assert!(begun.elapsed() <= TAKEOVER * 13, "{:?}", begun.elapsed());
    assert!(second.epoch() > first.epoch());
    let lost = first.keep().await;
    assert_eq!(lost, LeaseError::Lost { name: "x".into(), epoch: first.epoch() });
    // What the first one still sends is refused.
    let late = |fence| {
        let data = EventData::new(Uuid::from_u128(5), EventType::new("late").unwrap(), "{}");
        Append::to(StreamName::new("a-1").unwrap(), [data]).checking(fence)
    };
    let refused = store.append(late(first.fence())).await;
    assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
    store.append(late(second.fence())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_released_is_had_at_once() {
    let store = MemoryStore::new();
    let (one, other) = (leases(&store), leases(&store));
    let first = one.acquire("x").await.unwrap();
    let waiting = tokio::spawn(async move { other.acquire("x").await });
    tokio::time::sleep(TAKEOVER / 4).await;
    let begun = tokio::time::Instant::now();
    first.release().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert!(begun.elapsed() < TAKEOVER / 4, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn of_many_that_want_it_one_has_it_at_a_time() {
    let store = Away::over(MemoryStore::new(), u64::MAX);
    let held = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (leases, held) = (leases(&store), held.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..3 {
                let mut lease = leases.acquire("x").await.unwrap();
                assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                let _ = tokio::time::timeout(TAKEOVER, lease.keep()).await;
                held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                lease.release().await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn instance(store: impl EventStore, target: impl Target) -> App {
    let builder = App::builder(store).target(target).shared(TAKEOVER);
    let options = Options::from(OnError::Park).partitions(2);
    builder.projection::<Summary>(options).start().await.unwrap()
}

fn keepers(app: &App) -> Vec<ConsumerHandle> {
    app.projection::<Summary>().unwrap().consumers()
}

async fn until(app: &App, so: impl Fn(&Progress) -> bool) {
    for consumer in keepers(app) {
        let mut progress = consumer.progress();
        tokio::time::timeout(TAKEOVER * 20, progress.wait_for(&so)).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn instances_share_a_projection_and_hand_it_over() {
    let store = MemoryStore::new();
    let target = MemoryTarget::new();
    let one = instance(store.clone(), target.clone()).await;
    until(&one, |now| now.state == RunState::Running).await;
    let other = instance(store.clone(), target.clone()).await;
    until(&other, |now| now.state == RunState::Elsewhere).await;
    for order in 0..20 {
        let placed = other.execute(Place { order, total: 1 }).await.unwrap();
        for app in [&one, &other] {
            let view = app.view::<Summary>().at_least(&placed);
            assert_eq!(view.get(order).await.unwrap().unwrap().applied, 1);
        }
    }
    one.stop().await;
    let begun = tokio::time::Instant::now();
    until(&other, |now| now.state == RunState::Running).await;
    assert!(begun.elapsed() < TAKEOVER, "handed over at once: {:?}", begun.elapsed());
    for order in 0..20 {
        let cancelled = other.execute(Cancel { order }).await.unwrap();
        let view = other.view::<Summary>().at_least(&cancelled);
        assert_eq!(view.get(order).await.unwrap().unwrap().applied, 2);
    }
}

/// An instance is gone without a word, and comes back when another has taken over.
#[tokio::test(start_paused = true)]
async fn what_an_instance_had_that_is_gone_is_taken_over_within_seconds() {
    let store = MemoryStore::new();
    let target = MemoryTarget::new();
    let cable = Away::over(store.clone(), u64::MAX);
    let one = instance(cable.clone(), target.clone()).await;
    let commands = App::new(store.clone());
    for order in 0..20 {
        commands.execute(Place { order, total: 1 }).await.unwrap();
    }
    until(&one, |now| now.through.0 >= 20 && now.caught_up).await;
    let other = instance(store.clone(), target.clone()).await;
    tokio::time::sleep(TAKEOVER * 3).await;
    until(&other, |now| now.state == RunState::Elsewhere).await;
    cable.cut(true);
    let begun = tokio::time::Instant::now();
    until(&other, |now| now.state == RunState::Running).await;
    assert!(begun.elapsed() <= TAKEOVER * 2, "{:?}", begun.elapsed());
    for order in 0..20 {
        commands.execute(Cancel { order }).await.unwrap();
    }
    cable.cut(false);
    let placed = commands.execute(Place { order: 99, total: 1 }).await.unwrap();
    until(&one, |now| now.state == RunState::Elsewhere).await;
    for app in [&one, &other] {
        let rows = app.view::<Summary>().at_least(&placed).list().await.unwrap().rows;
        let applied: Vec<_> = rows.iter().map(|row| row.value.applied).collect();
        assert_eq!(applied, [vec![2; 20], vec![1]].concat());
    }
}
