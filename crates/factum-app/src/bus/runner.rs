//! A running handler: a batch of events is handled side by side, those with one key one after the
//! other; then its place in the store is durable, and the next batch comes.
//!
//! What must hold: the place never moves past an event that was neither handled nor kept as a dead
//! letter; and one key, however slow or broken, loses nothing of another.

use super::{
    Letters,
    checkpoint::Checkpoint,
    delivery::{Delivery, Handle, HandlerError},
};
use crate::{
    App, AppBuilder, Envelope,
    consumer::{
        Commit, EventError, Failure, Finally, Handler, OnError, Options, Spec, StartError, caught,
    },
    describe::Kind,
    event::{Decoder, EventSet, Raw},
    observe::{TraceContext, meter::DeliveryMeter, span},
    personal::Keys,
};
use factum_core::{Check, Position, RecordedEvent, StreamName};
use std::{
    collections::HashMap,
    marker::PhantomData,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument, Span};

/// How many keys are handled side by side, at most.
pub(crate) const LANES_MAX: usize = 64;
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl AppBuilder {
    /// Registers a handler of events, or a [`super::Mediator`] of several, with what becomes of an
    /// event that it cannot handle.
    ///
    /// ```
    /// use factum_app::{App, MemoryStore, OnError, bus::Delivery, event};
    ///
    /// #[event("order.placed")]
    /// struct OrderPlaced { #[tag] order: u32 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder(MemoryStore::new())
    ///     .on("mail", OnError::Park, |placed: Delivery<OrderPlaced>| async move {
    ///         println!("order {} was placed", placed.event.order);
    ///         Ok(())
    ///     })
    ///     .start()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn on<E: EventSet>(
        mut self,
        name: impl Into<String>,
        options: impl Into<Options>,
        handler: impl Handle<E>,
    ) -> Self {
        let name = name.into();
        self.registered.follow::<E>(&name, 1, Kind::Handler);
        self.handle(name, options.into(), handler)
    }

    /// The same, whatever it is described as.
    pub(crate) fn handle<E: EventSet>(
        self,
        name: String,
        options: Options,
        handler: impl Handle<E>,
    ) -> Self {
        let named = |source| StartError::Name { name: name.clone(), source };
        let spec = StreamName::new(&format!("deadletters.{name}-x"))
            .and_then(|_| Spec::of::<E>(name.clone(), 1, &options))
            .map_err(named);
        let policy = options.on_error;
        self.plan(spec, move |app| Runner::new(app, &name, policy, handler))
    }
}

/// An event that waits to be handled.
struct Item<E> {
    envelope: Envelope<E>,
    part: usize,
}

/// What handles.
struct Hands<E, H> {
    app: App,
    name: Arc<str>,
    policy: OnError,
    handler: Arc<H>,
    meter: Arc<DeliveryMeter>,
    marker: PhantomData<fn(E)>,
}

impl<E, H> Clone for Hands<E, H> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            name: self.name.clone(),
            policy: self.policy,
            handler: self.handler.clone(),
            meter: self.meter.clone(),
            marker: PhantomData,
        }
    }
}

/// Events with one key, in order.
struct Lane<E> {
    key: String,
    items: Vec<Item<E>>,
}

/// What became of a lane: how many were handled, and why the next one was not.
struct Done<E> {
    lane: Lane<E>,
    handled: usize,
    error: Option<HandlerError>,
}

/// A handler that runs.
struct Runner<E, H> {
    hands: Hands<E, H>,
    letters: Letters,
    /// In the order in which they came first.
    waiting: Vec<Lane<E>>,
    lanes: HashMap<String, usize>,
    place: Checkpoint,
}

impl<E: EventSet, H: Handle<E>> Hands<E, H> {
    /// Handles a lane until one fails for good.
    async fn lane(&self, lane: Lane<E>) -> Done<E> {
        for (handled, item) in lane.items.iter().enumerate() {
            if let Err(error) = self.one(item, &lane.key).await {
                return Done { handled, error: Some(error), lane };
            }
        }
        Done { handled: lane.items.len(), error: None, lane }
    }

