//! A thousand subscriptions on one server, one of which never reads: its memory stays bounded,
//! appends go on, and nobody misses anything.

use super::support::{PATIENCE, Place};
use factum::{
    AnyStore, Append, ContentType, EventData, EventStore, EventType, Query, Select, StreamName,
    Subscribe, Uuid, next_batch, store::DynBatches,
};
use tokio::{task::JoinSet, time::timeout};

const SUBSCRIPTIONS: usize = 1_000;
const CONNECTIONS: usize = 4;
/// Those who follow everything, but for the one that is stuck; the others follow one stream of
/// which there is little: a thousand copies of everything would take minutes.
const THOROUGH: usize = 2;
const EVENT_BYTES: usize = 16 << 10;
const LITTLE_EVENT_BYTES: usize = 1 << 10;
/// Events in an append, of which one is in the stream of which there is little.
const EVENTS: usize = 50;
/// Appends before the memory is measured, and after.
const WARM: usize = 20;
const MEASURED: usize = 120;
/// What may be more afterwards; 20 is usual. A server that held for the one that is stuck what it
/// does not read would hold 92 more.
const GROWTH_MIB_MAX: usize = 48;

fn name(stream: &str) -> StreamName {
    StreamName::new(stream).unwrap()
}

async fn subscribe(store: &AnyStore, select: Select) -> DynBatches {
    store.subscribe(Subscribe { select, after: None }).await.unwrap()
}

async fn append(store: &AnyStore, round: usize) {
    let parts = [("much", 1..EVENTS, EVENT_BYTES), ("little", 0..1, LITTLE_EVENT_BYTES)];
    for (stream, events, bytes) in parts {
        let event = |n| {
            let id = Uuid::from_u128((round * EVENTS + n + 1) as u128);
            let event = EventData::new(id, EventType::new("t").unwrap(), vec![7; bytes]);
            EventData { content_type: ContentType::Binary, ..event }
        };
        let append = Append::to(name(stream), events.map(event));
        // A store that waits for the one that is stuck never answers.
        timeout(PATIENCE, store.append(append)).await.unwrap().unwrap();
    }
}

/// A subscription, and how many events it is to give.
struct Follower {
    batches: DynBatches,
    events_per_append: usize,
}

impl Follower {
    async fn read(mut self, appends: usize) -> Self {
        let mut left = appends * self.events_per_append;
        while left > 0 {
            let batch = next_batch(&mut self.batches).await.unwrap().unwrap();
            left -= batch.events.len();
        }
        self
    }
}

async fn all_read(
    followers: Vec<Follower>,
    store: &AnyStore,
    rounds: std::ops::Range<usize>,
) -> Vec<Follower> {
    let mut reading = JoinSet::new();
    for follower in followers {
        reading.spawn(follower.read(rounds.len()));
    }
    for round in rounds {
        append(store, round).await;
    }
    timeout(PATIENCE, reading.join_all()).await.expect("each gets to the end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_subscriber_among_a_thousand_costs_the_server_little() {
    let mut place = Place::new();
    let server = place.serve();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(factum::open(&server.url).await.unwrap());
    }
    let stuck = subscribe(&connections[0], Select::Query(Query::All)).await;
    let mut followers = Vec::new();
    for n in 1..SUBSCRIPTIONS {
        let (select, events_per_append) = match n {
            0..=THOROUGH => (Select::Query(Query::All), EVENTS),
            _ => (Select::Stream(name("little")), 1),
        };
        let batches = subscribe(&connections[n % CONNECTIONS], select).await;
        followers.push(Follower { batches, events_per_append });
    }
    let writer = factum::open(&server.url).await.unwrap();
    let followers = all_read(followers, &writer, 0..WARM).await;
    let before = server.memory_bytes();
    let _followers = all_read(followers, &writer, WARM..WARM + MEASURED).await;
    let after = server.memory_bytes();
    let mib = |bytes: usize| bytes >> 20;
    println!("the server's memory: {} MiB before, {} MiB after", mib(before), mib(after));
    assert!(mib(after.saturating_sub(before)) <= GROWTH_MIB_MAX, "{before} to {after} bytes");
    // It was never dropped: once it reads, it misses nothing.
    let stuck = Follower { batches: stuck, events_per_append: EVENTS };
    timeout(PATIENCE, stuck.read(WARM + MEASURED)).await.unwrap();
}
