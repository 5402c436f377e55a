//! The way from the broker: an instance's deliveries, and how each is settled.

use super::{
    MemoryBroker,
    state::{End, GroupId},
};
use crate::{
    consumer::{Either, race},
    message::{
        Close, ConsumeError, Consumer, Delivered, Deliveries, Settle, SettleError, Subscription,
    },
    world::BoxFuture,
};
use factum_core::Timestamp;
use std::{pin::pin, time::Duration};

impl Consumer for MemoryBroker {
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>> {
        Box::pin(async move {
            if subscription.topics.is_empty() {
                let why = "it names no topic: name one at least".into();
                return Err(ConsumeError::Refused { why });
            }
            let mut state = self.lock();
            if state.away {
                let why = "it was told to go away".into();
                return Err(ConsumeError::Unavailable { why });
            }
            let number = state.number();
            let group = state.join(&subscription, number);
            drop(state);
            let instance = Instance { broker: self.clone(), group, number, subscription };
            Ok(Box::new(instance) as Box<dyn Deliveries>)
        })
    }
}

/// One of a group. What it has when it is dropped comes again.
struct Instance {
    broker: MemoryBroker,
    group: GroupId,
    number: u64,
    subscription: Subscription,
}

impl Instance {
    /// The next message; or from when on there may be one without anybody's doing.
    fn try_next(&self) -> Result<Delivered, Option<Timestamp>> {
        let now = self.broker.0.world.now();
        let mut state = self.broker.lock();
        let (away, delivery) = (state.away, state.number());
        let group = state.groups.get_mut(&self.group).expect("a group is there while it is used");
        if away || group.held(self.number) >= usize::from(self.subscription.prefetch.max(1)) {
            return Err(None);
        }
        let max = self.subscription.deliveries_max;
        let waiting = group.hand_out(delivery, self.number, now, max)?;
        let (topic, message) = waiting.copy.content.as_ref().clone();
        let (broker, group) = (self.broker.clone(), self.group.clone());
        let settle = Box::new(Settling { broker, group, delivery, done: false });
        Ok(Delivered { topic, message, attempt: waiting.attempts, settle })
    }

    /// What there is, or a wait until there may be something.
    async fn wait(&self) -> Option<Delivered> {
        // Who waits is known to the group before it is asked, so that no change is missed.
        let changed = match self.broker.lock().groups.get(&self.group) {
            Some(group) => group.changed.clone(),
            None => return None,
        };
        let mut notified = pin!(changed.notified());
        notified.as_mut().enable();
        match self.try_next() {
            Ok(delivered) => return Some(delivered),
            Err(None) => notified.await,
            Err(Some(at)) => {
                race(notified, self.broker.0.world.sleep_until(at)).await;
            }
        }
        None
    }

    fn held(&self) -> usize {
        let state = self.broker.lock();
        state.groups.get(&self.group).map_or(0, |group| group.held(self.number))
    }

    async fn settled(&self) {
        loop {
            let changed = match self.broker.lock().groups.get(&self.group) {
                Some(group) => group.changed.clone(),
                None => return,
            };
            let mut notified = pin!(changed.notified());
            notified.as_mut().enable();
            if self.held() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Deliveries for Instance {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>> {
        Box::pin(async {
            loop {
                if let Some(delivered) = self.wait().await {
                    return Ok(delivered);
                }
            }
        })
    }

    fn close(self: Box<Self>, within: Duration) -> BoxFuture<'static, Result<Close, ConsumeError>> {
        Box::pin(async move {
            let limit = self.broker.0.world.sleep(within);
            let unsettled = match race(self.settled(), limit).await {
                Either::First(()) => 0,
                Either::Second(()) => self.held() as u64,
            };
            Ok(Close { unsettled })
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let limits = self.broker.0.limits;
        self.broker.lock().leave(&self.group, self.number, &limits);
    }
}

#[derive(Debug)]
struct Settling {
    broker: MemoryBroker,
    group: GroupId,
    delivery: u64,
    done: bool,
}

impl Settling {
    fn end(&mut self, end: End) -> Result<(), SettleError> {
        self.done = true;
        let limits = self.broker.0.limits;
        let mut state = self.broker.lock();
        let group = state.groups.get_mut(&self.group);
        match group.is_some_and(|group| group.settle(self.delivery, end, &limits)) {
            true => Ok(()),
            false => Err(SettleError::Lost {
                why: "it was given back before, or no more dead letters fit".into(),
            }),
        }
    }
}

impl Settle for Settling {
    fn ack(mut self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.end(End::Acked) })
    }

    fn send_back(
        mut self: Box<Self>,
        after: Duration,
    ) -> BoxFuture<'static, Result<(), SettleError>> {
        let now = self.broker.0.world.now();
        let after = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
        let at = (after > 0).then(|| Timestamp(now.0.saturating_add(after)));
        Box::pin(async move { self.end(End::Back(at)) })
    }

    fn dead_letter(
        mut self: Box<Self>,
        why: String,
    ) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.end(End::Dead(why)) })
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if !self.done {
            // Nobody can be told: it comes again in any case.
            let _ = self.end(End::Back(None));
        }
    }
}
