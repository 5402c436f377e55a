//! From a fact to a broker: the message as a CloudEvent, and the consumer that publishes it.
//!
//! The store is the outbox: a fact is there before anybody is told, and the place of the consumer
//! moves when the broker has confirmed. So each message is published at least once, in the order of
//! its key.

use super::Publication;
use crate::{
    App, AppBuilder, Envelope, LoadError,
    bus::{Delivery, Handle, HandlerError},
    consumer::Options,
    describe::Kind,
    event::{EncodeError, EventSet},
    message::{Message, Outgoing, Publisher},
    personal,
};
use factum_core::InvalidName;
use std::{marker::PhantomData, sync::Arc};

/// Why a fact makes no message. Nothing was published.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum MessageError {
    /// The state beside it cannot be read. See whether [`LoadError`] says that it may later.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It has no key, or does not become JSON. Correct the value.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It has a personal field, and what has left cannot be erased. Map the fact to one without.
    #[error(
        "{event_type} has a field that is `#[personal]`, and what has left the service cannot be \
         erased: map the fact to an integration event without it"
    )]
    Personal {
        /// Which integration event.
        event_type: &'static str,
    },
}

/// A message of a publication, as it leaves.
pub(super) fn outgoing<P: Publication>(
    app: &App,
    event: &Envelope<P::Event>,
    said: &P::Message,
) -> Result<Outgoing, MessageError> {
    let info = said.info();
    let event_type = info.event_type;
    let key = said.stream().map_err(|source| named(event_type, source))?;
    let data = said.encode().map_err(|source| EncodeError::Json { event_type, source })?;
    if personal::has_marks(&data) {
        return Err(MessageError::Personal { event_type });
    }
    let source = match app.service_name() {
        Some(service) => format!("/{service}/{}", P::NAME),
        None => format!("/{}", P::NAME),
    };
    let mut message = Message::new(event.id().to_string(), source, event_type)
        .key(key.as_str())
        .with("schemaversion", info.version.to_string())
        .about(&event.metadata().caused_by(event.id()))
        .data("application/json", data);
    message.subject = info.stream.tag.and_then(|tag| {
        let values = said.tag_values();
        values.into_iter().find(|(key, _)| *key == tag).map(|(_, value)| value)
    });
    message.time = Some(said.occurred_at().unwrap_or_else(|| event.occurred_at()));
    Ok(Outgoing::new(P::TOPIC.unwrap_or(event_type), message))
}

fn named(event_type: &'static str, source: InvalidName) -> EncodeError {
    EncodeError::Name { event_type, source }
}

impl AppBuilder {
    /// Publishes what leaves the service, with what becomes of a fact that cannot be: the broker
    /// has confirmed each message before the place in the store moves past its fact.
    ///
    /// A broker that is away is an error that may pass: with
    /// `OnError::retry(u32::MAX, Finally::Stop)` it is waited for, with pauses of up to a minute.
    pub fn publish<P: Publication>(
        mut self,
        options: impl Into<Options>,
        publisher: impl Publisher,
    ) -> Self {
        self.registered.follow::<P::Event>(P::NAME, 1, Kind::publication::<P>());
        let relay = Relay::<P> { publisher: Arc::new(publisher), marker: PhantomData };
        self.handle::<P::Event>(P::NAME.to_owned(), options.into(), relay)
    }
}

struct Relay<P> {
    publisher: Arc<dyn Publisher>,
    marker: PhantomData<fn() -> P>,
}

impl<P: Publication> Handle<P::Event> for Relay<P> {
    async fn handle(&self, delivery: Delivery<P::Event>) -> Result<(), HandlerError> {
        let event = delivery.envelope().ok_or_else(|| {
            HandlerError::poison("a publication publishes facts of the store, nothing else")
        })?;
        let outgoing = match delivery.app().outgoing::<P>(&event).await {
            Ok(outgoing) => outgoing,
            Err(error @ MessageError::Load(_)) => return Err(error.into()),
            Err(error) => return Err(HandlerError::poison(error)),
        };
        let Some(mut outgoing) = outgoing else { return Ok(()) };
        // A fact of an old release may be read as several: each has an id of its own.
        if let Some((_, part)) = delivery.message.rsplit_once('.').filter(|(_, part)| *part != "0")
        {
            outgoing.message.id = format!("{}.{part}", outgoing.message.id);
        }
        let confirmed = self.publisher.publish(std::slice::from_ref(&outgoing)).await;
        for one in confirmed {
            one.map_err(|error| HandlerError {
                retryable: error.is_retryable(),
                why: error.to_string(),
            })?;
        }
        Ok(())
    }
}
