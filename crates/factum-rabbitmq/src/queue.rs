//! One queue, consumed for as long as it is ours: over one channel after the other, as connections
//! are lost and made again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use lapin::{
    Channel, Consumer,
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
    error::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, Trouble},
    link::Pauses,
    topology::{Queues, owner, short},
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

/// Whether a subscription, or one of its queues, goes on. Its tasks are never ended from outside: a
/// consumer that is just being made would stay at the broker, and keep others out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Going {
    On,
    /// Until what was handed out is settled.
    Draining,
    /// What was handed out comes again.
    Ending,
}

impl Going {
    pub(crate) fn is_over(&self) -> bool {
        *self != Self::On
    }
}

/// What the tasks of a subscription share.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) client: Arc<Shared>,
    pub(crate) queues: Queues,
    /// How many messages the broker gives out of one queue before one is settled: all that may be
    /// handed out, as they may all be of one key.
    pub(crate) prefetch: u16,
    pub(crate) items: mpsc::Sender<Item>,
}

/// The messages that were handed out over one channel: counted, so that a queue is only given up
/// when all of them are settled, and a key never has two instances at work.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    state: Mutex<HoldState>,
    idle: Notify,
    closing: Notify,
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
        self.closing.notify_waiters();
        state.out
    }

    fn lock(&self) -> MutexGuard<'_, HoldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Waits until the queue is being given up.
    pub(crate) async fn given_up(&self) {
        // Before the look: what is told from here on is not missed.
        let closing = self.0.closing.notified();
        if !self.0.lock().closing {
            closing.await;
        }
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
    pub(crate) async fn run(self, going: watch::Receiver<Going>, begun: watch::Sender<u64>) {
        let mut pauses = Pauses::default();
        loop {
            let before = *begun.borrow();
            let trouble = match self.serve(going.clone(), &begun).await {
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
            if !self.report(trouble).await || pause(&mut pauses, going.clone()).await {
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
        mut going: watch::Receiver<Going>,
        begun: &watch::Sender<u64>,
    ) -> Result<(), Trouble> {
        let mut open = self.open().await?;
        begun.send_modify(|count| *count += 1);
        let hold = Arc::new(Hold::default());
        loop {
            let delivery = tokio::select! {
                biased;
                _ = going.wait_for(Going::is_over) => break,
                delivery = open.consumer.next() => delivery,
            };
            let Some(delivery) = delivery else {
                let said = format!("the broker ended the consumer of {:?}", self.queue);
                return Err(Trouble::Refused { code: NOT_FOUND, said });
            };
            let delivery = delivery.map_err(while_consuming)?;
            let item = Item::Delivery(Box::new(delivery), Arc::clone(&hold));
            tokio::select! {
                _ = going.wait_for(Going::is_over) => break,
                sent = self.flow.items.send(item) => if sent.is_err() { break },
            }
        }
        tokio::select! {
            () = hold.drain() => {}
            _ = going.wait_for(|going| *going == Going::Ending) => {}
        }
        open.close().await;
        Ok(())
    }

    async fn open(&self) -> Result<Open, Trouble> {
        let channel = self.flow.client.consuming.channel().await?;
        // First: whoever has this one, has the other until all that it handed out is back.
        let owner = match self.alone {
            true => Some(consume(&channel, &owner(&self.queue), true).await?),
            false => None,
        };
        channel.basic_qos(self.flow.prefetch, BasicQosOptions::default()).await?;
        let consumer = consume(&channel, &self.queue, false).await?;
        Ok(Open { channel, consumer, owner })
    }
}

/// A channel, and who consumes over it. It is closed before they end: one that is cancelled keeps
/// what it was given, and the next one would get what comes behind that.
struct Open {
    channel: Channel,
    consumer: Consumer,
    owner: Option<Consumer>,
}

impl Open {
    /// Gives back at once what was not handed out, and the queue to whoever is next.
    async fn close(&self) {
        // One that is lost already cannot be closed, and need not.
        let _ = self.channel.close(200, "done".into()).await;
    }
}

/// Where its task was ended in the middle.
impl Drop for Open {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.channel.status().connected() {
            let kept = (self.channel.clone(), self.consumer.clone(), self.owner.take());
            runtime.spawn(async move {
                let _ = kept.0.close(200, "dropped".into()).await;
                drop(kept);
            });
        }
    }
}

async fn consume(channel: &Channel, queue: &str, exclusive: bool) -> Result<Consumer, Trouble> {
    let options = BasicConsumeOptions { exclusive, ..BasicConsumeOptions::default() };
    let begun = channel.basic_consume(short(queue)?, "".into(), options, FieldTable::default());
    Ok(begun.await?)
}

/// What ended a channel that consumed already. There a 406 is not about a queue of another form: a
/// message was held for longer than the broker's `consumer_timeout` (half an hour), and comes again
/// over the next channel.
fn while_consuming(error: lapin::Error) -> Trouble {
    match Trouble::from(error) {
        Trouble::Refused { code: PRECONDITION_FAILED, said } => Trouble::Away(said),
        other => other,
    }
}

/// `true` when it was told to stop meanwhile.
async fn pause(pauses: &mut Pauses, mut going: watch::Receiver<Going>) -> bool {
    tokio::select! {
        _ = going.wait_for(Going::is_over) => true,
        () = sleep(pauses.next()) => false,
    }
}
