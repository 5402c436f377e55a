//! Groups: who has what, when one comes and when one leaves, and what the server forgets.

use crate::kit::{
    self, PATIENCE, Seen, batch, debian, insist, name, nats, next, open, put, quiet, settings,
    shared,
};
use factum_app::message::{ConsumeError, Consumer, SettleError, Subscription};
use factum_nats::{Mode, Nats, Stream};
use futures_util::TryStreamExt;
use std::time::Duration;

async fn spread(url: &str, name: &str) -> Nats {
    let stream = Stream::new(name, [format!("{name}.>")]);
    Nats::connect(settings(url).stream(stream).partitions(4)).await.unwrap()
}

/// In the middle of a batch an instance leaves, with half of what it has unsettled: the others get
/// that, and each key stays in order.
#[tokio::test]
async fn an_instance_that_leaves_in_the_middle_of_a_batch_costs_nothing() {
    for url in [shared().url(), debian().url()] {
        let name = name();
        let nats = spread(&url, &name).await;
        let group = || Subscription::shared("g", [format!("{name}.>")]).prefetch(40);
        let (mut one, mut other) = (open(&nats, group()).await, open(&nats, group()).await);
        put(&nats, &batch(&format!("{name}.a"), 10, 1..=20)).await;
        let mut seen = Seen::default();
        for _ in 0..15 {
            let delivered = next(&mut other).await;
            seen.note(&delivered);
            delivered.ack().await.unwrap();
        }
        let mut held = Vec::new();
        for _ in 0..15 {
            held.push(next(&mut other).await);
        }
        let close = other.close(Duration::from_millis(50)).await.unwrap();
        assert_eq!(close.unsettled, 15);
        seen.until(&mut one, 200).await;
        seen.check(1..=20);
        let late = held.pop().unwrap().ack().await;
        assert!(matches!(late, Err(SettleError::Lost { .. })), "it was another's by then");
        quiet(&mut one).await;
    }
}

/// Both have half of the partitions before anything comes; those of one that is killed go to the
/// other when its leases end.
#[tokio::test]
async fn partitions_of_an_instance_that_is_killed_are_taken_over() {
    let name = name();
    let url = shared().url();
    let nats = spread(&url, &name).await;
    let topic = format!("{name}.a");
    let group = Subscription::shared("g", [topic.clone()]);
    let mut one = open(&nats, group.clone()).await;
    // As a process that is killed: its runtime ends, and nothing is said.
    let dead = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let left = runtime.block_on(async {
            let nats = spread(&url, &name).await;
            let mut other = open(&nats, group).await;
            put(&nats, &batch(&topic, 12, 1..=5)).await;
            (next(&mut other).await, other)
        });
        runtime.shutdown_background();
        drop(left);
    });
    dead.join().unwrap();
    let mut seen = Seen::default();
    seen.until(&mut one, 60).await;
    seen.check(1..=5);
}

/// Several topics in one group, one of them a pattern, on the server that knows only one filter and
/// on that which knows several; both modes.
#[tokio::test]
async fn several_topics_and_patterns_in_one_group() {
    for (url, mode) in [(shared().url(), Mode::Binary), (debian().url(), Mode::Structured)] {
        let name = name();
        let stream = Stream::new(&name, [format!("{name}.>")]);
        let nats = Nats::connect(settings(&url).stream(stream).mode(mode)).await.unwrap();
        let topics = [format!("{name}.a"), format!("{name}.b.*")];
        let mut group = open(&nats, Subscription::shared("g", topics)).await;
        let to = |topic: &str, number| kit::message(&format!("{name}.{topic}"), "k", number);
        put(&nats, &[to("a", 1), to("c", 2), to("b.x", 3), to("b.x.y", 4), to("b.y", 5)]).await;
        for (topic, number) in [("a", 1), ("b.x", 3), ("b.y", 5)] {
            let delivered = next(&mut group).await;
            assert_eq!(delivered.topic, format!("{name}.{topic}"));
            assert_eq!(kit::label(&delivered).1, number);
            delivered.ack().await.unwrap();
        }
        quiet(&mut group).await;
    }
}

