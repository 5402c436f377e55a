//! A broker that is connected to: both ways, and the exchange that messages go to.

use std::sync::Arc;

use factum_app::{
    message::{
        ConsumeError, Consumer, Deliveries, Outgoing, PublishError, Publisher, Subscription,
    },
    world::BoxFuture,
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};

use crate::{
    ConnectError, Settings, Sharing,
    error::Trouble,
    link::{Link, State},
    publish::{CALLS_MAX, Pool},
    topology,
};

/// A RabbitMQ broker: a way to it and a way from it. A clone is the same one.
#[derive(Clone, Debug)]
pub struct RabbitMq {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) publishing: Link,
    pub(crate) consuming: Link,
    pub(crate) pool: Pool,
}

impl RabbitMq {
    /// Connects, declares the exchange, and looks whether the user may publish to it.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: each says what is wrong and what cures it.
    pub async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        check(&settings)?;
        let shared = Shared {
            publishing: Link::new(&settings, "publishes")?,
            consuming: Link::new(&settings, "consumes")?,
            pool: Pool { calls: Semaphore::new(CALLS_MAX), channels: Mutex::new(Vec::new()) },
            settings,
        };
        let end = Instant::now() + shared.settings.connect_within;
        let first = shared.publishing.channel_until(end).await.map_err(Trouble::connecting)?;
        shared.declare_exchange().await?;
        let exchange = &shared.settings.exchange;
        let probed = topology::may_write(&first, exchange).await;
        probed.map_err(|trouble| trouble.declaring(exchange))?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The connection over which messages go: for health checks, and screens. One that is lost is
    /// made again with the next message.
    #[must_use]
    pub fn publishing(&self) -> State {
        self.shared.publishing.state()
    }

    /// The connection over which messages come. One that is lost is made again by itself, for as
    /// long as there is a subscription.
    #[must_use]
    pub fn consuming(&self) -> State {
        self.shared.consuming.state()
    }

    /// Ends both connections. What was published and not confirmed may be there or not; what was
    /// delivered and not settled comes again. Subscriptions are closed by themselves, before.
    pub async fn close(&self) {
        self.shared.pool.channels.lock().await.clear();
        self.shared.publishing.close().await;
        self.shared.consuming.close().await;
    }
}

impl Shared {
    pub(crate) async fn declare_exchange(&self) -> Result<(), ConnectError> {
        let exchange = &self.settings.exchange;
        let declared = topology::topic_exchange(&self.publishing, exchange);
        declared.await.map_err(|trouble| trouble.declaring(exchange))
    }
}

fn check(settings: &Settings) -> Result<(), ConnectError> {
    let wrong = |name, why: &str| Err(ConnectError::Setting { name, why: why.to_owned() });
    let length = settings.exchange.len();
    if length == 0 || length > 255 {
        return wrong("exchange", "is a name of 1 to 255 bytes");
    }
    match settings.sharing {
        Sharing::Ordered { queues } if !(1..=topology::SLOTS).contains(&queues) => {
            wrong("sharing", "is of 1 to 16 queues")
        }
        _ => Ok(()),
    }
}

impl Publisher for RabbitMq {
    fn max_bytes(&self) -> u64 {
        self.shared.settings.max_bytes
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(self.shared.publish(batch))
    }
}

impl Consumer for RabbitMq {
    fn consume(
        &self,
        subscription: Subscription,
    ) -> BoxFuture<'_, Result<Box<dyn Deliveries>, ConsumeError>> {
        Box::pin(crate::consume::subscribe(Arc::clone(&self.shared), subscription))
    }
}