    /// Handles an event, and tells of it.
    async fn one(&self, item: &Item<E>, key: &str) -> Result<(), HandlerError> {
        let begun = self.app.world().now();
        let span = span::delivery(&self.name, key, &item.envelope);
        let trace = self.app.begun_with(&span, &item.envelope);
        let done = self.tried(item, key, trace).instrument(span.clone()).await;
        self.meter.count(done.is_ok(), begun, self.app.world().now());
        match &done {
            Ok(()) => span::end(&span, "handled"),
            Err(error) => span::failed(&span, "failed", error),
        }
        done
    }

    async fn tried(
        &self,
        item: &Item<E>,
        key: &str,
        trace: Option<TraceContext>,
    ) -> Result<(), HandlerError> {
        let mut attempt = 1;
        loop {
            Span::current().record("attempts", attempt);
            let mut delivery = self.delivery(item, key, attempt);
            delivery.metadata = delivery.metadata.within(trace.clone());
            let done = caught(self.handler.handle(delivery)).await;
            let error = match done {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(why) => HandlerError { retryable: true, why },
            };
            match self.policy {
                OnError::Retry { attempts, first, .. }
                    if error.retryable && attempt <= attempts =>
                {
                    self.meter.retries.increment(1);
                    tracing::warn!(target: "factum", attempt, error = %error, "is tried again");
                    self.rest(attempt, first).await;
                    attempt += 1;
                }
                _ => return Err(error),
            }
        }
    }

    async fn rest(&self, attempt: u32, first: Duration) {
        let longest = first.saturating_mul(1 << (attempt - 1).min(16)).min(PAUSE_MAX);
        self.app.world().sleep(longest).await;
    }

    fn delivery(&self, item: &Item<E>, key: &str, attempt: u32) -> Delivery<E> {
        let Item { envelope, part } = item;
        Delivery {
            event: envelope.event.clone(),
            message: format!("{}.{part}", envelope.position()),
            key: key.to_owned(),
            id: envelope.id(),
            recorded_at: envelope.recorded_at(),
            metadata: envelope.metadata(),
            attempt,
            handler: self.name.clone(),
            app: self.app.clone(),
            commands: AtomicU32::new(0),
            recorded: Some(envelope.recorded().clone()),
        }
    }

    fn key_of(&self, envelope: &Envelope<E>) -> String {
        let key = self.handler.key(&envelope.event);
        key.unwrap_or_else(|| envelope.stream().to_string())
    }
}

impl<E: EventSet, H: Handle<E>> Runner<E, H> {
    fn new(app: &App, name: &str, policy: OnError, handler: H) -> Self {
        Self {
            letters: Letters::new(app.clone(), name),
            place: Checkpoint::new(app.clone(), name),
            hands: Hands {
                app: app.clone(),
                name: name.into(),
                policy,
                handler: Arc::new(handler),
                meter: Arc::new(DeliveryMeter::new(name)),
                marker: PhantomData,
            },
            waiting: Vec::new(),
            lanes: HashMap::new(),
        }
    }

    /// Handles what waits, side by side. Answers where it has to stop, and why.
    async fn work(&mut self) -> Result<Option<EventError>, Failure> {
        let lanes = std::mem::take(&mut self.waiting);
        self.lanes.clear();
        let count = lanes.len().max(1);
        let (sender, mut receiver) = mpsc::channel(count);
        let room = Arc::new(Semaphore::new(LANES_MAX));
        for lane in lanes {
            let permit = room.clone().acquire_owned().await.map_err(Failure::fatal)?;
            let (hands, sender) = (self.hands.clone(), sender.clone());
            self.hands.app.world().spawn(Box::pin(async move {
                let done = hands.lane(lane).await;
                drop(permit);
                // Who waits may be gone, with the app.
                let _ = sender.send(done).await;
            }));
        }
        drop(sender);
        let mut stop: Option<EventError> = None;
        while let Some(done) = receiver.recv().await {
            let Some(error) = self.settle(done)? else { continue };
            let earlier = stop.as_ref().is_none_or(|known| error.position < known.position);
            stop = if earlier { Some(error) } else { stop };
        }
        Ok(stop)
    }

