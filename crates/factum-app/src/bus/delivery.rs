//! Handlers, and what they are handed: nothing in here knows where the event came from, so that the
//! same handler runs over the store today and over a broker tomorrow.

use crate::{
    App, Call, Dispatch, DispatchError, Envelope, Metadata, Reply, event::EventSet,
    world::BoxFuture,
};
use factum_core::{RecordedEvent, Timestamp, Uuid};
use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// An event, handed to a handler. It may come again: what is done with [`Delivery::execute`] is
/// done once all the same.
#[derive(Debug)]
pub struct Delivery<E> {
    /// What happened.
    pub event: E,
    /// Where it comes from and its number there; the same whenever it comes again.
    pub message: String,
    /// What it is in order with.
    pub key: String,
    /// The event's id.
    pub id: Uuid,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What is known about it.
    pub metadata: Metadata,
    /// How often it was handed over since the app began, from 1.
    pub attempt: u32,
    pub(super) handler: Arc<str>,
    pub(super) app: App,
    pub(super) commands: AtomicU32,
    /// The fact, where it comes from the store.
    pub(super) recorded: Option<RecordedEvent>,
}

impl<E> Delivery<E> {
    /// The app, to read with. What is done with [`Delivery::execute`] is done once; what is done
    /// otherwise may be done again.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// It with all that the store knows about it, where it comes from there.
    pub(crate) fn envelope(&self) -> Option<Envelope<E>>
    where
        E: Clone,
    {
        Some(Envelope::new(self.event.clone(), self.recorded.clone()?))
    }

    /// Does a command, once for this handler, this event and this place among its commands, however
    /// often the event comes: so send the same commands in the same order.
    ///
    /// # Errors
    ///
    /// The command has no reply; a refusal is one.
    pub async fn execute<C: Dispatch>(&self, command: C) -> Result<Reply, DispatchError> {
        let nth = self.commands.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}/{}/{nth}", self.handler, self.message);
        let call = Call { key: Some(key), metadata: self.metadata.caused_by(self.id) };
        command.dispatch(&self.app, call).await
    }
}

/// Why an event was not handled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandlerError {
    /// Whether the same event may be handled later without anybody's help.
    pub retryable: bool,
    /// What went wrong.
    pub why: String,
}

impl HandlerError {
    /// Of an event that will not be handled however often it comes.
    pub fn poison(why: impl fmt::Display) -> Self {
        Self { retryable: false, why: why.to_string() }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

/// Any error, so that `?` works: trying again may help, unless a command says that it does not.
impl<E: std::error::Error + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let command = (&error as &dyn Any).downcast_ref::<DispatchError>();
        let retryable = command.is_none_or(|error| error.retryable);
        Self { retryable, why: error.to_string() }
    }
}

/// A handler of events. A function that takes a [`Delivery`] is one:
/// `builder.on("mail", OnError::Park, |placed: Delivery<OrderPlaced>| async move { … })`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{E}`",
    label = "not a handler",
    note = "a handler is a function of a `Delivery<{E}>` that becomes a `Result<(), HandlerError>`"
)]
pub trait Handle<E: EventSet>: Send + Sync + 'static {
    /// What an event is in order with: events with one key are handled one after the other. By
    /// default its stream.
    fn key(&self, _event: &E) -> Option<String> {
        None
    }

    /// Handles an event.
    fn handle(
        &self,
        delivery: Delivery<E>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

impl<E, F, Done> Handle<E> for F
where
    E: EventSet,
    F: Fn(Delivery<E>) -> Done + Send + Sync + 'static,
    Done: Future<Output = Result<(), HandlerError>> + Send,
{
    fn handle(
        &self,
        delivery: Delivery<E>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        self(delivery)
    }
}

trait Erased<E>: Send + Sync {
    fn handle(&self, delivery: Delivery<E>) -> BoxFuture<'_, Result<(), HandlerError>>;
}

impl<E: EventSet, H: Handle<E>> Erased<E> for H {
    fn handle(&self, delivery: Delivery<E>) -> BoxFuture<'_, Result<(), HandlerError>> {
        Box::pin(Handle::handle(self, delivery))
    }
}

/// Several handlers of one event, one after the other: the next only when those before it have
/// handled it. One that fails holds up those behind it, for this event.
pub struct Mediator<E> {
    handlers: Vec<(String, Box<dyn Erased<E>>)>,
}

impl<E: EventSet> Default for Mediator<E> {
    fn default() -> Self {
        Self { handlers: Vec::new() }
    }
}

impl<E: EventSet> Mediator<E> {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Then this one. Its name is pinned: it is part of the keys of its commands.
    #[must_use]
    pub fn then(mut self, name: impl Into<String>, handler: impl Handle<E>) -> Self {
        self.handlers.push((name.into(), Box::new(handler)));
        self
    }
}

impl<E: EventSet> Handle<E> for Mediator<E> {
    async fn handle(&self, delivery: Delivery<E>) -> Result<(), HandlerError> {
        for (name, handler) in &self.handlers {
            let one = Delivery {
                event: delivery.event.clone(),
                message: delivery.message.clone(),
                key: delivery.key.clone(),
                metadata: delivery.metadata.clone(),
                handler: format!("{}/{name}", delivery.handler).into(),
                app: delivery.app.clone(),
                commands: AtomicU32::new(0),
                id: delivery.id,
                recorded_at: delivery.recorded_at,
                attempt: delivery.attempt,
                recorded: delivery.recorded.clone(),
            };
            let done = handler.handle(one).await;
            done.map_err(|error| HandlerError { why: format!("{name}: {error}"), ..error })?;
        }
        Ok(())
    }
}

impl<E> fmt::Debug for Mediator<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.handlers.iter().map(|(name, _)| name)).finish()
    }
}
