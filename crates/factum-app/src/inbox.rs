//! The inbox: messages of a broker, stored before they are acknowledged, and handled as events are.
//!
//! `AppBuilder::on_message` subscribes, stores each message once in `$inbox.NAME-KEY`, whatever the
//! broker delivers again, and acknowledges it then. From there a handler is what it is on the bus
//! ([`crate::bus`]): in order for each key, tried again with pauses, its commands done once; and
//! what fails for good is a dead letter that keeps its bytes and holds up its own key.
//!
//! What must hold: a message is acknowledged only when it is durable here; one that was delivered
//! twice is stored once; and what is no message, or none that can be stored, is put aside at the
//! broker, never dropped.

mod draft;
mod received;
mod receiver;

use crate::{
    AppBuilder,
    bus::{Handle, Runner},
    consumer::{Options, Spec, StartError},
    event::EventSet,
    message::{Consumer, Subscription},
};
use factum_core::{Query, StreamName};
use received::{Opened, Received};
use receiver::Receiver;
use std::{sync::Arc, time::Duration};

/// Where messages come from, and which.
#[derive(Clone, Debug)]
#[must_use = "an inbox is for `AppBuilder::on_message`"]
pub struct Inbox {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) subscription: Subscription,
    pub(crate) close: Duration,
}

impl Inbox {
    /// Messages of this subscription.
    pub fn new(consumer: impl Consumer, subscription: Subscription) -> Self {
        Self { consumer: Arc::new(consumer), subscription, close: Duration::from_secs(10) }
    }

    /// How long, at most, it waits at the end for what it was just storing; 10 s otherwise.
    pub fn close(self, close: Duration) -> Self {
        Self { close, ..self }
    }
}

/// The category of an inbox: it ends at the first `-`, so that a name has none here.
fn category(name: &str) -> String {
    format!("$inbox.{}", name.replace('%', "%25").replace('-', "%2D"))
}

impl AppBuilder {
    /// Registers a handler of messages: the same as one of events, for an event of another service.
    /// The name of the message is that of the event.
    ///
    /// A message is handled once in effect: what the handler does with
    /// [`Delivery::execute`](crate::bus::Delivery::execute) is done once, and a message that the
    /// broker delivers again is known. It is remembered for as long as its inbox keeps it. Messages
    /// that are not of the set are left out.
    ///
    /// Needs a store with query conditions; otherwise the consumer says so, and nothing is
    /// acknowledged.
    ///
    /// ```
    /// use factum_app::{App, MemoryStore, OnError, bus::Delivery, event, inbox::Inbox};
    /// use factum_app::message::{MemoryBroker, Subscription};
    ///
    /// #[event("payment.received")]
    /// struct PaymentReceived { #[tag] payment: u32 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// let payments = Inbox::new(broker, Subscription::shared("orders", ["payments.#"]));
    /// let handler = |paid: Delivery<PaymentReceived>| async move {
    ///     println!("{} was paid", paid.event.payment);
    ///     Ok(())
    /// };
    /// let app = App::builder(MemoryStore::new())
    ///     .on_message("payments", OnError::Park, payments, handler)
    ///     .start()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn on_message<E: EventSet>(
        self,
        name: impl Into<String>,
        options: impl Into<Options>,
        inbox: Inbox,
        handler: impl Handle<E>,
    ) -> Self {
        let (name, options) = (name.into(), options.into());
        let named = |source| StartError::Name { name: name.clone(), source };
        let spec = StreamName::new(&format!("{}-x", category(&name))).map_err(named).map(|_| {
            let Options { on_error, decode, skip_newer, .. } = options.clone();
            let query = Query::category(&category(&name));
            Spec { name: name.clone(), version: 1, query, on_error, decode, skip_newer }
        });
        let policy = options.on_error;
        let of = category(&name);
        self.plan_beside(
            spec,
            move |app| Runner::<Received<E>, _>::new(app, &name, policy, Opened(handler)),
            move |app, seat| {
                let (stop, shared) = (seat.stop.clone(), seat.shared.clone());
                let receiver = Receiver { app: app.clone(), category: of, inbox, stop, shared };
                app.world().spawn(Box::pin(receiver.run()));
            },
        )
    }
}
