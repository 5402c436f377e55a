//! The broker is killed, held still, and stopped by an alarm.
//!
//! What was confirmed must come, and may come twice; what was not is sent again by its caller. A
//! broker takes a while to start, so the cases share two, and each has it for itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use factum_app::message::{Deliveries, Message, PublishError, Publisher, Subscription};
use factum_rabbitmq::{RabbitMq, Settings, State};
use factum_services::rabbitmq::RabbitMq as Broker;
use tokio::{
    sync::{Mutex, MutexGuard, OnceCell},
    task::block_in_place,
    time::{sleep, timeout},
};

use crate::support::{LIMIT, assert_ordered, fresh, next, numbered, publish, subscribe, take};

const MESSAGES: usize = 2_000;
const BATCH: usize = 50;
const KEYS: usize = 40;
/// A broker starts in ten seconds; on a machine that is busy, in a minute.
const BACK: Duration = Duration::from_secs(180);

/// One that is killed.
async fn mortal() -> MutexGuard<'static, Broker> {
    static BROKER: OnceCell<Mutex<Broker>> = OnceCell::const_new();
    let start = async || Mutex::new(block_in_place(Broker::start).unwrap());
    BROKER.get_or_init(start).await.lock().await
}

/// One that takes small messages only, is held still, and has alarms.
async fn moody() -> MutexGuard<'static, Broker> {
    static BROKER: OnceCell<Mutex<Broker>> = OnceCell::const_new();
    let start = || Broker::start_with(&[], "max_message_size = 20000\n");
    let start = async || Mutex::new(block_in_place(start).unwrap());
    BROKER.get_or_init(start).await.lock().await
}

/// Sends all, each batch until it is confirmed; how many had to be sent again.
async fn publish_all(to: RabbitMq) -> usize {
    let mut again = 0;
    for first in (0..MESSAGES).step_by(BATCH) {
        let mut batch = numbered(first, BATCH, KEYS);
        while !batch.is_empty() {
            let outcomes = to.publish(&batch).await;
            let mut rest = Vec::new();
            for (outgoing, outcome) in batch.into_iter().zip(outcomes) {
                if let Err(error) = outcome {
                    assert!(error.is_retryable(), "{error}");
                    rest.push(outgoing);
                }
            }
            again += rest.len();
            batch = rest;
        }
    }
    again
}

