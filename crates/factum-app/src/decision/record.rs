//! Facts that nobody decides here: what another system says has happened.

use super::{Call, LoadError, Receipt, execute::SENDS_MAX, keyed};
use crate::{
    App, Envelope, Metadata,
    event::{Draft, EncodeError, EventSet},
    world::BoxFuture,
};
use factum_core::{Append, AppendError, InvalidName};
use std::future::IntoFuture;

/// An event on its way to the store, under no condition but its key: `.await` records it.
///
/// ```
/// use factum_app::{App, MemoryStore, event};
///
/// #[event("payment.received")]
/// struct PaymentReceived { payment: String, cents: u64 }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let app = App::new(MemoryStore::new());
/// // The bank sends each notice at least once; its number is the key.
/// let notice = PaymentReceived { payment: "n-4711".into(), cents: 1_200 };
/// let first = app.record(notice.clone()).key("n-4711").await?;
/// let again = app.record(notice).key("n-4711").await?;
/// assert_eq!((again.position, again.replayed), (first.position, true));
/// # Ok(()) }
/// ```
#[must_use = "an event is recorded when it is awaited"]
#[derive(Debug)]
pub struct Record<'a, E> {
    app: &'a App,
    event: E,
    call: Call,
}

/// Why an event was not recorded. Nothing was written, but for [`RecordError::Append`] with an
/// unknown outcome.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// The key makes no tag: it is too long, or holds a NUL.
    #[error(transparent)]
    Key(#[from] InvalidName),
    /// The event could not be made ready.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Whether the key was used before could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store did not take the event, and asking again did not help.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl<'a, E: EventSet> Record<'a, E> {
    /// With a key: an event of the same type and key is recorded once, and answers with its first
    /// receipt.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.call.key = Some(key.into());
        self
    }

    /// On behalf of somebody.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.call.metadata.actor = Some(actor.into());
        self
    }

    /// With all of this known about it.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.call.metadata = metadata;
        self
    }

    /// Because of an event.
    pub fn caused_by<C>(mut self, cause: &Envelope<C>) -> Self {
        self.call.metadata = cause.metadata().caused_by(cause.id());
        self
    }

    async fn run(self) -> Result<Receipt, RecordError> {
        let Self { app, event, call } = self;
        let name = event.info().event_type;
        let key = call.key.as_ref().map(|key| keyed::tag(name, key)).transpose()?;
        if let Some(tag) = &key
            && let Some(first) = keyed::first(app.store(), tag).await?
        {
            return Ok(first);
        }
        let ctx = app.context(&call.metadata);
        let Draft { stream, mut data } = Draft::new(&event, ctx.id(), ctx.metadata())?;
        let ids = vec![data.id];
        data.tags.extend(key.clone());
        let mut append = Append::to(stream, [data]);
        append.checks.extend(key.as_ref().map(keyed::check));
        match (app.send(append, SENDS_MAX).await, &key) {
            (Ok(receipt), _) => Ok(Receipt {
                position: receipt.position,
                streams: receipt.streams,
                ids,
                correlation: ctx.metadata().correlation.unwrap_or_default(),
                replayed: false,
                nothing: None,
            }),
            // The key was used meanwhile.
            (Err(error @ AppendError::Conflict { .. }), Some(tag)) => {
                keyed::first(app.store(), tag).await?.ok_or(RecordError::Append(error))
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

impl<'a, E: EventSet> IntoFuture for Record<'a, E> {
    type Output = Result<Receipt, RecordError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl App {
    /// Records an event that nobody decides here, when it is awaited.
    pub fn record<E: EventSet>(&self, event: E) -> Record<'_, E> {
        Record { app: self, event, call: Call::default() }
    }
}
