//! The server is killed, or away, or hangs: nothing confirmed is lost, and order per key holds.

use crate::kit::{Seen, batch, insist, message, name, nats, open};
use factum_app::message::{Publisher, Subscription};
use factum_services::nats::{Nats as Server, Version};
use std::time::Duration;

/// Killed three times in the middle of 2,000 messages, while they are published and consumed.
async fn killed(version: Version) {
    let mut server = Server::start_version(version).unwrap();
    let name = name();
    let publisher = nats(&server.url(), &name).await;
    let consumer = nats(&server.url(), &name).await;
    let topic = format!("{name}.a");
    let mut group = open(&consumer, Subscription::shared("g", [topic.clone()])).await;
    let publishing = tokio::spawn(async move {
        for n in 0..20 {
            insist(&publisher, &batch(&topic, 20, n * 5 + 1..=n * 5 + 5)).await;
        }
    });
    let mut seen = Seen::default();
    for part in [400, 900, 1400] {
        seen.until(&mut group, part).await;
        server.kill9().unwrap();
        server.restart().unwrap();
    }
    seen.until(&mut group, 2000).await;
    seen.check(1..=100);
    publishing.await.unwrap();
}

#[tokio::test]
async fn killed_in_the_middle_of_2000_messages() {
    killed(Version::Pinned).await;
}

#[tokio::test]
async fn killed_in_the_middle_of_2000_messages_the_old_server() {
    killed(Version::Debian).await;
}

/// Away for several seconds: a publish ends within its limit, and says that it may be tried again;
/// both ends go on afterwards by themselves.
#[tokio::test]
async fn away_for_several_seconds() {
    let mut server = Server::start().unwrap();
    let name = name();
    let nats = nats(&server.url(), &name).await;
    let topic = format!("{name}.a");
    let mut group = open(&nats, Subscription::shared("g", [topic.clone()])).await;
    insist(&nats, &batch(&topic, 5, 1..=5)).await;
    let mut seen = Seen::default();
    seen.until(&mut group, 25).await;
    server.kill9().unwrap();
    let away = [message(&topic, "k0", 6), message(&topic, "k0", 7)];
    let publishing = tokio::time::timeout(Duration::from_secs(15), nats.publish(&away));
    let outcomes = publishing.await.expect("a publish ends within its limit");
    let again = outcomes.iter().all(|o| o.as_ref().is_err_and(|error| error.is_retryable()));
    assert!(again, "{outcomes:?}");
    server.restart().unwrap();
    insist(&nats, &batch(&topic, 5, 6..=8)).await;
    seen.until(&mut group, 40).await;
    seen.check(1..=8);
}

/// It accepts and says nothing, as a machine that hangs: that is noticed, and nothing is lost.
#[tokio::test]
async fn a_server_that_hangs() {
    let server = Server::start().unwrap();
    let name = name();
    let nats = nats(&server.url(), &name).await;
    let topic = format!("{name}.a");
    let mut group = open(&nats, Subscription::shared("g", [topic.clone()])).await;
    insist(&nats, &batch(&topic, 5, 1..=4)).await;
    let mut seen = Seen::default();
    seen.until(&mut group, 10).await;
    server.pause().unwrap();
    let outcome = nats.publish(&[message(&topic, "k0", 5)]).await.remove(0);
    assert!(outcome.as_ref().is_err_and(|error| error.is_retryable()), "{outcome:?}");
    server.resume().unwrap();
    insist(&nats, &batch(&topic, 5, 5..=6)).await;
    seen.until(&mut group, 30).await;
    seen.check(1..=6);
}
