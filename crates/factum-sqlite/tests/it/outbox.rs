//! The outbox in SQLite: what is committed is published, in order for each key, whatever fails
//! between enqueueing, publishing and marking; what is not committed never is.

mod kills;
mod shaky;

use crate::support::open;
use factum_app::{
    TokioWorld, World,
    message::{
        Consumer, Deliveries, MemoryBroker, MemoryLimits, Message, Outgoing, Publisher,
        Subscription,
    },
    outbox::{Claim, Outbox, Outcome, Relay, RelayOptions, RelayState, Settled},
};
use factum_core::Timestamp;
use factum_sqlite::{SqliteOutbox, SqliteStore, outbox::enqueue, sqlx};
use shaky::Shaky;
use sqlx::{Connection, SqliteConnection};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, test).await.expect("it takes too long") })
}

fn world() -> Arc<dyn World> {
    Arc::new(TokioWorld::default())
}

/// Short of everything, so that each limit is met.
fn brisk() -> RelayOptions {
    RelayOptions {
        batch_max: 7,
        claim: Duration::from_secs(5),
        poll: Duration::from_millis(20),
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(50),
        ..RelayOptions::default()
    }
}

fn message(key: &str, number: u64) -> Message {
    let message = Message::new(format!("{key}-{number}"), "/orders", "order.placed");
    message.key(key).data("text/plain", number.to_string())
}

struct Service {
    dir: TempDir,
    store: SqliteStore,
    outbox: SqliteOutbox,
    broker: MemoryBroker,
}

async fn service() -> Service {
    service_with(MemoryLimits::default()).await
}

async fn service_with(limits: MemoryLimits) -> Service {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("app.db"));
    let outbox = SqliteOutbox::beside(&store).await.unwrap();
    Service { dir, store, outbox, broker: MemoryBroker::with(world(), limits) }
}

impl Service {
    async fn enqueue(&self, batch: Vec<Outgoing>) {
        let write =
            async move |connection: &mut SqliteConnection| enqueue(connection, &batch).await;
        self.store.write(write).await.unwrap();
    }

    async fn put(&self, key: &str, numbers: impl IntoIterator<Item = u64>) {
        let one = |number| Outgoing::new(TOPIC, message(key, number));
        self.enqueue(numbers.into_iter().map(one).collect()).await;
    }

    async fn subscribe(&self) -> Box<dyn Deliveries> {
        self.broker.consume(Subscription::shared("g", [TOPIC])).await.unwrap()
    }

    fn relay(&self, publisher: impl Publisher, options: RelayOptions) -> Relay {
        Relay::new(world(), Arc::new(self.outbox.clone()), Arc::new(publisher), options)
    }

    async fn waiting(&self) -> u64 {
        self.outbox.lag(world().now()).await.unwrap().waiting
    }

