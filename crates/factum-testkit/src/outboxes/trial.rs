//! What a case works with: a table of its own, a broker, and few words for what is done to them.

use super::{TableUnderTest, Writing};
use crate::{Failure, run::patiently};
use factum_app::{
    World,
    message::{
        Consumer, Deliveries, MemoryBroker, MemoryLimits, Message, Outgoing, Publisher,
        Subscription,
    },
    outbox::{Claim, Outbox, Outcome, Relay, RelayOptions, Settled},
};
use factum_core::Timestamp;
use futures_util::future::{Either, select};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long a case waits for what must come.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// How long it waits for what must not.
const QUIET: Duration = Duration::from_millis(150);
pub(super) const TOPIC: &str = "orders";

/// One run of a case.
pub(crate) struct Trial<'a> {
    pub(super) table: &'a dyn TableUnderTest,
    pub(super) world: Arc<dyn World>,
    pub(super) broker: MemoryBroker,
}

/// Short of everything, so that each limit is met.
pub(super) fn brisk() -> RelayOptions {
    RelayOptions {
        batch_max: 7,
        // As long as a case: a machine that is slow is not to look like a relay that is gone.
        claim: LONG * 2,
        poll: Duration::from_millis(20),
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(50),
        ..RelayOptions::default()
    }
}

pub(super) fn message(key: &str, number: u64) -> Message {
    let message = Message::new(format!("{key}-{number}"), "/orders", "order.placed");
    message.key(key).data("text/plain", number.to_string())
}

pub(super) fn outgoing(message: Message) -> Outgoing {
    Outgoing::new(TOPIC, message)
}

/// Numbers by key.
pub(super) fn keys<const N: usize>(all: [(&str, Vec<u64>); N]) -> BTreeMap<String, Vec<u64>> {
    all.map(|(key, numbers)| (key.to_owned(), numbers)).into()
}

impl<'a> Trial<'a> {
    pub(super) fn new(table: &'a dyn TableUnderTest, world: Arc<dyn World>) -> Self {
        let limits = MemoryLimits { message_bytes_max: 1_000, ..MemoryLimits::default() };
        let broker = MemoryBroker::with(world.clone(), limits);
        Self { table, world, broker }
    }

    pub(super) async fn another(&self) -> Result<Arc<dyn Outbox>, Failure> {
        let made = self.table.another().await;
        made.map_err(|error| Failure::new(format!("the harness: {error}")))
    }

    pub(super) async fn write(&self, writing: Writing<'_>) -> Result<(), Failure> {
        let written = self.table.write(writing).await;
        written.map_err(|error| Failure::new(format!("the harness, writing: {error}")))
    }

    /// In one transaction, which commits.
    pub(super) async fn enqueue(&self, batch: &[Outgoing]) -> Result<(), Failure> {
        let before_end = Box::pin(std::future::ready(()));
        self.write(Writing { batch, before_end, commits: true }).await
    }

    pub(super) async fn put(
        &self,
        key: &str,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<(), Failure> {
        let batch = numbers.into_iter().map(|number| outgoing(message(key, number)));
        self.enqueue(&batch.collect::<Vec<_>>()).await
    }

    pub(super) async fn subscribe(&self) -> Result<Box<dyn Deliveries>, Failure> {
        Ok(self.broker.consume(Subscription::shared("g", [TOPIC])).await?)
    }

    pub(super) fn relay(&self, options: RelayOptions) -> Relay {
        self.relay_of(self.table.outbox(), self.broker.clone(), options)
    }

    pub(super) fn relay_of(
        &self,
        outbox: Arc<dyn Outbox>,
        publisher: impl Publisher,
        options: RelayOptions,
    ) -> Relay {
        Relay::new(self.world.clone(), outbox, Arc::new(publisher), options)
    }

    /// The numbers of the rows that a relay gets.
    pub(super) async fn claim(
        &self,
        relay: &str,
        rows_max: u32,
        (now, until): (i64, i64),
    ) -> Result<Vec<u64>, Failure> {
        let (now, until) = (Timestamp(now), Timestamp(until));
        let claim = Claim { relay: relay.into(), rows_max, now, until };
        let rows = self.table.outbox().claim(claim).await?;
        Ok(rows.iter().map(|row| row.sequence).collect())
    }

    pub(super) async fn settle<const N: usize>(
        &self,
        relay: &str,
        settled: [(u64, Outcome); N],
        now: i64,
    ) -> Result<(), Failure> {
        let settled = settled.map(|(sequence, outcome)| Settled { sequence, outcome });
        Ok(self.table.outbox().settle(relay, settled.to_vec(), Timestamp(now)).await?)
    }

    /// Waits for something to be so.
    pub(super) async fn until(
        &self,
        what: &str,
        mut is_so: impl AsyncFnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let waiting = async {
            while !is_so().await? {
                self.world.sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        patiently(LONG, what, waiting).await?
    }

    pub(super) async fn waiting(&self) -> Result<u64, Failure> {
        Ok(self.table.outbox().lag(self.world.now()).await?.waiting)
    }

    pub(super) async fn until_none_waits(&self) -> Result<(), Failure> {
        self.until("all to be published", async || Ok(self.waiting().await? == 0)).await
    }

    /// What came, by key, in order, until nothing comes any more.
    pub(super) async fn came(
        &self,
        feed: &mut Box<dyn Deliveries>,
    ) -> Result<BTreeMap<String, Vec<u64>>, Failure> {
        let mut keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        loop {
            let delivered = match select(feed.next(), self.world.sleep(QUIET)).await {
                Either::Left((delivered, _)) => delivered?,
                Either::Right(_) => return Ok(keys),
            };
            let wrong = |wrong| Failure::new(format!("no message: {wrong:?}"));
            let message = delivered.message.clone().map_err(wrong)?;
            let number = std::str::from_utf8(&message.data)?.parse()?;
            keys.entry(message.key.unwrap_or_default()).or_default().push(number);
            delivered.ack().await?;
        }
    }
}
