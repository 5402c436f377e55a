//! A way to a broker on which confirmations get lost, and messages do not get there.

use factum_app::{
    message::{MemoryBroker, Outgoing, PublishError, Publisher},
    world::BoxFuture,
};
use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
};

#[derive(Debug)]
pub(super) struct Shaky {
    broker: MemoryBroker,
    state: AtomicU64,
}

impl Shaky {
    pub(super) fn new(broker: MemoryBroker, seed: u64) -> Self {
        Self { broker, state: AtomicU64::new(seed) }
    }

    /// SplitMix64.
    fn below(&self, limit: u64) -> u64 {
        let mut z = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
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
            for one in batch {
                let key = one.message.key.clone().unwrap_or_default();
                let why = || "on purpose".to_owned();
                let outcome = match self.below(10) {
                    _ if stuck.contains(&key) => Err(PublishError::Behind { key: key.clone() }),
                    0 => Err(PublishError::Unavailable { why: why() }),
                    1 => {
                        self.broker.publish(std::slice::from_ref(one)).await.remove(0).unwrap();
                        Err(PublishError::Unknown { why: why() })
                    }
                    _ => self.broker.publish(std::slice::from_ref(one)).await.remove(0),
                };
                if outcome.is_err() {
                    stuck.insert(key);
                }
                outcomes.push(outcome);
                tokio::task::yield_now().await;
            }
            outcomes
        })
    }
}