/// A handler that takes longer than the server waits keeps its message, and what is behind it
/// waits.
#[tokio::test]
async fn a_long_handler_keeps_its_message() {
    let name = name();
    let nats = nats(&shared().url(), &name).await;
    let topic = format!("{name}.a");
    let mut group = open(&nats, Subscription::shared("g", [topic.clone()])).await;
    let mut other = open(&nats, Subscription::shared("g", [topic.clone()])).await;
    put(&nats, &batch(&topic, 1, 1..=1)).await;
    let held = next(&mut group).await;
    let more = async {
        tokio::select! {
            more = group.next() => more,
            more = other.next() => more,
        }
    };
    let more = tokio::time::timeout(Duration::from_secs(5), more).await;
    assert!(more.is_err(), "it came again while it was being handled: {more:?}");
    held.ack().await.unwrap();
    put(&nats, &batch(&topic, 1, 2..=2)).await;
    let second = next(&mut group).await;
    assert_eq!((kit::label(&second).1, second.attempt), (2, 1));
    second.ack().await.unwrap();
}

/// The server is killed before it hears of an acknowledgement: that says so, and it comes again.
#[tokio::test]
async fn after_a_lost_acknowledgement_it_comes_again() {
    let name = name();
    let mut server = factum_services::nats::Nats::start().unwrap();
    let nats = nats(&server.url(), &name).await;
    let topic = format!("{name}.a");
    let mut group = open(&nats, Subscription::shared("g", [topic.clone()])).await;
    insist(&nats, &batch(&topic, 1, 1..=3)).await;
    let held = next(&mut group).await;
    server.kill9().unwrap();
    let lost = held.ack().await;
    assert!(matches!(lost, Err(SettleError::Lost { .. })), "{lost:?}");
    server.restart().unwrap();
    let mut seen = Seen::default();
    seen.until(&mut group, 3).await;
    seen.check(1..=3);
}

#[tokio::test]
async fn a_group_that_is_deleted_at_the_server_says_so() {
    let name = name();
    let nats = nats(&shared().url(), &name).await;
    let mut group = open(&nats, Subscription::shared("g", [format!("{name}.a")])).await;
    let context = kit::context(&shared().url()).await;
    context.delete_consumer_from_stream("g", &name).await.unwrap();
    let error = tokio::time::timeout(PATIENCE, group.next()).await.unwrap().unwrap_err();
    let says = |why: &String| why.contains("subscribe again");
    assert!(matches!(&error, ConsumeError::Refused { why } if says(why)), "{error}");
}

/// A consumer of one instance that the server has lost is made anew, where it was.
#[tokio::test]
async fn a_broadcast_that_the_server_has_lost_goes_on() {
    let name = name();
    let nats = nats(&shared().url(), &name).await;
    let topic = format!("{name}.a");
    let mut each = open(&nats, Subscription::broadcast([topic.clone()])).await;
    put(&nats, &batch(&topic, 1, 1..=3)).await;
    let mut seen = Seen::default();
    seen.until(&mut each, 3).await;
    let stream = kit::context(&shared().url()).await.get_stream(&name).await.unwrap();
    let consumers: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
    assert_eq!(consumers.len(), 1);
    put(&nats, &batch(&topic, 1, 4..=5)).await;
    stream.delete_consumer(&consumers[0]).await.unwrap();
    put(&nats, &batch(&topic, 1, 6..=7)).await;
    seen.until(&mut each, 7).await;
    seen.check(1..=7);
    each.close(Duration::ZERO).await.unwrap();
    let left: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
    assert_eq!(left, Vec::<String>::new(), "it is gone with its instance");
}

#[tokio::test]
async fn a_subscription_to_what_no_stream_takes_is_refused() {
    let name = name();
    let nats = nats(&shared().url(), &name).await;
    for (topic, cure) in [("nowhere.at.all", "make one"), ("a..b", "no subject")] {
        let error = nats.consume(Subscription::shared("g", [topic])).await.err().unwrap();
        assert!(error.to_string().contains(cure), "{error}");
    }
}
