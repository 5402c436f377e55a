//! Messages as they come, and leaving.

use crate::{
    dead::DeadLetters,
    options::Options,
    reader::Reader,
    settlement::Settlement,
    shelf::{Next, Shelf, Ticket},
};
use factum_app::{
    message::{Close, ConsumeError, Delivered, Deliveries, SettleError, Subscription},
    world::BoxFuture,
};
use std::{fmt, future::poll_fn, sync::Arc, task::Poll, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

/// Messages of a subscription to Kafka.
///
/// Dropped, it leaves its group in the background: what is settled is committed first.
pub struct KafkaDeliveries {
    shelf: Arc<Shelf>,
    dead: Arc<DeadLetters>,
    deliveries_max: Option<u32>,
    settle_within: Duration,
    /// The thread has ended.
    ended: Option<oneshot::Receiver<()>>,
}

/// How long a message that cannot be put aside waits for the next try.
const AGAIN: Duration = Duration::from_secs(1);
/// How long leaving the group may take.
const LEAVE: Duration = Duration::from_secs(10);

impl KafkaDeliveries {
    pub(crate) fn begin(
        (reader, shelf): (Reader, Arc<Shelf>),
        dead: Arc<DeadLetters>,
        subscription: &Subscription,
        options: &Options,
    ) -> Self {
        let (end, ended) = oneshot::channel();
        std::thread::spawn(move || {
            reader.run();
            // Nobody waits for it after a drop.
            let _ = end.send(());
        });
        Self {
            shelf,
            dead,
            deliveries_max: subscription.deliveries_max,
            settle_within: options.settle_timeout,
            ended: Some(ended),
        }
    }

    pub(crate) async fn take(&mut self) -> Result<Settlement, ConsumeError> {
        loop {
            let shelf = Arc::clone(&self.shelf);
            let mut came = std::pin::pin!(shelf.came().notified());
            came.as_mut().enable();
            let wakes = match shelf.next() {
                Next::Message(ticket) => match self.handed_out(*ticket) {
                    Some(settlement) => return Ok(settlement),
                    None => continue,
                },
                Next::Wrong(wrong) => return Err(wrong),
                Next::Nothing(wakes) => wakes,
            };
            match wakes {
                None => came.await,
                Some(at) => {
                    let left = at.saturating_duration_since(std::time::Instant::now());
                    // Late or not, it is looked again.
                    let _ = timeout(left, came).await;
                }
            }
        }
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The next message, and what is there with it: so many at most.
    pub(crate) async fn take_some(&mut self, most: usize) -> Result<Vec<Settlement>, ConsumeError> {
        let mut some = vec![self.take().await?];
        while some.len() < most {
            let mut next = std::pin::pin!(self.take());
            match poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
                Poll::Ready(one) => some.push(one?),
                Poll::Pending => break,
            }
        }
        Ok(some)
    }

    /// A message that may be handed out; one that was too often is put aside, beside what comes:
    /// whoever waits for the next may stop waiting at any time.
    fn handed_out(&self, ticket: Ticket) -> Option<Settlement> {
        let attempt = ticket.pick.attempt;
        let (shelf, dead) = (Arc::clone(&self.shelf), Arc::clone(&self.dead));
        let settlement = Settlement::new(ticket, Arc::clone(&shelf), dead, self.settle_within);
        let Some(max) = self.deliveries_max.filter(|max| attempt > *max) else {
            return Some(settlement);
        };
        tokio::spawn(async move {
            let why = format!("handed out {max} times, and never acknowledged");
            match settlement.dead.put(&settlement.ticket, &why).await {
                // Where the broker does not know, it comes again, and is put aside again.
                Ok(()) => _ = settlement.settle().await,
                Err(error) => {
                    let _ = settlement.give_back(AGAIN);
                    if let SettleError::Unsupported { what } = error {
                        shelf.say(ConsumeError::Unsupported { what });
                    }
                }
            }
        });
        None
    }

    pub(crate) async fn leave(mut self, within: Duration) -> Result<Close, ConsumeError> {
        let until = Instant::now() + within;
        let shelf = Arc::clone(&self.shelf);
        shelf.close();
        while shelf.out() > 0 && Instant::now() < until {
            let mut settled = std::pin::pin!(shelf.came().notified());
            settled.as_mut().enable();
            if shelf.out() > 0 {
                let _ = timeout(until.saturating_duration_since(Instant::now()), settled).await;
            }
        }
        let unsettled = shelf.out() as u64;
        shelf.stop();
        let ended = self.ended.take();
        let Some(ended) = ended else { return Ok(Close { unsettled }) };
        match timeout(LEAVE, ended).await {
            Ok(_) => Ok(Close { unsettled }),
            Err(_) => {
                let why = format!("it did not let the group be left within {LEAVE:?}");
                Err(ConsumeError::Unavailable { why })
            }
        }
    }
}

impl Deliveries for KafkaDeliveries {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivered, ConsumeError>> {
        Box::pin(async {
            let settlement = self.take().await?;
            let Ticket { place: (topic, _), pick, .. } = &settlement.ticket;
            let (topic, attempt) = (topic.clone(), pick.attempt);
            let message = pick.record.message();
            Ok(Delivered { topic, message, attempt, settle: Box::new(settlement) })
        })
    }

    fn close(self: Box<Self>, within: Duration) -> BoxFuture<'static, Result<Close, ConsumeError>> {
        Box::pin(self.leave(within))
    }
}

impl Drop for KafkaDeliveries {
    fn drop(&mut self) {
        self.shelf.stop();
    }
}

impl fmt::Debug for KafkaDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaDeliveries").field("out", &self.shelf.out()).finish()
    }
}
