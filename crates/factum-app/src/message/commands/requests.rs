//! Who asks: sends commands to other services, and hands each answer to whoever waits for it.
//!
//! Answers come to one topic of this service; each of its instances takes all of them, and leaves
//! alone what it did not ask for.

use super::{ANSWERED, Ask, AskError, IN_REPLY_TO, answer::Told, feed::Feed};
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

/// What is told to whoever waits.
type Said = Result<Told, AskError>;

/// Who waits for an answer.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Places>);

#[derive(Default)]
struct Places {
    /// By the id of the message that asked.
    all: HashMap<String, oneshot::Sender<Said>>,
    /// Why no answer is heard any more.
    deaf: Option<String>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to wait at, if there is one, and answers are heard.
    pub(super) fn enter(self: &Arc<Self>, id: &str, waiting_max: usize) -> Result<Place, AskError> {
        let mut places = self.lock();
        if let Some(why) = &places.deaf {
            return Err(AskError::Deaf { why: why.clone() });
        }
        if places.all.len() >= waiting_max {
            return Err(AskError::Full { waiting_max });
        }
        let (sender, answer) = oneshot::channel();
        places.all.insert(id.to_owned(), sender);
        Ok(Place { id: id.to_owned(), waiting: self.clone(), answer })
    }

    /// No answer is heard any more: tells all who wait, and who comes later.
    fn end(&self, why: &str) {
        let mut places = self.lock();
        places.deaf = Some(why.to_owned());
        for (_, place) in places.all.drain() {
            // Whoever waited may have left.
            let _ = place.send(Err(AskError::Deaf { why: why.to_owned() }));
        }
    }
}

/// Where one waits; left when it is dropped.
pub(super) struct Place {
    id: String,
    waiting: Arc<Waiting>,
    pub(super) answer: oneshot::Receiver<Said>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.lock().all.remove(&self.id);
    }
}

/// Hands out answers until nobody asks any more, or the broker refuses the subscription.
async fn read(mut feed: Feed, waiting: Arc<Waiting>, stop: Stop) {
    loop {
        let delivered = match race(stop.asked(), feed.next(|_| {})).await {
            Either::First(()) => return,
            Either::Second(Ok(delivered)) => delivered,
            Either::Second(Err(error)) => return waiting.end(&error.to_string()),
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
    let Some(place) = waiting.lock().all.remove(id) else { return };
    let unreadable = |error: serde_json::Error| AskError::Unreadable { why: error.to_string() };
    let told = serde_json::from_slice(&message.data).map_err(unreadable);
    // Whoever waited may have left.
    let _ = place.send(told);
}
