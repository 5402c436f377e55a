//! Who asks: sends commands to other services, and hands each answer to whoever waits for it.
//!
//! Answers come to one topic of this service; each of its instances takes all of them, and leaves
//! alone what it did not ask for.

use super::{ANSWERED, Ask, IN_REPLY_TO, answer::Told, feed::Feed};
use crate::{
    Command,
    consumer::{Either, Stop, race},
    message::{ConsumeError, Consumer, Delivered, Publisher, Subscription},
    world::World,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// How commands are sent.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "settings are for `start`"]
pub struct RequestSettings {
    /// Who asks, a URI reference: `/orders`. With the id it is which command one is.
    pub source: String,
    /// Where answers go.
    pub reply_to: String,
    /// How long an answer is waited for, unless it is said with the command; 30 s.
    pub within: Duration,
    /// How many commands may wait for an answer; 10,000.
    pub waiting_max: usize,
}

impl RequestSettings {
    /// Waits so long for an answer, unless it is said with the command.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// So many commands may wait for an answer.
    pub fn waiting_max(self, waiting_max: usize) -> Self {
        Self { waiting_max, ..self }
    }

    /// Subscribes to the answers.
    ///
    /// # Errors
    ///
    /// Nobody can subscribe. Where the broker is away, try again.
    pub async fn start(
        self,
        world: Arc<dyn World>,
        publisher: impl Publisher,
        consumer: impl Consumer,
    ) -> Result<Requests, ConsumeError> {
        let subscription = Subscription::broadcast([self.reply_to.clone()]);
        let mut feed = Feed::new(world.clone(), Arc::new(consumer), subscription);
        feed.open().await?;
        let (ended, stop) = watch::channel(false);
        let waiting = Arc::<Waiting>::default();
        world.spawn(Box::pin(read(feed, waiting.clone(), Stop(stop))));
        let publisher: Arc<dyn Publisher> = Arc::new(publisher);
        let inner = Inner { world, publisher, settings: self, waiting, _ended: ended };
        Ok(Requests(Arc::new(inner)))
    }
}

/// The way to other services. Clones share it; it ends with the last.
#[derive(Clone)]
pub struct Requests(Arc<Inner>);

pub(super) struct Inner {
    pub(super) world: Arc<dyn World>,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) settings: RequestSettings,
    pub(super) waiting: Arc<Waiting>,
    /// With it the task that reads answers ends.
    _ended: watch::Sender<bool>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Requests").field(&self.0.settings).finish()
    }
}

impl Requests {
    /// Those of a service, `/orders`, whose answers go to this topic.
    #[allow(clippy::new_ret_no_self, reason = "it is one when it is subscribed: `start`")]
    pub fn new(source: impl Into<String>, reply_to: impl Into<String>) -> RequestSettings {
        RequestSettings {
            source: source.into(),
            reply_to: reply_to.into(),
            within: Duration::from_secs(30),
            waiting_max: 10_000,
        }
    }

    /// Sends a command to a topic when it is awaited, and waits for its answer.
    pub fn ask<C: Command>(&self, topic: impl Into<String>, command: C) -> Ask<C> {
        Ask::new(self.clone(), topic.into(), command)
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

/// Who waits for an answer, by the id of the message that asked.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<String, oneshot::Sender<Result<Told, String>>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Result<Told, String>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to wait at, if there is one.
    pub(super) fn enter(self: &Arc<Self>, id: &str, most: usize) -> Option<Place> {
        let mut all = self.lock();
        if all.len() >= most {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        all.insert(id.to_owned(), sender);
        Some(Place { id: id.to_owned(), waiting: self.clone(), answer })
    }
}

/// Where one waits; left when it is dropped.
pub(super) struct Place {
    id: String,
    waiting: Arc<Waiting>,
    pub(super) answer: oneshot::Receiver<Result<Told, String>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.id);
    }
}

/// Hands out answers until nobody asks any more.
async fn read(mut feed: Feed, waiting: Arc<Waiting>, stop: Stop) {
    loop {
        let Either::Second(Ok(delivered)) = race(stop.asked(), feed.next(|_| {})).await else {
            return;
        };
        hand_over(&waiting, &delivered);
        // What is not known to have been taken comes again, and nobody waits for it then.
        let _ = delivered.ack().await;
    }
}

fn hand_over(waiting: &Waiting, delivered: &Delivered) {
    let Ok(message) = &delivered.message else { return };
    let Some(id) = message.extensions.get(IN_REPLY_TO).filter(|_| message.name == ANSWERED) else {
        return;
    };
    // Too late, or for another instance.
    let Some(place) = waiting.lock().remove(id) else { return };
    let told = serde_json::from_slice(&message.data).map_err(|error| error.to_string());
    // Whoever waited may have left.
    let _ = place.send(told);
}
