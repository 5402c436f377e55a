//! Subscribing, and messages as they come.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use factum_app::{
    message::{Close, ConsumeError, Delivered, Deliveries, Group, Subscription},
    world::BoxFuture,
};
use lapin::{message::Delivery, types::FieldTable};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    Sharing,
    balance::Balance,
    binding::{decode, integer},
    client::Shared,
    error::Trouble,
    link::random,
    queue::{Consuming, Flow, Going, Item},
    settle::{Out, Unsettled},
    topology::{Kind, Queues},
};

/// Messages between a queue's task and `next`, besides those that the driver has read ahead.
const ITEMS_MAX: usize = 16;
/// How long subscribing waits for this instance's share of the queues: another one first settles
/// what it handed out. Its share comes all the same, later.
const SHARE_LIMIT: Duration = Duration::from_secs(3);
/// How long closing waits for the broker, when what was handed out is given up.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// Declares what is needed, begins to consume, and waits until that has begun.
pub(crate) async fn subscribe(
    client: Arc<Shared>,
    subscription: Subscription,
) -> Result<Box<dyn Deliveries>, ConsumeError> {
    let queues = queues(&client, &subscription)?;
    let end = Instant::now() + client.settings.connect_within;
    let channel = client.consuming.channel_until(end).await.map_err(Trouble::consuming)?;
    queues.declare(&channel).await.map_err(Trouble::consuming)?;
    let (items, received) = mpsc::channel(ITEMS_MAX);
    let (told, going) = watch::channel(Going::On);
    let prefetch = subscription.prefetch.max(1);
    let group = queues.group().map(str::to_owned);
    let flow = Flow { client: Arc::clone(&client), prefetch, items, queues };
    let (ready, task) = start(Arc::new(flow), going);
    let mut messages = Messages {
        client,
        group,
        received,
        first: None,
        handed_out: Arc::new(Semaphore::new(prefetch.into())),
        closed: Arc::new(AtomicBool::new(false)),
        prefetch,
        told,
        task,
    };
    messages.wait_until_begun(ready).await?;
    Ok(Box::new(messages))
}

fn queues(client: &Shared, subscription: &Subscription) -> Result<Queues, ConsumeError> {
    let unsupported = |what: &str| Err(ConsumeError::Unsupported { what: what.to_owned() });
    let deliveries_max = subscription.deliveries_max;
    let kind = match (&subscription.group, client.settings.sharing) {
        (Group::Broadcast, _) if deliveries_max.is_some() => {
            return unsupported("count the deliveries of what is broadcast: share it in a group");
        }
        // Not an exclusive queue of the protocol: that one would be gone with its connection, and
        // what was not acknowledged with it. Nobody else knows this name.
        (Group::Broadcast, _) => {
            let queue = format!("factum.broadcast.{:016x}{:016x}", random(), random());
            Kind::Broadcast { queue }
        }
        (Group::Shared(group), Sharing::Ordered { queues }) => {
            Kind::Ordered { group: group.clone(), queues, deliveries_max }
        }
        (Group::Shared(group), Sharing::Unordered) => {
            Kind::Unordered { group: group.clone(), deliveries_max }
        }
    };
    let (exchange, topics) = (client.settings.exchange.clone(), subscription.topics.clone());
    Ok(Queues { exchange, topics, kind })
}

