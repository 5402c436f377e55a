//! The simulated world: the seed decides, time is virtual, who hangs is named.

use factum_app::{App, World};
use factum_core::MemoryStore;
use factum_testkit::{SimWorld, seeds};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};

const SECOND: Duration = Duration::from_secs(1);

fn text_of_panic(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it is to panic");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// Ten tasks that talk over a channel, sleep and draw numbers; in which order they were heard.
fn busy(seed: u64) -> (String, Vec<u64>) {
    let world = SimWorld::new(seed).with_step_time(Duration::from_micros(50));
    let heard = world.run(async {
        let (sender, mut receiver) = mpsc::channel(4);
        let (tell, told) = watch::channel(0);
        for name in 0..10 {
            let (world, sender, mut told) = (world.clone(), sender.clone(), told.clone());
            let task = world.clone();
            world.spawn(Box::pin(async move {
                told.wait_for(|go| *go == 1).await.unwrap();
                task.sleep(Duration::from_millis(task.below(5))).await;
                task.note(format_args!("{name} speaks"));
                sender.send(name).await.unwrap();
            }));
        }
        drop(sender);
        world.sleep(SECOND).await;
        tell.send(1).unwrap();
        let mut heard = Vec::new();
        while let Some(name) = receiver.recv().await {
            heard.push(name);
        }
        heard
    });
    (world.trace(), heard)
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let mut orders = BTreeSet::new();
    for seed in seeds(50) {
        let (one, heard) = busy(seed);
        assert_eq!(one, busy(seed).0, "SEED={seed}");
        assert!(one.contains("speaks"), "{one}");
        orders.insert(heard);
    }
    assert!(orders.len() > 40 || std::env::var_os("SEED").is_some(), "orders: {}", orders.len());
}

#[test]
fn the_same_seed_gives_an_app_the_same_ids_and_times() {
    let ids = |seed| {
        let world = SimWorld::new(seed);
        let store = MemoryStore::with_clock(world.clock());
        let app = App::builder(store).world(Arc::new(world.clone())).build();
        [app.world().now().0.cast_unsigned(), app.world().random(), app.world().random()]
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
}

#[test]
fn time_passes_only_where_nobody_is_ready() {
    let world = SimWorld::new(1);
    let began = world.now();
    let elapsed = |world: &SimWorld| world.now().0 - began.0;
    world.run(async { world.sleep(SECOND * 3600).await });
    assert_eq!(elapsed(&world), 3_600_000_000_000);
    world.run_for(SECOND);
    assert_eq!(elapsed(&world), 3_601_000_000_000);
    world.jump(SECOND);
    assert_eq!(elapsed(&world), 3_602_000_000_000);
}

#[test]
fn a_run_goes_as_far_as_it_was_told() {
    let world = SimWorld::new(1);
    let count = Arc::new(Mutex::new(0));
    let (task, counted) = (world.clone(), count.clone());
    world.spawn(Box::pin(async move {
        loop {
            task.sleep(SECOND).await;
            *counted.lock().unwrap() += 1;
        }
    }));
    world.run_for(SECOND * 10);
    assert_eq!(*count.lock().unwrap(), 10);
    world.jump(SECOND * 5);
    world.run_for(SECOND);
    assert_eq!(*count.lock().unwrap(), 12, "late once, not five times");
    world.end();
}

#[test]
fn who_waits_for_what_nobody_brings_is_named() {
    let world = SimWorld::new(9);
    let text = text_of_panic(|| {
        let (sender, receiver) = oneshot::channel::<()>();
        let (never, keeps) = oneshot::channel::<()>();
        let task = world.clone();
        world.instance("shop").spawn(Box::pin(async move {
            task.note("asks the bank");
            keeps.await.unwrap();
            sender.send(()).unwrap();
        }));
        world.run(async {
            world.note("waits for the shop");
            receiver.await.unwrap();
        });
        drop(never);
    });
    for part in [
        "everybody waits",
        "the run itself: last ran +0.000000s: waits for the shop",
        "task 1 of shop: last ran +0.000000s: asks the bank",
        "SEED=9",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_run_in_circles_ends() {
    let world = SimWorld::new(1).with_steps_max(1_000);
    let text = text_of_panic(|| {
        world.run(async {
            loop {
                world.sleep(SECOND).await;
            }
        });
    });
    assert!(text.contains("goes round in circles"), "{text}");
    assert_eq!(world.steps(), 1_001);
}

#[test]
fn a_panic_of_a_task_names_the_task_and_the_seed() {
    let world = SimWorld::new(77);
    let text = text_of_panic(|| {
        world.instance("mailer").spawn(Box::pin(async { panic!("no paper") }));
        world.run_until_idle();
    });
    assert!(text.contains("task 1 of mailer panicked: no paper"), "{text}");
    assert!(text.contains("SEED=77"), "{text}");
}

#[test]
fn of_an_instance_that_was_killed_nothing_goes_on() {
    for seed in seeds(20) {
        let world = SimWorld::new(seed);
        let (one, other) = (world.instance("one"), world.instance("other"));
        let ticks = Arc::new(Mutex::new([0, 0]));
        for (at, instance) in [&one, &other].into_iter().enumerate() {
            let (task, ticks) = (instance.clone(), ticks.clone());
            instance.spawn(Box::pin(async move {
                loop {
                    task.sleep(SECOND).await;
                    ticks.lock().unwrap()[at] += 1;
                    if at == 0 && ticks.lock().unwrap()[0] == 3 {
                        task.kill();
                        // It takes no further step, as after `kill -9`.
                        task.sleep(Duration::ZERO).await;
                        std::future::pending::<()>().await;
                    }
                }
            }));
        }
        world.run_for(SECOND * 10);
        assert_eq!(*ticks.lock().unwrap(), [3, 10], "SEED={seed}");
        assert!(one.is_killed() && !other.is_killed());
        one.spawn(Box::pin(async { panic!("an instance that is dead does nothing") }));
        world.run_for(SECOND);
        // What a task holds goes with it.
        assert_eq!(Arc::strong_count(&ticks), 2);
        world.end();
        assert_eq!(Arc::strong_count(&ticks), 1);
    }
}
