//! How a message that was handed out is settled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use factum_app::{
    message::{Settle, SettleError},
    world::BoxFuture,
};
use lapin::{
    Acker,
    message::Delivery,
    options::{BasicAckOptions, BasicNackOptions},
    types::AMQPValue,
};
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use crate::{binding::Encoded, client::Shared, queue::Ticket, topology};

/// A message is held back here for so long at most; the broker takes back what is not settled in
/// half an hour, and the channel with it.
const SEND_BACK_MAX: Duration = Duration::from_secs(600);

/// What a dead letter says about itself.
pub(crate) const DEAD_WHY: &str = "factum-dead-why";
pub(crate) const DEAD_TOPIC: &str = "factum-dead-topic";
pub(crate) const DEAD_ATTEMPT: &str = "factum-dead-attempt";

/// One delivery; dropped unsettled, it is sent back.
#[derive(Debug)]
pub(crate) struct Unsettled {
    /// Without its payload.
    pub(crate) delivery: Box<Delivery>,
    pub(crate) body: Bytes,
    pub(crate) attempt: u32,
    /// Whose dead letters it may go to.
    pub(crate) group: Option<String>,
    pub(crate) client: Arc<Shared>,
    /// The subscription is: its channels are being closed, and the broker takes back all of them.
    pub(crate) closed: Arc<AtomicBool>,
    pub(crate) out: Option<Out>,
}

/// Its places among what is handed out: in the subscription's limit, and in its channel's count.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) _permit: OwnedSemaphorePermit,
    pub(crate) ticket: Ticket,
}

impl Settle for Unsettled {
    fn ack(mut self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move { self.acknowledge().await })
    }

    fn send_back(
        mut self: Box<Self>,
        after: Duration,
    ) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move {
            let Some(out) = self.out.take() else { return told(Ok(false)) };
            let acker = self.delivery.acker.clone();
            self.is_ours()?;
            if after.is_zero() {
                return told(send_back(&acker).await);
            }
            // RabbitMQ cannot wait, so this instance does; when it ends meanwhile, the message
            // comes again sooner, and is not lost.
            tokio::spawn(async move {
                tokio::select! {
                    () = sleep(after.min(SEND_BACK_MAX)) => {
                        let _ = send_back(&acker).await;
                    }
                    // Nobody who leaves waits for this one: it goes back with the channel, which is
                    // closed next. Sent back before, it would come here once more, and be counted.
                    () = out.ticket.given_up() => {}
                }
                drop(out);
            });
            Ok(())
        })
    }

    fn dead_letter(
        mut self: Box<Self>,
        why: String,
    ) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(async move {
            let Some(group) = self.group.clone() else {
                let what = "put aside what was broadcast: it has no queue for dead letters";
                return Err(SettleError::Unsupported { what: what.to_owned() });
            };
            let put = self.client.put(&topology::dead(&group), self.letter(why)).await;
            // It is still at the broker, and comes again.
            put.map_err(|error| SettleError::Lost { why: error.to_string() })?;
            self.acknowledge().await
        })
    }
}

impl Unsettled {
    async fn acknowledge(&mut self) -> Result<(), SettleError> {
        let _out = self.out.take();
        self.is_ours()?;
        told(self.delivery.acker.ack(BasicAckOptions::default()).await)
    }

    fn is_ours(&self) -> Result<(), SettleError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(SettleError::Lost { why: "the subscription was closed".to_owned() });
        }
        if !self.delivery.acker.usable() {
            return told(Ok(false));
        }
        Ok(())
    }

    /// It with all that it had, and why it is put aside.
    fn letter(&self, why: String) -> Encoded {
        let mut headers = self.delivery.properties.headers().clone().unwrap_or_default();
        let topic = self.delivery.routing_key.to_string();
        headers.insert(DEAD_WHY.into(), AMQPValue::LongString(why.into()));
        headers.insert(DEAD_TOPIC.into(), AMQPValue::LongString(topic.into()));
        headers.insert(DEAD_ATTEMPT.into(), AMQPValue::LongLongInt(self.attempt.into()));
        let properties = self.delivery.properties.clone().with_headers(headers);
        Encoded { properties, body: self.body.clone() }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        let Some(out) = self.out.take() else { return };
        // Without a runtime the channel is gone too, and the broker takes the message back.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let acker = self.delivery.acker.clone();
        runtime.spawn(async move {
            let _ = send_back(&acker).await;
            drop(out);
        });
    }
}

async fn send_back(acker: &Acker) -> lapin::Result<bool> {
    acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await
}

fn told(outcome: lapin::Result<bool>) -> Result<(), SettleError> {
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err(SettleError::Lost { why: "its connection was lost".to_owned() }),
        Err(error) => Err(SettleError::Lost { why: error.to_string() }),
    }
}