    async fn until_none_waits(&self) {
        while self.waiting().await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What came, by key, in order.
async fn came(feed: &mut Box<dyn Deliveries>) -> BTreeMap<String, Vec<u64>> {
    let mut keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let quiet = Duration::from_millis(100);
    while let Ok(delivered) = tokio::time::timeout(quiet, feed.next()).await {
        let delivered = delivered.unwrap();
        let message = delivered.message.clone().unwrap();
        let number = std::str::from_utf8(&message.data).unwrap().parse().unwrap();
        keys.entry(message.key.unwrap()).or_default().push(number);
        delivered.ack().await.unwrap();
    }
    keys
}

/// The order in which numbers came first.
fn firsts(numbers: &[u64]) -> Vec<u64> {
    let mut seen = Vec::new();
    for number in numbers {
        if !seen.contains(number) {
            seen.push(*number);
        }
    }
    seen
}

#[test]
fn what_is_committed_is_published_whole_and_what_is_not_never_is() {
    run(async {
        let service = service().await;
        let mut feed = service.subscribe().await;
        let sent = Message {
            subject: Some("7".into()),
            time: Some(Timestamp(1_700_000_000_123_456_789)),
            schema: Some("/schemas/1".into()),
            ..message("k", 1).with("tenant", "north").with("traceparent", "00-1-2-01")
        };
        // In a transaction of the application's own, over a connection of its own.
        use sqlx::ConnectOptions;
        let file = service.dir.path().join("app.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut connection = options.connect().await.unwrap();
        let mut undone = connection.begin().await.unwrap();
        enqueue(&mut undone, &[Outgoing::new(TOPIC, message("k", 9))]).await.unwrap();
        undone.rollback().await.unwrap();
        let mut done = connection.begin().await.unwrap();
        enqueue(&mut done, &[Outgoing::new(TOPIC, sent.clone())]).await.unwrap();
        let relay = service.relay(service.broker.clone(), brisk());
        assert_eq!(relay.turn().await.unwrap().claimed, 0, "it is not committed yet");
        done.commit().await.unwrap();
        assert_eq!(relay.turn().await.unwrap().published, 1);
        assert_eq!(relay.turn().await.unwrap().claimed, 0, "it is marked");
        assert_eq!(feed.next().await.unwrap().message.unwrap(), sent);
        let trace: Option<String> = sqlx::query_scalar("SELECT traceparent FROM factum_outbox")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(trace.as_deref(), Some("00-1-2-01"), "a column of its own");
    });
}

#[test]
fn several_relays_over_a_shaky_broker_keep_the_order_of_each_key() {
    run(async {
        let service = service().await;
        let mut feed = service.subscribe().await;
        let relays = (0..3).map(|seed| {
            let shaky = Shaky::new(service.broker.clone(), seed);
            service.relay(shaky, brisk()).start()
        });
        let relays = relays.collect::<Vec<_>>();
        for number in 1..=40 {
            for key in ["a", "b", "c", "d"] {
                service.put(key, [number]).await;
            }
        }
        service.until_none_waits().await;
        for (key, numbers) in came(&mut feed).await {
            assert_eq!(firsts(&numbers), (1..=40).collect::<Vec<_>>(), "{key}: {numbers:?}");
        }
        let published: u64 = relays.iter().map(|relay| relay.status().published).sum();
        assert_eq!(published, 160, "each row is marked once");
        for relay in relays {
            relay.stop().await;
        }
    });
}

#[test]
fn a_claim_is_nobody_elses_until_it_runs_out() {
    run(async {
        let service = service().await;
        service.put("a", 1..=3).await;
        service.put("b", [1]).await;
        let claim = |relay: &str, rows_max, now, until| Claim {
            relay: relay.into(),
            rows_max,
            now: Timestamp(now),
            until: Timestamp(until),
        };
        let numbers = async |claim| {
            let rows = service.outbox.claim(claim).await.unwrap();
            rows.iter().map(|row| row.sequence).collect::<Vec<_>>()
        };
        assert_eq!(numbers(claim("one", 2, 100, 200)).await, [1, 2]);
        // The third is of the key of the first two.
        assert_eq!(numbers(claim("other", 9, 150, 250)).await, [4]);
        assert_eq!(numbers(claim("other", 9, 200, 300)).await, [1, 2, 3]);
        // What the first relay says of rows that are no longer its own counts only if it published.
        let failed = Outcome::Failed { error: "no".into(), after: LONG };
        let settled = [(1, Outcome::Published), (2, failed)];
        let settled = settled.map(|(sequence, outcome)| Settled { sequence, outcome }).to_vec();
        service.outbox.settle("one", settled, Timestamp(210)).await.unwrap();
        assert_eq!(numbers(claim("third", 9, 300, 400)).await, [2, 3, 4]);
    });
}

#[test]
fn poison_holds_up_its_own_key_until_somebody_decides() {
    run(async {
        let limits = MemoryLimits { message_bytes_max: 1_000, ..MemoryLimits::default() };
        let service = service_with(limits).await;
        let mut feed = service.subscribe().await;
        let poison = message("a", 2).data("text/plain", vec![b'x'; 2_000]);
        service.put("a", [1]).await;
        service.enqueue(vec![Outgoing::new(TOPIC, poison)]).await;
        service.put("a", [3]).await;
        service.put("b", 1..=3).await;
        let relay = service.relay(service.broker.clone(), brisk());
        let turn = relay.turn().await.unwrap();
        assert_eq!((turn.published, turn.dead), (4, 1));
        assert_eq!(relay.turn().await.unwrap().claimed, 0, "the third waits behind it");
        let one = BTreeMap::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![1, 2, 3])]);
        assert_eq!(came(&mut feed).await, one);
        let dead = service.outbox.dead(9).await.unwrap().remove(0);
        assert!(dead.error.contains("at most 1000"), "{}", dead.error);
        assert_eq!((dead.row.outgoing.message.id.as_str(), dead.row.attempts), ("a-2", 1));
        assert_eq!(dead.row.outgoing.message.data.len(), 2_000, "it is kept as it was");
        let lag = service.outbox.lag(world().now()).await.unwrap();
        assert_eq!((lag.waiting, lag.dead), (2, 1));
        assert!(service.outbox.replay(dead.row.sequence).await.unwrap());
        assert_eq!(relay.turn().await.unwrap().dead, 1, "it is as large as before");
        assert!(service.outbox.discard(dead.row.sequence).await.unwrap());
        assert!(!service.outbox.discard(dead.row.sequence).await.unwrap(), "there is none");
        assert_eq!(relay.turn().await.unwrap().published, 1);
        assert_eq!(came(&mut feed).await, BTreeMap::from([("a".to_owned(), vec![3])]));
    });
}

