//! A way from a broker that has no place for dead letters, as Kafka without a topic for them, and
//! that refuses its subscription when it is told to.

use factum_app::{
    message::{
        Close, ConsumeError, Consumer, Delivered, Deliveries, MemoryBroker, Settle, SettleError,
        Subscription,
    },
    world::BoxFuture,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// What is no message and says this ends the subscription.
pub(crate) const REFUSE: &str = "refuse";

#[derive(Debug)]
pub(crate) struct Placeless {
    broker: MemoryBroker,
    acked: Arc<watch::Sender<usize>>,
}

impl Placeless {
    pub(crate) fn new(broker: MemoryBroker) -> Self {
        Self { broker, acked: Arc::default() }
    }

    /// How many were acknowledged.
    pub(crate) fn acked(&self) -> watch::Receiver<usize> {
        self.acked.subscribe()
    }
}

impl Consumer for Placeless {
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>> {
        Box::pin(async move {
            let all = self.broker.consume(subscription).await?;
            Ok(Box::new(All(all, self.acked.clone())) as Box<dyn Deliveries>)
        })
    }
}

struct All(Box<dyn Deliveries>, Arc<watch::Sender<usize>>);

impl Deliveries for All {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>> {
        Box::pin(async move {
            let mut delivered = self.0.next().await?;
            if delivered.message.as_ref().is_err_and(|malformed| malformed.bytes == REFUSE) {
                return Err(ConsumeError::Refused { why: "its rights are gone".into() });
            }
            delivered.settle = Box::new(One(delivered.settle, self.1.clone()));
            Ok(delivered)
        })
    }

    fn close(self: Box<Self>, within: Duration) -> BoxFuture<'static, Result<Close, ConsumeError>> {
        self.0.close(within)
    }
}

#[derive(Debug)]
struct One(Box<dyn Settle>, Arc<watch::Sender<usize>>);

impl Settle for One {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move {
            self.0.ack().await?;
            self.1.send_modify(|acked| *acked += 1);
            Ok(())
        })
    }

    fn send_back(self: Box<Self>, after: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        self.0.send_back(after)
    }

    fn dead_letter(self: Box<Self>, _: String) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move {
            // It comes again at once, as with any broker.
            drop(self);
            Err(SettleError::Unsupported { what: "put a message aside".into() })
        })
    }
}
