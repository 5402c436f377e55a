//! A way to a broker that takes its time, on which confirmations get lost, and messages do not get
//! there.

use factum_app::{
    World,
    message::{MemoryBroker, Outgoing, PublishError, Publisher},
    world::BoxFuture,
};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Debug)]
pub(super) struct Shaky {
    broker: MemoryBroker,
    world: Arc<dyn World>,
    state: AtomicU64,
}

impl Shaky {
    pub(super) fn new(broker: MemoryBroker, world: Arc<dyn World>, seed: u64) -> Self {
        Self { broker, world, state: AtomicU64::new(seed) }
    }

    /// SplitMix64.
    fn below(&self, limit: u64) -> u64 {
        let mut z = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    async fn send(&self, one: &Outgoing) -> Result<(), PublishError> {
        let why = || "on purpose".to_owned();
        match self.below(10) {
            0 => Err(PublishError::Unavailable { why: why() }),
            chance => {
                let mut outcomes = self.broker.publish(std::slice::from_ref(one)).await;
                let outcome = outcomes.pop().unwrap_or(Ok(()));
                if chance == 1 { Err(PublishError::Unknown { why: why() }) } else { outcome }
            }
        }
    }
}

impl Publisher for Shaky {
    fn max_bytes(&self) -> u64 {
        self.broker.max_bytes()
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let (mut stuck, mut outcomes) = (HashSet::new(), Vec::new());
            self.world.sleep(Duration::from_millis(1)).await;
            for one in batch {
                let key = one.message.key.clone().unwrap_or_default();
                let outcome = match stuck.contains(&key) {
                    true => Err(PublishError::Behind { key: key.clone() }),
                    false => self.send(one).await,
                };
                if outcome.is_err() {
                    stuck.insert(key);
                }
                outcomes.push(outcome);
            }
            self.world.sleep(Duration::from_millis(1)).await;
            outcomes
        })
    }
}
