//! Receiving: messages of a broker become events of this store, and then the broker is told.
//!
//! The store is the inbox: a message is appended under its own id to the stream
//! `inbox.NAME-KEY`, so that one that comes again is known, for ever, and messages with one key are
//! in order. It is acknowledged when it is durable. From there on it is an event like any other:
//! handlers ([`AppBuilder::on`]), projections and processes follow it by its type, with their
//! retries, keys and dead letters; none of them knows that it came from a broker.
//!
//! What must hold: nothing is acknowledged that is not durable here, or at the broker's dead
//! letters; nothing that came twice is there twice.

use super::{
    Consumer, Delivered, Deliveries, Message, SettleError, Subscription,
    kept::{self, Kept},
    next_batch,
};
use crate::{
    App, AppBuilder, Metadata,
    consumer::{Either, Stop, race},
    metadata,
    observe::span,
};
use bytes::Bytes;
use factum_core::{
    Append, AppendError, ContentType, EventData, EventStore, EventType, InvalidName, StreamName,
    Uuid,
};
use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// How many messages become one append, at most.
const BATCH_MAX: usize = 256;
/// How often an append is sent, at most, before what it holds is sent back.
const SENDS_MAX: u32 = 8;
/// How long what was handed out is waited for when the app ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);
/// The longest first pause where the broker or the store is away; each further one may be twice as
/// long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The longest pause after a batch of which some could not be put aside: it came back at once.
const LOST_PAUSE: Duration = Duration::from_secs(1);
/// Among how many streams messages without a key are spread.
const KEYLESS: u128 = 64;
/// The type of what came and is no message, where the broker has no place for it.
const MALFORMED: &str = "message.malformed";

/// What a receiver does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ReceiverState {
    /// It has not subscribed yet.
    #[default]
    Starting,
    /// It takes what comes.
    Running,
    /// The broker or the store is away; it tries again.
    Away {
        /// What is known.
        why: String,
    },
    /// The broker refuses the subscription. Mend what is named, and start the app again.
    Stopped {
        /// What is wrong, and the cure.
        why: String,
    },
    /// The app has ended.
    Ended,
}

/// What is known of a receiver.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receiving {
    /// What it does.
    pub state: ReceiverState,
    /// How many messages became events since the app started.
    pub received: u64,
    /// How many came again, and were known.
    pub repeated: u64,
    /// How many were put aside at the broker, or as `message.malformed`: no CloudEvents, or too
    /// large.
    pub refused: u64,
}

/// A receiver that was registered.
pub(crate) struct Receiver {
    name: String,
    consumer: Arc<dyn Consumer>,
    subscription: Subscription,
    status: watch::Sender<Receiving>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AppBuilder {
    /// Takes messages from a broker into the store, each once, in order for each key, under a
    /// pinned name. Several instances of the app with the same name in a shared group divide them.
    ///
    /// ```
    /// use factum_app::{
    ///     App, MemoryStore, OnError,
    ///     bus::Delivery,
    ///     event,
    ///     message::{MemoryBroker, Subscription},
    /// };
    ///
    /// #[event("order.placed")]
    /// struct OrderPlaced { #[tag] order: u32 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// let app = App::builder(MemoryStore::new())
    ///     .receive("orders", broker, Subscription::shared("billing", ["order.*"]))
    ///     .on("bill", OnError::Park, |placed: Delivery<OrderPlaced>| async move {
    ///         println!("order {} is billed", placed.event.order);
    ///         Ok(())
    ///     })
    ///     .start()
    ///     .await?;
    /// # app.stop().await;
    /// # Ok(()) }
    /// ```
    pub fn receive(
        mut self,
        name: impl Into<String>,
        consumer: impl Consumer,
        subscription: Subscription,
    ) -> Self {
        self.receivers.push(Receiver {
            name: name.into(),
            consumer: Arc::new(consumer),
            subscription,
            status: watch::Sender::default(),
        });
        self
    }
}

impl App {
    /// What is known of a receiver, and whatever changes of it; `None` where none has this name.
    #[must_use]
    pub fn receiving(&self, name: &str) -> Option<watch::Receiver<Receiving>> {
        let mut all = self.receivers().iter();
        all.find(|one| one.name == name).map(|one| one.status.subscribe())
    }
}

impl Receiver {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether messages have a place under this name.
    pub(crate) fn check(&self) -> Result<(), InvalidName> {
        stream(&self.name, "x").map(drop)
    }

    fn enter(&self, state: ReceiverState) {
        self.status.send_modify(|status| status.state = state);
    }

