//! Relays that are killed between any two steps, over a broker that comes and goes: every row is
//! published, in order for its key; one that cannot be holds up its key and no other.

use super::world::Spread;
use factum_app::{
    World,
    message::{
        Consumer, Deliveries, MemoryBroker, MemoryLimits, Message, Outgoing, PublishError,
        Publisher, Subscription,
    },
    outbox::{
        Claim, DeadRow, Outbox, OutboxError, OutboxLag, Outcome, Relay, RelayHandle, RelayOptions,
        Row, Settled,
    },
    world::BoxFuture,
};
use factum_core::Timestamp;
use factum_testkit::{Report, Sim, SimWorld, same};
use futures_util::future::{Either, select};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

const NUMBERS: u64 = 25;
/// The message of the key `p` that no broker takes.
const POISON: u64 = 7;
const BYTES_MAX: u64 = 300;

/// A row, and what is known about it.
#[derive(Clone, Debug)]
struct Line {
    row: Row,
    published: bool,
    dead: bool,
    retry_at: i64,
    claimed: Option<(String, i64)>,
}

/// What an outbox is, in a few lines: a table that outlives its relays.
#[derive(Clone, Debug)]
struct Model {
    lines: Arc<Mutex<Vec<Line>>>,
    world: SimWorld,
}

impl Model {
    fn enqueue(&self, message: Message) {
        let mut lines = self.lines.lock().unwrap();
        let row = Row {
            sequence: lines.len() as u64 + 1,
            outgoing: Outgoing::new("t", message),
            attempts: 0,
            created_at: self.world.now(),
        };
        lines.push(Line { row, published: false, dead: false, retry_at: 0, claimed: None });
    }

    fn count(&self, which: impl Fn(&Line) -> bool) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| which(line)).count()
    }

    /// A round trip to the database.
    async fn trip(&self) {
        self.world.sleep(Duration::from_millis(self.world.below(20))).await;
    }

    fn take(&self, claim: &Claim) -> Vec<Row> {
        let mut lines = self.lines.lock().unwrap();
        let now = claim.now.0;
        let holds = |line: &Line| {
            line.dead
                || line.retry_at > now
                || line.claimed.as_ref().is_some_and(|(_, at)| *at > now)
        };
        let (mut stuck, mut rows) = (Vec::new(), Vec::new());
        for line in lines.iter_mut().filter(|line| !line.published) {
            let key = line.row.outgoing.message.key.clone();
            if holds(line) || stuck.contains(&key) || rows.len() >= claim.rows_max as usize {
                stuck.push(key);
                continue;
            }
            line.claimed = Some((claim.relay.clone(), claim.until.0));
            rows.push(line.row.clone());
        }
        rows
    }

    fn note(&self, relay: &str, settled: &Settled, now: Timestamp) {
        let mut lines = self.lines.lock().unwrap();
        let Some(line) = lines.iter_mut().find(|line| line.row.sequence == settled.sequence) else {
            return;
        };
        let is_own = line.claimed.as_ref().is_some_and(|(who, _)| who == relay);
        if line.published || !(is_own || settled.outcome == Outcome::Published) {
            return;
        }
        line.claimed = None;
        match &settled.outcome {
            Outcome::Published => (line.published, line.dead) = (true, false),
            Outcome::Failed { after, .. } => {
                line.row.attempts += 1;
                line.retry_at = now.0 + i64::try_from(after.as_nanos()).unwrap();
            }
            Outcome::Dead { .. } => line.dead = true,
            Outcome::Untried => {}
        }
    }
}

impl Outbox for Model {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Row>, OutboxError>> {
        Box::pin(async move {
            self.trip().await;
            let rows = self.take(&claim);
            self.trip().await;
            Ok(rows)
        })
    }

    fn settle<'a>(
        &'a self,
        relay: &'a str,
        settled: Vec<Settled>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), OutboxError>> {
        Box::pin(async move {
            self.trip().await;
            settled.iter().for_each(|settled| self.note(relay, settled, now));
            self.trip().await;
            Ok(())
        })
    }

    fn sweep(&self, _: Timestamp, _: u32) -> BoxFuture<'_, Result<u64, OutboxError>> {
        Box::pin(async { Ok(0) })
    }

    fn lag(&self, _: Timestamp) -> BoxFuture<'_, Result<OutboxLag, OutboxError>> {
        Box::pin(async { Ok(OutboxLag::default()) })
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn dead(&self, _: u32) -> BoxFuture<'_, Result<Vec<DeadRow>, OutboxError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn replay(&self, _: u64) -> BoxFuture<'_, Result<bool, OutboxError>> {
        Box::pin(async { Ok(false) })
    }

    fn discard(&self, sequence: u64) -> BoxFuture<'_, Result<bool, OutboxError>> {
        self.lines.lock().unwrap().retain(|line| line.row.sequence != sequence);
        Box::pin(async { Ok(true) })
    }
}

/// A way to the broker that takes its time, and on which confirmations get lost.
#[derive(Debug)]
struct Slow(MemoryBroker, SimWorld);

