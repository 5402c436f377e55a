//! A subscription that is made again when it ends: what comes is one feed to whoever takes it.

use super::super::{ConsumeError, Consumer, Delivered, Deliveries, ReceiverState, Subscription};
use crate::world::{self, World};
use std::{sync::Arc, time::Duration};

/// The longest first pause before it is subscribed again; each further one may be twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What comes, over one subscription after the other.
pub(super) struct Feed {
    world: Arc<dyn World>,
    consumer: Arc<dyn Consumer>,
    subscription: Subscription,
    open: Option<Box<dyn Deliveries>>,
    failures: u32,
}

impl Feed {
    pub(super) fn new(
        world: Arc<dyn World>,
        consumer: Arc<dyn Consumer>,
        subscription: Subscription,
    ) -> Self {
        Self { world, consumer, subscription, open: None, failures: 0 }
    }

    /// Subscribes.
    pub(super) async fn open(&mut self) -> Result<(), ConsumeError> {
        self.open = Some(self.consumer.consume(self.subscription.clone()).await?);
        Ok(())
    }

    /// What comes next, and what the feed does meanwhile. Ends where the broker refuses it.
    /// Dropping the future loses nothing.
    pub(super) async fn next(
        &mut self,
        says: impl Fn(ReceiverState),
    ) -> Result<Delivered, ConsumeError> {
        loop {
            match self.once(&says).await {
                Ok(delivered) => {
                    self.failures = 0;
                    return Ok(delivered);
                }
                Err(error @ ConsumeError::Unavailable { .. }) => {
                    self.open = None;
                    says(ReceiverState::Away { why: error.to_string() });
                    pause(&*self.world, self.failures).await;
                    self.failures += 1;
                }
                Err(error) => {
                    says(ReceiverState::Stopped { why: error.to_string() });
                    return Err(error);
                }
            }
        }
    }

    async fn once(&mut self, says: &impl Fn(ReceiverState)) -> Result<Delivered, ConsumeError> {
        if self.open.is_none() {
            self.open().await?;
        }
        says(ReceiverState::Running);
        match &mut self.open {
            Some(deliveries) => deliveries.next().await,
            None => Err(ConsumeError::Unavailable { why: "it is not subscribed".to_owned() }),
        }
    }

    /// Takes no more, and waits so long at most until what was handed out is settled.
    pub(super) async fn close(self, within: Duration) {
        if let Some(deliveries) = self.open {
            // What is not settled by then comes again.
            let _ = deliveries.close(within).await;
        }
    }
}

/// Waits between two attempts: up to twice as long each time, and not as long as others do.
pub(super) async fn pause(world: &dyn World, attempt: u32) {
    world::pause(world, attempt, PAUSE, PAUSE_MAX).await;
}