    /// Receives until the app ends.
    pub(crate) async fn run(self: Arc<Self>, app: App, stop: Stop) {
        let mut attempt = 0;
        while !stop.is_asked() {
            let subscribed = self.consumer.consume(self.subscription.clone());
            let ended = match race(stop.asked(), subscribed).await {
                Either::First(()) => break,
                Either::Second(Ok(deliveries)) => {
                    self.enter(ReceiverState::Running);
                    let taken = Taken::new(&self, &app, &stop);
                    taken.all(deliveries, &mut attempt).await
                }
                Either::Second(Err(error)) => Err(error.into()),
            };
            let why = match ended {
                Ok(()) => break,
                Err(End::Refused(why)) => {
                    self.enter(ReceiverState::Stopped { why });
                    return stop.asked().await;
                }
                Err(End::Away(why)) => why,
            };
            self.enter(ReceiverState::Away { why });
            race(stop.asked(), app.pause(attempt, PAUSE, PAUSE_MAX)).await;
            attempt += 1;
        }
        self.enter(ReceiverState::Ended);
    }
}

/// Why a subscription ended before the app did.
enum End {
    Away(String),
    Refused(String),
}

impl From<super::ConsumeError> for End {
    fn from(error: super::ConsumeError) -> Self {
        match error {
            super::ConsumeError::Unavailable { .. } => Self::Away(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

/// One subscription.
struct Taken<'a> {
    of: &'a Receiver,
    app: &'a App,
    stop: &'a Stop,
    /// What is in the store, as the broker has no place for it, and comes again.
    kept: Kept,
    /// The broker does not know of one that it was put aside: it came back at once.
    lost: AtomicBool,
}

impl<'a> Taken<'a> {
    fn new(of: &'a Receiver, app: &'a App, stop: &'a Stop) -> Self {
        Self { of, app, stop, kept: Kept::default(), lost: AtomicBool::default() }
    }

    /// Takes batch after batch. Ends with the app, or when the broker or the store is away.
    async fn all(&self, mut deliveries: Box<dyn Deliveries>, attempt: &mut u32) -> Result<(), End> {
        loop {
            let next = next_batch(&mut *deliveries, BATCH_MAX);
            let batch = match race(self.stop.asked(), next).await {
                Either::First(()) => break,
                Either::Second(batch) => batch?,
            };
            let count = batch.len();
            if let Err(why) = span::received(&self.of.name, count, self.batch(batch)).await {
                return Err(End::Away(why));
            }
            *attempt = 0;
            if self.lost.swap(false, Ordering::Relaxed) {
                race(self.stop.asked(), self.app.pause(0, LOST_PAUSE, LOST_PAUSE)).await;
            }
        }
        // What is not settled by then comes again, and is known.
        deliveries.close(CLOSE_WITHIN).await.map(drop).map_err(End::from)
    }

    /// Appends a batch and settles it. The error says why it was sent back.
    async fn batch(&self, batch: Vec<Delivered>) -> Result<(), String> {
        let mut drafts = Vec::with_capacity(batch.len());
        for delivered in batch {
            match self.draft(&delivered) {
                Ok(event) => drafts.push((event, delivered)),
                Err(why) => self.put_aside(delivered, &why).await?,
            }
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let mut known = HashSet::new();
        let events = drafts.iter().map(|(event, _)| event.clone());
        let events: Vec<_> =
            events.filter(|(stream, event)| known.insert((stream.clone(), event.id))).collect();
        let twice = (drafts.len() - events.len()) as u64;
        let several = self.app.store().capabilities().multi_stream;
        let append = Append { events, ..Append::default() };
        if several && self.append(append).await? {
            self.of.status.send_modify(|status| status.repeated += twice);
            for (_, delivered) in drafts {
                // Not heard, it comes again, and is known.
                let _ = delivered.ack().await;
            }
            return Ok(());
        }
        self.one_by_one(drafts).await
    }

    async fn one_by_one(
        &self,
        drafts: Vec<((StreamName, EventData), Delivered)>,
    ) -> Result<(), String> {
        for (event, delivered) in drafts {
            let append = Append { events: vec![event], ..Append::default() };
            match self.append(append).await? {
                true => drop(delivered.ack().await),
                false => self.put_aside(delivered, "the store does not take it").await?,
            }
        }
        Ok(())
    }

    /// Whether it is there now. Not so where some of it was there before, or it is too large.
    async fn append(&self, append: Append) -> Result<bool, String> {
        let count = append.events.len() as u64;
        let receipt = match self.app.send(append, SENDS_MAX).await {
            Ok(receipt) => receipt,
            Err(error) if error.is_retryable() => return Err(error.to_string()),
            Err(AppendError::IdReused { .. } | AppendError::TooLarge { .. }) => return Ok(false),
            Err(error) => return Err(error.to_string()),
        };
        self.of.status.send_modify(|status| match receipt.replayed {
            true => status.repeated += count,
            false => status.received += count,
        });
        Ok(true)
    }

    fn draft(&self, delivered: &Delivered) -> Result<(StreamName, EventData), String> {
        let message = delivered.message.as_ref().map_err(|malformed| malformed.why.clone())?;
        draft(&self.of.name, message).map_err(|error| error.to_string())
    }

    /// What is no message goes to the broker's dead letters; into the store, where it has none.
    async fn put_aside(&self, delivered: Delivered, why: &str) -> Result<(), String> {
        if self.kept.comes_again(&delivered) {
            // Not heard, it comes again, and is put aside once more under the same id.
            let _ = delivered.ack().await;
            return Ok(());
        }
        let bytes = kept::bytes(&delivered);
        self.of.status.send_modify(|status| status.refused += 1);
        match delivered.dead_letter(why).await {
            Ok(()) => Ok(()),
            // It comes again, and is put aside then.
            Err(SettleError::Lost { .. }) => {
                self.lost.store(true, Ordering::Relaxed);
                Ok(())
            }
            // It comes again, and is acknowledged then: it is in the store.
            Err(SettleError::Unsupported { .. }) => {
                let id = self.keep(bytes).await?;
                self.kept.remember(id);
                Ok(())
            }
        }
    }

    /// Appends what is no message, under an id that is the same each time it comes, cut to what the
    /// store takes: its metadata says then how many bytes there were.
    async fn keep(&self, bytes: Bytes) -> Result<Uuid, String> {
        let id = kept::id(&bytes);
        let stream = stream(&self.of.name, "$malformed").map_err(|error| error.to_string())?;
        let name = EventType::new(MALFORMED).expect("it is a name");
        let mut event = EventData::new(id, name, Bytes::new());
        event.content_type = ContentType::Binary;
        let mut known = Metadata::default();
        known.more.insert("bytes".to_owned(), bytes.len().into());
        let known = metadata::to_bytes(&known, 1).unwrap_or_default();
        let limits = self.app.store().capabilities().limits;
        let beside = event.weight() + known.len() + stream.as_str().len();
        let most = limits.append_bytes_max.saturating_sub(beside).min(limits.event_bytes_max);
        if bytes.len() > most {
            event.metadata = known;
        }
        event.data = bytes.slice(..bytes.len().min(most));
        let sent = self.app.send(Append::to(stream, [event]), SENDS_MAX).await;
        sent.map(|_| id).map_err(|error| error.to_string())
    }
}

/// The event that a message becomes.
fn draft(receiver: &str, message: &Message) -> Result<(StreamName, EventData), InvalidName> {
    let id = id(message);
    let key = match &message.key {
        Some(key) => key.clone(),
        None => format!("${}", id.as_u128() % KEYLESS),
    };
    let stream = stream(receiver, &key)?;
    let mut event = EventData::new(id, EventType::new(&message.name)?, message.data.clone());
    if !message.is_json() {
        event.content_type = ContentType::Binary;
    }
    let version = message.extensions.get("schemaversion").and_then(|text| text.parse().ok());
    let mut known = message.metadata();
    known.more.insert("source".to_owned(), message.source.clone().into());
    if let Some(content_type) = message.content_type.as_ref().filter(|_| !message.is_json()) {
        known.more.insert("contentType".to_owned(), content_type.clone().into());
    }
    event.metadata = metadata::to_bytes(&known, version.unwrap_or(1)).unwrap_or_default();
    event.occurred_at = message.time;
    Ok((stream, event))
}

/// An id that is a UUID stays what it is; any other, with its source, is a name for one.
fn id(message: &Message) -> Uuid {
    match message.id.parse() {
        Ok(id) if id != Uuid::nil() => id,
        _ => {
            let name = format!("{}\n{}", message.source, message.id);
            Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
        }
    }
}

/// A category ends at the first `-`, so that a name has none here.
fn stream(receiver: &str, key: &str) -> Result<StreamName, InvalidName> {
    let name = receiver.replace('%', "%25").replace('-', "%2D");
    StreamName::new(&format!("inbox.{name}-{key}"))
}