impl Publisher for Slow {
    fn max_bytes(&self) -> u64 {
        BYTES_MAX
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let (mut stuck, mut outcomes) = (Vec::new(), Vec::new());
            for one in batch {
                let key = one.message.key.clone().unwrap_or_default();
                self.1.sleep(Duration::from_millis(self.1.below(10))).await;
                let outcome = match stuck.contains(&key) {
                    true => Err(PublishError::Behind { key: key.clone() }),
                    false => self.0.publish(std::slice::from_ref(one)).await.remove(0),
                };
                let outcome = match self.1.below(20) {
                    0 if outcome.is_ok() => Err(PublishError::Unknown { why: "lost".into() }),
                    _ => outcome,
                };
                stuck.extend(outcome.is_err().then_some(key));
                outcomes.push(outcome);
            }
            outcomes
        })
    }
}

/// A relay in a process of its own.
fn start(outbox: &Model, broker: &MemoryBroker) -> (SimWorld, RelayHandle) {
    let process = outbox.world.instance("relay");
    let options = RelayOptions {
        batch_max: 9,
        claim: Duration::from_secs(2),
        poll: Duration::from_millis(50),
        pause_max: Duration::from_secs(1),
        ..RelayOptions::default()
    };
    let publisher = Arc::new(Slow(broker.clone(), process.clone()));
    let world = Arc::new(process.clone());
    (process, Relay::new(world, Arc::new(outbox.clone()), publisher, options).start())
}

/// What came, by key; each number once, in the order in which it came first.
async fn came(world: &SimWorld, feed: &mut Box<dyn Deliveries>) -> BTreeMap<String, Vec<u64>> {
    let mut keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while let Either::Left((next, _)) =
        select(feed.next(), world.sleep(Duration::from_secs(5))).await
    {
        let delivered = next.unwrap();
        let message = delivered.message.clone().unwrap();
        let numbers = keys.entry(message.key.unwrap()).or_default();
        let number = message.id.parse().unwrap();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
        delivered.ack().await.unwrap();
    }
    keys
}

async fn enqueue_and_disturb(outbox: &Model, broker: &MemoryBroker, seed: u64) -> u64 {
    let (world, mut draw, mut restarts) = (&outbox.world, Spread(seed), 0);
    let mut relays = vec![start(outbox, broker), start(outbox, broker)];
    for number in 1..=NUMBERS {
        for key in ["a", "b", "p"] {
            let bytes = if key == "p" && number == POISON { BYTES_MAX } else { 1 };
            let message = Message::new(number.to_string(), "/row", "row.written").key(key);
            outbox.enqueue(message.data("text/plain", vec![b'x'; bytes as usize]));
        }
        match draw.below(5) {
            0 => {
                let at = draw.below(relays.len() as u64) as usize;
                relays.remove(at).0.kill();
                relays.push(start(outbox, broker));
                restarts += 1;
            }
            1 => broker.go_away(),
            _ => broker.come_back(),
        }
        world.sleep(Duration::from_millis(draw.below(400))).await;
    }
    broker.come_back();
    let behind = NUMBERS - POISON;
    while outbox.count(|line| !line.published) as u64 > behind + 1 {
        world.sleep(Duration::from_millis(100)).await;
    }
    while outbox.count(|line| line.dead) == 0 {
        world.sleep(Duration::from_millis(100)).await;
    }
    // Whoever is still at it has its time.
    world.sleep(Duration::from_secs(10)).await;
    for (process, _) in relays {
        process.kill();
    }
    restarts
}

/// Runs the row, and says what was done to it.
pub(crate) fn run(sim: Sim) -> Report {
    let world = SimWorld::new(sim.seed()).with_step_time(Duration::from_micros(50));
    let outbox = Model { lines: Arc::default(), world: world.clone() };
    let limits = MemoryLimits { message_bytes_max: BYTES_MAX, ..MemoryLimits::default() };
    let broker = MemoryBroker::with(Arc::new(world.clone()), limits);
    let restarts = world.run(async {
        let mut feed = broker.consume(Subscription::shared("g", ["t"])).await.unwrap();
        let restarts = enqueue_and_disturb(&outbox, &broker, sim.seed()).await;
        let all = (1..=NUMBERS).collect::<Vec<_>>();
        let want = [("a", all.clone()), ("b", all), ("p", (1..POISON).collect())];
        let want = want.map(|(key, numbers)| (key.to_owned(), numbers));
        same("before it is discarded", came(&world, &mut feed).await, BTreeMap::from(want));
        let poison = outbox.lines.lock().unwrap().iter().position(|line| line.dead).unwrap();
        outbox.discard(poison as u64 + 1).await.unwrap();
        let (last, _handle) = start(&outbox, &broker);
        while outbox.count(|line| !line.published) > 0 {
            world.sleep(Duration::from_millis(100)).await;
        }
        let behind = BTreeMap::from([("p".to_owned(), (POISON + 1..=NUMBERS).collect())]);
        same("what was behind it", came(&world, &mut feed).await, behind);
        last.kill();
        restarts
    });
    let (steps, trace) = (world.steps(), world.trace());
    world.end();
    Report { restarts, steps, trace, ..Report::default() }
}
