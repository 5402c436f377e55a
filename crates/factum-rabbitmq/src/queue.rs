//! One queue, consumed for as long as it is ours: over one channel after the other, as connections
//! are lost and made again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use lapin::{
    message::Delivery,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep,
};

use crate::{
    client::Shared,
    error::{ACCESS_REFUSED, NOT_FOUND, Trouble},
    link::Pauses,
    topology::{Queues, short},
};
use factum_app::message::ConsumeError;

/// What comes out of a subscription's queues.
#[derive(Debug)]
pub(crate) enum Item {
    /// A message, and the channel that it came over.
    Delivery(Box<Delivery>, Arc<Hold>),
    /// Something that does not pass by itself.
    Trouble(ConsumeError),
}

/// What the tasks of a subscription share.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) client: Arc<Shared>,
    pub(crate) queues: Queues,
    /// How many messages the broker gives out of one queue before one is settled.
    pub(crate) prefetch: u16,
    pub(crate) items: mpsc::Sender<Item>,
}

/// The messages that were handed out over one channel: counted, so that a queue is only given up
/// when all of them are settled, and a key never has two instances at work.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    state: Mutex<HoldState>,
    idle: Notify,
}

#[derive(Debug, Default)]
struct HoldState {
    closing: bool,
    out: u64,
}

/// A message that was handed out; dropped when it is settled.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Hold>);

impl Hold {
    /// Unless the queue is being given up.
    pub(crate) fn hand_out(self: &Arc<Self>) -> Option<Ticket> {
        let mut state = self.lock();
        if state.closing {
            return None;
        }
        state.out += 1;
        Some(Ticket(Arc::clone(self)))
    }

    /// Hands out no more, and waits until all that was handed out is settled.
    async fn drain(&self) {
        loop {
            let settled = self.idle.notified();
            if self.close() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Hands out no more; how many are out.
    fn close(&self) -> u64 {
        let mut state = self.lock();
        state.closing = true;
        state.out
    }

    fn lock(&self) -> MutexGuard<'_, HoldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.lock().out -= 1;
        self.0.idle.notify_one();
    }
}

/// Who consumes a queue.
#[derive(Clone, Debug)]
pub(crate) struct Consuming {
    pub(crate) flow: Arc<Flow>,
    pub(crate) queue: String,
    /// Nobody else may; then one who already does is no error, and the end.
    pub(crate) alone: bool,
}

impl Consuming {
    /// Until it is told to stop, or another has the queue. `begun` is told of each beginning.
    pub(crate) async fn run(self, stop: watch::Receiver<bool>, begun: watch::Sender<u64>) {
        let mut pauses = Pauses::default();
        loop {
            let before = *begun.borrow();
            let trouble = match self.serve(stop.clone(), &begun).await {
                Ok(()) => return,
                Err(Trouble::Refused { code: ACCESS_REFUSED, said })
                    if self.alone && said.contains("exclusive") =>
                {
                    return;
                }
                Err(trouble) => trouble,
            };
            if *begun.borrow() != before {
                pauses = Pauses::default();
            }
            if !self.report(trouble).await || pause(&mut pauses, stop.clone()).await {
                return;
            }
        }
    }

    /// Mends what can be mended; tells of what stays. `false` when nobody listens any more.
    async fn report(&self, trouble: Trouble) -> bool {
        let lasting = match trouble {
            Trouble::Away(_) => return true,
            Trouble::Refused { code: NOT_FOUND, .. } => match self.declare().await {
                Ok(()) | Err(Trouble::Away(_)) => return true,
                Err(trouble) => trouble,
            },
            trouble @ Trouble::Refused { .. } => trouble,
        };
        self.flow.items.send(Item::Trouble(lasting.consuming())).await.is_ok()
    }

    /// Somebody deleted the queue, or the broker lost it.
    async fn declare(&self) -> Result<(), Trouble> {
        let channel = self.flow.client.consuming.channel().await?;
        self.flow.queues.declare(&channel).await
    }

    /// Over one channel, for as long as it lasts; `Ok` after it was told to stop.
    async fn serve(
        &self,
        mut stop: watch::Receiver<bool>,
        begun: &watch::Sender<u64>,
    ) -> Result<(), Trouble> {
        let channel = self.flow.client.consuming.channel().await?;
        channel.basic_qos(self.flow.prefetch, BasicQosOptions::default()).await?;
        let options =
            BasicConsumeOptions { exclusive: self.alone, ..BasicConsumeOptions::default() };
        let consume =
            channel.basic_consume(short(&self.queue)?, "".into(), options, FieldTable::default());
        let mut consumer = consume.await?;
        begun.send_modify(|count| *count += 1);
        let hold = Arc::new(Hold::default());
        loop {
            let delivery = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                delivery = consumer.next() => delivery,
            };
            let Some(delivery) = delivery else {
                let said = format!("the broker ended the consumer of {:?}", self.queue);
                return Err(Trouble::Refused { code: NOT_FOUND, said });
            };
            let item = Item::Delivery(Box::new(delivery?), Arc::clone(&hold));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                sent = self.flow.items.send(item) => if sent.is_err() { break },
            }
        }
        hold.drain().await;
        // Closing gives back at once what was not handed out, and the queue to whoever is next.
        let _ = channel.close(200, "done".into()).await;
        Ok(())
    }
}

/// `true` when it was told to stop meanwhile.
async fn pause(pauses: &mut Pauses, mut stop: watch::Receiver<bool>) -> bool {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => true,
        () = sleep(pauses.next()) => false,
    }
}