    /// What becomes of the rest of a lane. Answers the error where the policy is to stop.
    fn settle(&mut self, done: Done<E>) -> Result<Option<EventError>, Failure> {
        let Done { lane, handled, error } = done;
        let (Some(error), Some(failed)) = (error, lane.items.get(handled)) else {
            return Ok(None);
        };
        let event = failed.envelope.recorded();
        let error = about(event, &lane.key, error);
        match self.hands.policy.finally() {
            Finally::Stop => return Ok(Some(error)),
            Finally::Park => {
                self.letters.add(event, &error)?;
                for item in lane.items.iter().skip(handled + 1) {
                    self.letters.hold(item.envelope.recorded(), &lane.key)?;
                }
            }
            Finally::Skip => {
                for item in lane.items.into_iter().skip(handled + 1) {
                    self.wait(item, lane.key.clone());
                }
            }
        }
        Ok(None)
    }

    fn wait(&mut self, item: Item<E>, key: String) {
        let at = *self.lanes.entry(key.clone()).or_insert_with(|| {
            self.waiting.push(Lane { key, items: Vec::new() });
            self.waiting.len() - 1
        });
        if let Some(lane) = self.waiting.get_mut(at) {
            lane.items.push(item);
        }
    }

    /// Hands over the dead letters that somebody wants to be, lane by lane, until one fails again.
    async fn replay(&mut self) -> Result<(), Failure> {
        for (lane, events) in self.letters.take_released() {
            for event in events {
                match self.again(&event).await {
                    Ok(()) => self.letters.settle(&lane, event.position())?,
                    Err(error) => {
                        self.letters.failed_again(&lane, &event, error.why)?;
                        break;
                    }
                }
            }
            self.letters.flush().await?;
        }
        Ok(())
    }

    async fn again(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        let keys = Keys::of_batch(self.hands.app.key_store(), std::slice::from_ref(event)).await?;
        let decoder = Decoder { keys: keys.as_ref(), ..Decoder::default() };
        let mut parts = Vec::new();
        decoder.envelope::<E>(event)?.for_each(|envelope| parts.push(envelope));
        for (part, envelope) in parts.into_iter().enumerate() {
            let key = self.hands.key_of(&envelope);
            self.hands.one(&Item { envelope, part }, &key).await?;
        }
        Ok(())
    }
}

fn about(event: &RecordedEvent, key: &str, error: HandlerError) -> EventError {
    let raw = Raw::of(event);
    EventError {
        position: raw.position,
        event_type: raw.event_type.into(),
        version: raw.version,
        key: Some(key.to_owned()),
        retryable: error.retryable,
        why: error.why,
        newer: false,
    }
}

impl<E: EventSet, H: Handle<E>> Handler for Runner<E, H> {
    type Event = E;

    async fn checkpoint(&mut self) -> Result<Position, Failure> {
        self.waiting.clear();
        self.lanes.clear();
        let after = self.place.load().await?;
        self.letters.load(after).await?;
        self.replay().await?;
        Ok(after)
    }

    async fn handle(&mut self, events: &[Envelope<E>]) -> Result<(), Failure> {
        for (part, envelope) in events.iter().enumerate() {
            let key = self.hands.key_of(envelope);
            if !self.letters.hold(envelope.recorded(), &key)? {
                self.wait(Item { envelope: envelope.clone(), part }, key);
            }
        }
        Ok(())
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        while !self.waiting.is_empty() {
            if let Some(error) = self.work().await? {
                self.letters.flush().await?;
                self.waiting.clear();
                return Err(Failure::Event(error));
            }
        }
        self.letters.flush().await?;
        self.place.save(commit.through).await
    }

    async fn park(&mut self, event: &RecordedEvent, error: &EventError) -> Result<bool, Failure> {
        self.letters.add(event, error)?;
        Ok(false)
    }

    fn fence(&mut self, fence: Check) {
        self.letters.fence = Some(fence.clone());
        self.place.fence = Some(fence);
    }

    fn parked(&self) -> u64 {
        self.letters.count()
    }
}