/// The task behind a subscription, and what it says when it has begun.
fn start(
    flow: Arc<Flow>,
    going: watch::Receiver<Going>,
) -> (watch::Receiver<bool>, JoinHandle<()>) {
    let (settled, ready) = watch::channel(false);
    let (begun, mut begins) = watch::channel(0);
    let group = match &flow.queues.kind {
        Kind::Ordered { group, .. } => Some(group.clone()),
        _ => None,
    };
    let task = match (group, flow.queues.names().into_iter().next()) {
        (Some(group), _) => {
            let balance = Balance::new(flow, group, begun);
            tokio::spawn(balance.run(going, settled))
        }
        (None, queue) => {
            let queue = queue.unwrap_or_default();
            let consuming = Consuming { flow, queue, alone: false };
            tokio::spawn(async move {
                let begin = async {
                    if begins.wait_for(|count| *count > 0).await.is_ok() {
                        settled.send_replace(true);
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = consuming.run(going, begun) => {}
                    () = begin => {}
                }
            })
        }
    };
    (ready, task)
}

struct Messages {
    client: Arc<Shared>,
    group: Option<String>,
    received: mpsc::Receiver<Item>,
    /// What came while subscribing waited.
    first: Option<Item>,
    handed_out: Arc<Semaphore>,
    closed: Arc<AtomicBool>,
    prefetch: u16,
    told: watch::Sender<Going>,
    task: JoinHandle<()>,
}

impl Messages {
    async fn wait_until_begun(
        &mut self,
        mut ready: watch::Receiver<bool>,
    ) -> Result<(), ConsumeError> {
        let begun = timeout(SHARE_LIMIT, async {
            tokio::select! {
                _ = ready.wait_for(|ready| *ready) => None,
                first = self.received.recv() => first,
            }
        });
        match begun.await {
            Ok(Some(Item::Trouble(error))) => Err(error),
            Ok(first) => {
                self.first = first;
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    async fn take(&mut self) -> Result<Delivered, ConsumeError> {
        let handed_out = Arc::clone(&self.handed_out);
        let permit = handed_out.acquire_owned().await.map_err(|_| ended())?;
        loop {
            let item = match self.first.take() {
                Some(item) => item,
                None => self.received.recv().await.ok_or_else(ended)?,
            };
            let (delivery, hold) = match item {
                Item::Delivery(delivery, hold) => (delivery, hold),
                Item::Trouble(error) => return Err(error),
            };
            // Of a connection that was lost, or a queue that is given up: it comes again.
            if !delivery.acker.usable() {
                continue;
            }
            if let Some(ticket) = hold.hand_out() {
                return Ok(self.deliver(delivery, Out { _permit: permit, ticket }));
            }
        }
    }

    fn deliver(&self, mut delivery: Box<Delivery>, out: Out) -> Delivered {
        let attempt = attempt(&delivery);
        let body = Bytes::from(std::mem::take(&mut delivery.data));
        let (client, group) = (Arc::clone(&self.client), self.group.clone());
        let closed = Arc::clone(&self.closed);
        let out = Some(out);
        Delivered {
            topic: delivery.routing_key.to_string(),
            message: decode(&delivery.properties, body.clone()),
            attempt,
            settle: Box::new(Unsettled { delivery, body, attempt, group, client, closed, out }),
        }
    }
}

impl Deliveries for Messages {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>> {
        Box::pin(self.take())
    }

    fn close(
        mut self: Box<Self>,
        within: Duration,
    ) -> BoxFuture<'static, Result<Close, ConsumeError>> {
        Box::pin(async move {
            self.told.send_replace(Going::Draining);
            // What is still on its way is not handed out, so it comes again.
            self.received.close();
            let drained = timeout(within, &mut self.task).await;
            self.closed.store(true, Ordering::Release);
            let settled = self.handed_out.available_permits();
            let unsettled = usize::from(self.prefetch).saturating_sub(settled);
            if drained.is_err() {
                self.told.send_replace(Going::Ending);
                let _ = timeout(LEAVE_LIMIT, &mut self.task).await;
            }
            Ok(Close { unsettled: unsettled as u64 })
        })
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Its task closes its channels, and what was not settled comes again.
        self.told.send_replace(Going::Ending);
    }
}

/// How often it was handed out: a quorum queue counts how often it came back.
fn attempt(delivery: &Delivery) -> u32 {
    let headers = delivery.properties.headers().iter().flat_map(FieldTable::inner);
    let mut counts = headers.filter(|(name, _)| name.as_str() == "x-delivery-count");
    let count = counts.find_map(|(_, value)| integer(value));
    let count = count.unwrap_or_else(|| i64::from(delivery.redelivered));
    u32::try_from(count).unwrap_or(0).saturating_add(1)
}

fn ended() -> ConsumeError {
    ConsumeError::Unavailable { why: "the subscription is closed".to_owned() }
}
