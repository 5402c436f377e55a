//! Three nodes, three copies, one of the nodes killed in the middle.

use crate::kit::{PATIENCE, Seen, batch, context, insist, name, open, settings};
use async_nats::jetstream::Context;
use factum_app::message::Subscription;
use factum_nats::{Nats, Stream};
use factum_services::nats::{Cluster, Version};
use std::time::Duration;

async fn leader(context: &Context, stream: &str) -> String {
    let waiting = async {
        loop {
            let stream = context.get_stream(stream).await.ok();
            let cluster = stream.and_then(|stream| stream.cached_info().cluster.clone());
            if let Some(leader) = cluster.and_then(|cluster| cluster.leader) {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("a leader")
}

/// The node that leads the stream is killed while 2,000 messages are published and consumed, and
/// comes back; then the one that leads by then.
async fn killed(version: Version) {
    let mut cluster = Cluster::start_version(version).unwrap();
    let name = name();
    let connect = || {
        let stream = Stream::new(&name, [format!("{name}.>")]).replicas(3);
        Nats::connect(settings(&cluster.url()).stream(stream).partitions(2))
    };
    let (publisher, consumer) = (connect().await.unwrap(), connect().await.unwrap());
    let context = context(&cluster.url()).await;
    let topic = format!("{name}.a");
    let mut group = open(&consumer, Subscription::shared("g", [topic.clone()])).await;
    let publishing = tokio::spawn(async move {
        for n in 0..20 {
            insist(&publisher, &batch(&topic, 20, n * 5 + 1..=n * 5 + 5)).await;
        }
    });
    let mut seen = Seen::default();
    for part in [500, 1200] {
        seen.until(&mut group, part).await;
        let leads = leader(&context, &name).await;
        cluster.kill9(&leads).unwrap();
        seen.until(&mut group, part + 300).await;
        cluster.restart(&leads).unwrap();
    }
    seen.until(&mut group, 2000).await;
    publishing.await.unwrap();
    seen.check(1..=100);
}

#[tokio::test]
async fn a_node_is_killed_and_nothing_is_lost() {
    killed(Version::Pinned).await;
}

#[tokio::test]
async fn a_node_is_killed_and_nothing_is_lost_the_old_servers() {
    killed(Version::Debian).await;
}
