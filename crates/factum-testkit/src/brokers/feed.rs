//! The deliveries of a subscription, with patience: what must come has a limit, what must not come
//! is waited for a little.

use super::{BrokerSettings, trial::label};
use crate::{Failure, run::patiently, within};
use factum_app::{
    message::{Close, ConsumeError, Consumer, Delivered, Deliveries, Message},
    world::BoxFuture,
};
use std::{sync::Arc, time::Duration};

/// The deliveries of a subscription.
pub(crate) struct Feed {
    deliveries: Box<dyn Deliveries>,
    /// Whoever drops a consumer keeps its deliveries; but a case is no test of that.
    _consumer: Arc<dyn Consumer>,
    settings: BrokerSettings,
}

impl Feed {
    pub(super) fn new(
        deliveries: Box<dyn Deliveries>,
        consumer: Arc<dyn Consumer>,
        settings: BrokerSettings,
    ) -> Self {
        Self { deliveries, _consumer: consumer, settings }
    }

    /// The next, without a limit.
    pub(crate) fn raw_next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>> {
        self.deliveries.next()
    }

    /// The next, which must come.
    pub(crate) async fn next(&mut self) -> Result<Delivered, Failure> {
        let limit = self.settings.patience;
        Ok(patiently(limit, "a message", self.deliveries.next()).await??)
    }

    /// So many, which must come; none of them settled.
    pub(crate) async fn hold(&mut self, count: usize) -> Result<Vec<Delivered>, Failure> {
        let mut held = Vec::new();
        for nth in 1..=count {
            let next = self.deliveries.next();
            let what = format!("message {nth} of {count} ({:?} came)", labels_of(&held));
            held.push(patiently(self.settings.patience, &what, next).await??);
        }
        Ok(held)
    }

    /// So many, which must come, each acknowledged before the next.
    pub(crate) async fn take(&mut self, count: usize) -> Result<Vec<Message>, Failure> {
        let mut taken = Vec::new();
        for nth in 1..=count {
            let next = self.deliveries.next();
            let came = taken.iter().map(label).collect::<Vec<_>>();
            let what = format!("message {nth} of {count} ({came:?} came)");
            let delivered = patiently(self.settings.patience, &what, next).await??;
            taken.push(message_of(&delivered)?);
            delivered.ack().await?;
        }
        Ok(taken)
    }

    /// The labels of so many, each acknowledged before the next.
    pub(crate) async fn labels(&mut self, count: usize) -> Result<Vec<String>, Failure> {
        Ok(self.take(count).await?.iter().map(label).collect())
    }

    /// Acknowledges what comes until all of these have come, each once at least; the order of their
    /// first coming.
    pub(crate) async fn until(&mut self, wanted: &[String]) -> Result<Vec<String>, Failure> {
        let mut seen: Vec<String> = Vec::new();
        while !wanted.iter().all(|label| seen.contains(label)) {
            let next = self.deliveries.next();
            let what = format!("the rest of {wanted:?} ({seen:?} came)");
            let delivered = patiently(self.settings.patience, &what, next).await??;
            let came = label(&message_of(&delivered)?);
            // The acknowledgement may be lost, as the connection may: then it comes again.
            let _ = delivered.ack().await;
            if !seen.contains(&came) {
                seen.push(came);
            }
        }
        Ok(seen)
    }

    /// Nothing comes for a while.
    pub(crate) async fn quiet(&mut self) -> Result<(), Failure> {
        match within(self.settings.quiet, self.deliveries.next()).await {
            None => Ok(()),
            Some(Ok(delivered)) => {
                let came = labels_of(std::slice::from_ref(&delivered));
                Err(Failure::new(format!("nothing was to come, and {came:?} came")))
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Closes it within the time that is usual.
    pub(crate) async fn close(self) -> Result<Close, Failure> {
        let patience = self.settings.patience;
        self.close_within(patience / 2).await
    }

    pub(crate) async fn close_within(self, limit: Duration) -> Result<Close, Failure> {
        let patience = limit + self.settings.patience / 2;
        Ok(patiently(patience, "a subscription to close", self.deliveries.close(limit)).await??)
    }
}

/// The message of a delivery, which must be one.
pub(crate) fn message_of(delivered: &Delivered) -> Result<Message, Failure> {
    let wrong = |malformed| Failure::new(format!("no message: {malformed:?}"));
    delivered.message.clone().map_err(wrong)
}

/// What deliveries are called.
pub(crate) fn labels_of(delivered: &[Delivered]) -> Vec<String> {
    let label = |one: &Delivered| match &one.message {
        Ok(message) => label(message),
        Err(malformed) => format!("{malformed:?}"),
    };
    delivered.iter().map(label).collect()
}

/// Acknowledges all of these.
pub(crate) async fn ack_all(delivered: Vec<Delivered>) -> Result<(), Failure> {
    for one in delivered {
        one.ack().await?;
    }
    Ok(())
}