#[test]
fn an_outage_costs_nothing_and_is_told() {
    run(async {
        let service = service().await;
        let mut feed = service.subscribe().await;
        service.broker.go_away();
        let relay = service.relay(service.broker.clone(), brisk()).start();
        service.put("a", 1..=30).await;
        while !matches!(relay.status().state, RelayState::Away { .. }) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(service.outbox.lag(world().now()).await.unwrap().oldest > Duration::ZERO);
        service.broker.come_back();
        service.until_none_waits().await;
        let all = BTreeMap::from([("a".to_owned(), (1..=30).collect())]);
        assert_eq!(came(&mut feed).await, all);
        assert_eq!(service.outbox.dead(1).await.unwrap(), Vec::new());
        relay.stop().await;
    });
}

#[test]
fn a_wake_up_is_quicker_than_looking_and_looking_covers_a_lost_one() {
    run(async {
        let service = service().await;
        let mut feed = service.subscribe().await;
        let seldom = RelayOptions { poll: LONG * 10, ..brisk() };
        let relay = service.relay(service.broker.clone(), seldom).start();
        tokio::time::sleep(Duration::from_millis(50)).await;
        service.put("a", [1]).await;
        service.outbox.wake();
        feed.next().await.unwrap().ack().await.unwrap();
        relay.stop().await;
        let relay = service.relay(service.broker.clone(), brisk()).start();
        tokio::time::sleep(Duration::from_millis(50)).await;
        service.put("a", [2]).await;
        feed.next().await.unwrap().ack().await.unwrap();
        relay.stop().await;
    });
}

#[test]
fn published_rows_are_deleted_when_they_are_old() {
    run(async {
        let service = service().await;
        let _feed = service.subscribe().await;
        service.put("a", 1..=5).await;
        let relay = service.relay(service.broker.clone(), brisk());
        assert_eq!(relay.turn().await.unwrap().published, 5);
        service.put("a", [6]).await;
        let now = world().now();
        assert_eq!(service.outbox.sweep(Timestamp(now.0 - 60_000_000_000), 9).await, Ok(0));
        assert_eq!(service.outbox.sweep(Timestamp(now.0 + 1), 3).await, Ok(3));
        assert_eq!(service.outbox.sweep(Timestamp(now.0 + 1), 3).await, Ok(2));
        assert_eq!(service.waiting().await, 1, "what is not published stays, however old");
        let none = RelayOptions { keep: Duration::ZERO, ..brisk() };
        let relay = service.relay(service.broker.clone(), none).start();
        service.until_none_waits().await;
        let count = async |connection: &mut SqliteConnection| {
            let sql = "SELECT count(*) FROM factum_outbox";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(connection).await
        };
        while service.store.write(count).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        relay.stop().await;
    });
}