/// Acknowledges what comes until so many have come; each where it came first.
async fn until(from: &mut Box<dyn Deliveries>, seen: &mut Vec<Message>, count: usize) {
    let mut ids: BTreeSet<String> = seen.iter().map(|one| one.id.clone()).collect();
    while seen.len() < count {
        let delivered = timeout(BACK, from.next()).await.expect("a message").unwrap();
        let message = delivered.message.clone().unwrap();
        // A lost acknowledgement is no error of ours: the message comes again.
        let _ = delivered.ack().await;
        if ids.insert(message.id.clone()) {
            seen.push(message);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_confirmed_is_lost_by_kill_9_and_no_key_is_out_of_order() {
    let mut broker = mortal().await;
    let settings = || Settings::new(broker.url()).exchange(fresh("exchange"));
    let settings = settings().publish_within(LIMIT);
    let rabbit = RabbitMq::connect(settings).await.unwrap();
    let subscription = Subscription::shared(&fresh("g"), ["order.*"]);
    let mut group = subscribe(&rabbit, subscription).await;
    block_in_place(|| broker.sync()).unwrap();
    let published = tokio::spawn(publish_all(rabbit.clone()));
    let mut seen = Vec::new();
    for part in [300, 800, 1_400] {
        until(&mut group, &mut seen, part).await;
        block_in_place(|| broker.restart()).unwrap();
    }
    until(&mut group, &mut seen, MESSAGES).await;
    assert_ordered(&seen);
    let again = published.await.unwrap();
    assert!(again > 0, "the broker was killed while nothing was on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_ends_no_subscription_and_no_publisher() {
    let mut broker = mortal().await;
    let settings = Settings::new(broker.url()).exchange(fresh("exchange"));
    let rabbit = RabbitMq::connect(settings.publish_within(LIMIT / 20)).await.unwrap();
    let mut group = subscribe(&rabbit, Subscription::shared(&fresh("g"), ["#"])).await;
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    insist(&rabbit, 0, 10).await;
    block_in_place(|| broker.sync()).unwrap();
    // Handed out, and not acknowledged when the connection is lost.
    let held = next(&mut group).await;
    let held_id = held.message.as_ref().unwrap().id.clone();
    broker.kill9().unwrap();
    states(&rabbit, State::Away).await;
    let outcomes = rabbit.publish(&numbered(10, 1, 1)).await;
    let away = matches!(outcomes[0], Err(PublishError::Unavailable { .. }));
    assert!(away, "nothing was sent: {outcomes:?}");
    held.ack().await.unwrap_err();
    block_in_place(|| broker.restart()).unwrap();
    insist(&rabbit, 11, 10).await;
    for messages in [&mut group, &mut all] {
        let mut seen = BTreeSet::new();
        while seen.len() < 20 {
            seen.extend(take(messages, 1).await);
        }
        assert!(seen.contains(&held_id));
    }
    assert_eq!((rabbit.publishing(), rabbit.consuming()), (State::Connected, State::Connected));
}

/// Publishes until all is confirmed, as an outbox does.
async fn insist(to: &RabbitMq, first: usize, count: usize) {
    let insisting = async {
        let mut left: BTreeMap<usize, _> =
            numbered(first, count, 10).into_iter().enumerate().collect();
        while !left.is_empty() {
            let batch: Vec<_> = left.values().cloned().collect();
            let outcomes = to.publish(&batch).await;
            let mut outcomes = outcomes.into_iter();
            left.retain(|_, _| outcomes.next().is_some_and(|outcome| outcome.is_err()));
        }
    };
    timeout(BACK, insisting).await.expect("all to be confirmed");
}

/// Waits until both connections are in this state.
async fn states(of: &RabbitMq, state: State) {
    let waiting = async {
        while (of.publishing(), of.consuming()) != (state, state) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, waiting).await.expect("the state within the limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_makes_publishing_wait_up_to_its_limit_and_goes_on_when_it_is_over() {
    let broker = moody().await;
    let alarms = [
        (["set_vm_memory_high_watermark", "absolute", "1MB"], "1GB"),
        (["set_disk_free_limit", "mem_relative", "100000"], "0"),
    ];
    for (mut alarm, over) in alarms {
        let limit = Duration::from_secs(1);
        let settings = Settings::new(broker.url()).exchange(fresh("exchange"));
        let rabbit = RabbitMq::connect(settings.clone().publish_within(limit)).await.unwrap();
        let patient = RabbitMq::connect(settings.publish_within(BACK)).await.unwrap();
        let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
        publish(&patient, &numbered(0, 1, 1)).await;
        block_in_place(|| broker.ctl(&alarm)).unwrap();
        // The broker says so to who publishes, in its own time.
        let told = async {
            while rabbit.publishing() != State::Blocked {
                drop(rabbit.publish(&numbered(1, 1, 1)).await);
            }
        };
        timeout(LIMIT, told).await.expect("the alarm");
        for number in 1..3 {
            let begun = Instant::now();
            let batch = numbered(number, 1, 1);
            let outcomes = timeout(LIMIT, rabbit.publish(&batch)).await;
            let outcome = outcomes.expect("an end of waiting").remove(0);
            assert!(begun.elapsed() >= limit, "{alarm:?}");
            let error = outcome.unwrap_err();
            assert!(error.is_retryable() && error.to_string().contains("alarm"), "{error}");
            assert_eq!(rabbit.publishing(), State::Blocked);
        }
        // What was there before is still consumed and acknowledged.
        assert_eq!(take(&mut all, 1).await, ["0"]);
        let waiting =
            tokio::spawn(async move { patient.publish(&numbered(3, 1, 1)).await.remove(0) });
        alarm[2] = over;
        block_in_place(|| broker.ctl(&alarm)).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(()));
        insist(&rabbit, 4, 1).await;
        let mut seen = BTreeSet::new();
        while !seen.contains("3") || !seen.contains("4") {
            seen.extend(take(&mut all, 1).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_says_nothing_holds_nobody_for_longer_than_the_limit() {
    let broker = moody().await;
    let limit = Duration::from_secs(1);
    let url = format!("{}?heartbeat=5", broker.url());
    let settings = Settings::new(url).exchange(fresh("exchange")).publish_within(limit);
    let rabbit = RabbitMq::connect(settings).await.unwrap();
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    insist(&rabbit, 0, 1).await;
    broker.pause().unwrap();
    let batch = numbered(1, 1, 1);
    let outcomes = timeout(LIMIT, rabbit.publish(&batch)).await;
    let outcome = outcomes.expect("an end of waiting").remove(0);
    assert!(matches!(outcome, Err(PublishError::Unknown { .. })), "{outcome:?}");
    states(&rabbit, State::Away).await;
    broker.resume().unwrap();
    insist(&rabbit, 1, 2).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        seen.extend(take(&mut all, 1).await);
    }
}

/// The broker closes a channel with a 406 when a message was held for too long. That was taken for
/// a queue of another form, which ended the subscription for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_held_for_too_long_comes_again() {
    let broker = moody().await;
    // Whoever opens a channel has these from then on; it is looked every tick.
    let set = |milliseconds: u32, tick: u32| {
        let set = format!(
            "[application:set_env(rabbit, Name, Value) || {{Name, Value}} <- \
             [{{consumer_timeout, {milliseconds}}}, {{channel_tick_interval, {tick}}}]]."
        );
        block_in_place(|| broker.ctl(&["eval", &set])).unwrap();
    };
    let settings = Settings::new(broker.url()).exchange(fresh("exchange"));
    let rabbit = RabbitMq::connect(settings).await.unwrap();
    set(1_000, 100);
    let mut orders = subscribe(&rabbit, Subscription::shared(&fresh("g"), ["#"])).await;
    publish(&rabbit, &numbered(0, 1, 1)).await;
    let held = next(&mut orders).await;
    let again = next(&mut orders).await;
    assert_eq!(held.message, again.message);
    set(1_800_000, 60_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_of_the_broker_is_too_large_and_the_rest_go_on() {
    let broker = moody().await;
    let settings = Settings::new(broker.url()).exchange(fresh("exchange"));
    let rabbit = RabbitMq::connect(settings).await.unwrap();
    let mut all = subscribe(&rabbit, Subscription::broadcast(["#"])).await;
    let mut batch = numbered(0, 1, 1);
    batch[0].message.data = vec![b'x'; 30_000].into();
    let outcome = rabbit.publish(&batch).await.remove(0);
    assert_eq!(outcome, Err(PublishError::TooLarge { bytes: 30_000, max: 20_000 }));
    publish(&rabbit, &numbered(1, 1, 1)).await;
    assert_eq!(take(&mut all, 1).await, ["1"]);
}
